//! Reading variables and collecting what is wrong with them.

use secrecy::SecretString;

use super::{ConfigError, Problem, Secret};

/// Where variables come from: the environment, or a map in tests.
pub trait Strings {
    /// The variable's value, if it is set.
    fn get(&self, variable: &str) -> Option<String>;
}

/// The process's environment.
#[derive(Debug, Clone, Copy)]
pub struct Environment;

impl Strings for Environment {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    fn get(&self, variable: &str) -> Option<String> {
        std::env::var(variable).ok()
    }
}

impl<H: std::hash::BuildHasher> Strings for std::collections::HashMap<&str, &str, H> {
    fn get(&self, variable: &str) -> Option<String> {
        self.get(variable).map(|&value| value.to_owned())
    }
}

/// Reads values and keeps every problem.
pub(super) struct Reader<'s, S> {
    strings: &'s S,
    problems: Vec<Problem>,
}

impl<'s, S: Strings> Reader<'s, S> {
    pub(super) fn new(strings: &'s S) -> Self {
        Self { strings, problems: Vec::new() }
    }

    /// The value without white space around it; blank is unset.
    pub(super) fn text(&self, variable: &str) -> Option<String> {
        let value = self.strings.get(variable)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    pub(super) fn problem(&mut self, variable: &'static str, expected: &str) {
        self.problems.push(Problem { variable, expected: expected.to_owned() });
    }

    pub(super) fn required(&mut self, variable: &'static str, expected: &str) -> String {
        self.text(variable).unwrap_or_else(|| {
            self.problem(variable, expected);
            String::new()
        })
    }

    /// The value as `parse` reads it; `parse` answers what it expects otherwise.
    pub(super) fn parsed<T>(
        &mut self,
        variable: &'static str,
        parse: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Option<T> {
        let value = self.text(variable)?;
        parse(&value).map_err(|expected| self.problem(variable, expected)).ok()
    }

    pub(super) fn parsed_or_required<T>(
        &mut self,
        variable: &'static str,
        parse: impl Fn(&str) -> Result<T, &'static str>,
        expected: &str,
    ) -> Option<T> {
        if self.text(variable).is_none() {
            self.problem(variable, expected);
        }
        self.parsed(variable, parse)
    }

    /// The secret itself, or the ARN it is kept under.
    pub(super) fn optional_secret(&mut self, variable: &'static str, arn: &'static str) -> Option<Secret> {
        match (self.text(variable), self.text(arn)) {
            (Some(_), Some(_)) => {
                self.problem(arn, &format!("to be unset, because {variable} is set"));
                None
            }
            (Some(value), None) => Some(Secret::Value(SecretString::from(value))),
            (None, Some(arn)) => Some(Secret::Arn(arn)),
            (None, None) => None,
        }
    }

    pub(super) fn secret(&mut self, variable: &'static str, arn: &'static str, expected: &str) -> Secret {
        let problems = self.problems.len();
        self.optional_secret(variable, arn).unwrap_or_else(|| {
            if self.problems.len() == problems {
                self.problem(variable, &format!("{expected} (or {arn})"));
            }
            Secret::Arn(String::new())
        })
    }

    pub(super) fn finish<T>(self, config: T) -> Result<T, ConfigError> {
        if self.problems.is_empty() { Ok(config) } else { Err(ConfigError(self.problems)) }
    }
}
