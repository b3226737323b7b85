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

/// The variables that one secret may come by.
#[derive(Debug, Clone, Copy)]
pub(super) struct SecretVariables {
    /// The secret itself.
    pub(super) value: &'static str,
    /// The path of a file that holds it, as containers and service managers hand secrets over.
    pub(super) file: &'static str,
    /// The ARN that AWS Secrets Manager keeps it under.
    pub(super) arn: &'static str,
}

/// The text of a secret's file without white space around it, or why there is none.
pub(super) fn secret_in(path: &str) -> Result<SecretString, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.kind().to_string())?;
    let secret = text.trim();
    if secret.is_empty() { Err("it is empty".to_owned()) } else { Ok(SecretString::from(secret)) }
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

    /// The secret: itself, in a file, or under an ARN; by one of the three ways only.
    pub(super) fn optional_secret(&mut self, variables: SecretVariables) -> Option<Secret> {
        let SecretVariables { value, file, arn } = variables;
        let mut set = [value, file, arn].into_iter().filter(|variable| self.text(variable).is_some());
        let first = set.next()?;
        let others: Vec<_> = set.collect();
        if !others.is_empty() {
            for other in others {
                self.problem(other, &format!("to be unset, because {first} is set"));
            }
            return None;
        }
        let text = self.text(first)?;
        if first == arn {
            return Some(Secret::Arn(text));
        }
        if first == value {
            return Some(Secret::Value(SecretString::from(text)));
        }
        secret_in(&text)
            .map(Secret::Value)
            .map_err(|why| self.problem(file, &format!("the path of a file that holds the secret ({why})")))
            .ok()
    }

    pub(super) fn secret(&mut self, variables: SecretVariables, expected: &str) -> Secret {
        let problems = self.problems.len();
        self.optional_secret(variables).unwrap_or_else(|| {
            if self.problems.len() == problems {
                let SecretVariables { value, file, arn } = variables;
                self.problem(value, &format!("{expected} (or {file}, or {arn})"));
            }
            Secret::Arn(String::new())
        })
    }

    pub(super) fn finish<T>(self, config: T) -> Result<T, ConfigError> {
        if self.problems.is_empty() { Ok(config) } else { Err(self.failed()) }
    }

    /// For where a problem leaves nothing to go on with.
    pub(super) fn failed(self) -> ConfigError {
        ConfigError(self.problems)
    }
}
