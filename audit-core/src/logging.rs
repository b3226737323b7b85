//! Logging, and the one line that ends each run.

use std::io::Write;
use std::sync::OnceLock;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

use crate::clock::Clock;
use crate::config::{ConfigError, Problem, Strings};
use crate::emf;
use crate::tally::Tally;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Text,
}

/// Where this project's own lines come from.
const OWN: [&str; 3] = ["audit_core", "lambda_cloudtrail", "lambda_minio_http"];

/// Whether a line may be written, whatever `RUST_LOG` asks for: below `info` other crates tell what they carry, which is bodies with
/// users and addresses in them, and headers.
fn may_be_told(line: &Metadata<'_>) -> bool {
    *line.level() <= Level::INFO || OWN.iter().any(|own| line.target().starts_with(own))
}

/// How lines are written, as [`start`] decided; JSON before.
static FORMAT: OnceLock<Format> = OnceLock::new();

/// Starts logging to standard output, as `RUST_LOG` (default `info`) and `LOG_FORMAT` (`json` or `text`) say.
///
/// # Errors
/// When one of them cannot be read.
pub fn start(strings: &impl Strings) -> Result<(), ConfigError> {
    let problem = |variable, expected: &str| ConfigError(vec![Problem { variable, expected: expected.to_owned() }]);
    let format = match strings.get("LOG_FORMAT").as_deref().map(str::trim) {
        None | Some("" | "json") => Format::Json,
        Some("text") => Format::Text,
        Some(_) => return Err(problem("LOG_FORMAT", "json or text")),
    };
    let filter = strings.get("RUST_LOG").filter(|filter| !filter.trim().is_empty()).unwrap_or_else(|| "info".into());
    let filter: Targets = filter.parse().map_err(|_| problem("RUST_LOG", "a level such as info, or target=level"))?;
    let lines = fmt::layer().with_target(false);
    let lines = match format {
        Format::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
        Format::Text => lines.boxed(),
    };
    // A second start in one process (tests) keeps the first one's settings.
    let _already_started = registry().with(lines.with_filter(filter.and(filter_fn(may_be_told)))).try_init();
    let _format_kept = FORMAT.set(format);
    Ok(())
}

/// Writes the line that ends a run. As JSON it has the tally as an object, which a logging field cannot hold.
pub fn run_finished(tally: &Tally, clock: &Clock) {
    debug_assert!(tally.adds_up(), "a record is not accounted for: {tally:?}");
    if FORMAT.get() == Some(&Format::Text) {
        let tally = serde_json::to_string(tally).unwrap_or_default();
        tracing::info!(tally, "run finished");
        return;
    }
    let line = serde_json::json!({
        "timestamp": clock.now().to_string(),
        "level": "INFO",
        "message": "run finished",
        "tally": tally,
    });
    if let Err(error) = writeln!(std::io::stdout().lock(), "{line}") {
        tracing::error!(%error, "the line that ends a run could not be written");
    }
}

/// Writes what a run came to as metrics, from which CloudWatch makes graphs and alarms.
pub fn metrics(run: &emf::Run<'_>) {
    let mut stdout = std::io::stdout().lock();
    for document in emf::documents(run) {
        if let Err(error) = writeln!(stdout, "{document}") {
            tracing::error!(%error, "metrics could not be written");
        }
    }
}
