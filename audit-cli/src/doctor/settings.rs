//! The configuration, as each program would check it at its start.

use anyhow::Result;
use audit_core::check::Finding;
use audit_core::config::{Config, ConfigError, Environment, Problem, Program, Strings, VARIABLES};

use super::Which;
use super::report::Report;

/// Tells what is wrong for `program`; without one, what is wrong for only one of them is a note. `None` where the settings cannot
/// be worked with.
pub(super) fn check(program: Option<Which>, report: &mut Report) -> Result<Option<Config>> {
    let cloudtrail = problems(Program::CloudTrail);
    let receiver = problems(receiver());
    let (wrong, notes) = match program {
        Some(Which::Cloudtrail) => (cloudtrail, Vec::new()),
        Some(Which::MinioHttp) => (receiver, Vec::new()),
        None => {
            let both: Vec<_> =
                cloudtrail.iter().filter(|own| receiver.contains(own)).map(ToString::to_string).collect();
            let of = |name: &'static str, all: Vec<Problem>| {
                let both = both.clone();
                let own = all.into_iter().filter(move |own| !both.contains(&own.to_string()));
                own.map(move |own| format!("for {name}: {own}")).collect::<Vec<_>>()
            };
            let notes =
                [of("lambda-cloudtrail", cloudtrail.iter().map(again).collect()), of("lambda-minio-http", receiver)]
                    .concat();
            let wrong = cloudtrail.into_iter().filter(|own| both.contains(&own.to_string())).collect();
            (wrong, notes)
        }
    };
    for problem in &wrong {
        report.wrong_setting(format!("configuration: {problem}"))?;
    }
    for note in &notes {
        report.tell(&Finding::Note(format!("configuration: {note}")))?;
    }
    let set =
        VARIABLES.iter().filter(|own| Environment.get(own.name).is_some_and(|value| !value.trim().is_empty())).count();
    let config = match Config::read(&Environment, Program::Cli) {
        Ok(config) => config,
        Err(ConfigError(problems)) => {
            for problem in problems.iter().filter(|own| !wrong.contains(own)) {
                report.wrong_setting(format!("configuration: {problem}"))?;
            }
            report.tell(&Finding::Note("the rest is not looked at before these settings are mended".to_owned()))?;
            return Ok(None);
        }
    };
    if wrong.is_empty() {
        report.tell(&Finding::Fine(format!("configuration: the {set} variables that are set can be read")))?;
    }
    Ok(Some(config))
}

/// How the receiver would run: a queue makes entries durable under Lambda alone.
fn receiver() -> Program {
    let queue = Environment.get("QUEUE_URL").is_some_and(|value| !value.trim().is_empty());
    if queue { Program::ReceiverOnLambda } else { Program::Receiver }
}

fn problems(program: Program) -> Vec<Problem> {
    Config::read(&Environment, program).err().map(|error| error.0).unwrap_or_default()
}

fn again(problem: &Problem) -> Problem {
    Problem { variable: problem.variable, expected: problem.expected.clone() }
}
