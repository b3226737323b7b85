//! From configuration to a pipeline.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::dashboard::Dashboard;
use super::{BehindQueue, Pipeline, Stores, ledger_check};
use crate::aws::{Asked, AwsSettings, advice};
use crate::client::SetUpError;
use crate::clock::Clock;
use crate::config::{Config, ProcessConfig, Secret};
use crate::delivery::{self, Delivery};
use crate::ledger::{self, Ledger, LedgerError, LedgerUrl, Owner, Terms};
use crate::sink::ogc::{self, Ogc};
use crate::source::ReadLimits;
use crate::store::Store;

/// Why a program cannot start working.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The HTTP client cannot be set up.
    #[error(transparent)]
    Client(#[from] SetUpError),
    /// A secret cannot be read.
    #[error("{variable}: {reason}")]
    Secret {
        /// The variable that names it.
        variable: &'static str,
        /// Why, and what to mend.
        reason: String,
    },
    /// The analytics sink cannot be set up.
    #[error("analytics: {0}")]
    Analytics(String),
    /// A lease shorter than an invocation.
    #[error("LEASE_SECONDS: expected more than the function's timeout ({} s are left, the lease is {} s)", left.as_secs(), lease.as_secs())]
    Lease {
        /// `LEASE_SECONDS`.
        lease: Duration,
        /// What the invocation has left.
        left: Duration,
    },
}

/// What a pipeline is built upon besides its configuration.
#[derive(Debug, Default)]
pub struct Parts {
    /// For `LEDGER_URL=spool:`, and the name under which its owner claims in any ledger.
    #[cfg(feature = "spool")]
    pub spool: Option<crate::spool::Spool>,
    /// Whether work begins although the ledger is out of reach, because what arrives is kept until it answers. A ledger that refuses stops the
    /// start all the same.
    pub ledger_may_be_away: bool,
    /// How long an invocation may work, where there is an end to it: what is kept free for an answer is made to fit in.
    pub time_limit: Option<Duration>,
    /// Deliveries run side by side: then each claims under a name of its own, as two of one name would take each other's claims
    /// for theirs.
    #[cfg(feature = "spool")]
    pub side_by_side: bool,
}

impl Parts {
    /// For a function, of which one invocation may work for `time_limit`.
    #[must_use]
    pub fn of_function(time_limit: Duration) -> Self {
        Self { time_limit: Some(time_limit), ..Self::default() }
    }

    /// The name to claim under, where there is one that outlives the process.
    #[cfg(feature = "spool")]
    fn owner(&self) -> Option<Owner> {
        self.spool.as_ref().filter(|_| !self.side_by_side).map(crate::spool::Spool::owner)
    }

    #[cfg(not(feature = "spool"))]
    #[allow(clippy::unused_self, reason = "the same call with and without a spool")]
    fn owner(&self) -> Option<Owner> {
        None
    }
}

/// Less than this for an answer is worth a warning: servers take seconds for a large batch now and then.
const SHORT_ANSWER: Duration = Duration::from_secs(5);

impl Pipeline {
    /// Puts the stages together; secrets are fetched, nothing is sent.
    ///
    /// # Errors
    /// When the ledger or a secret cannot be had; a ledger out of reach only where `parts` says so.
    pub async fn open(config: &Config, clock: &Clock, parts: Parts) -> Result<Self, StartError> {
        let stores = stores(config, clock);
        let mut ledger_seen = true;
        let dashboard = match &config.analytics {
            Some(analytics) => {
                let ledger = ledger(config, analytics.terms(config.terms.lease), clock, &parts)?;
                // Metering checks the store for both.
                if config.process.is_none() {
                    ledger_seen = ledger_check::check(&ledger, parts.ledger_may_be_away).await?;
                }
                let opened = Dashboard::new(
                    analytics.clone(),
                    ledger,
                    stores.clone(),
                    clock.clone(),
                    config.trust,
                    parts.owner(),
                );
                Some(opened.map_err(|error| StartError::Analytics(error.to_string()))?)
            }
            None => None,
        };
        let delivery = match &config.process {
            Some(process) => {
                let ledger = ledger(config, config.terms, clock, &parts)?;
                ledger_seen = ledger_check::check(&ledger, parts.ledger_may_be_away).await?;
                Some(delivery(config, process, ledger, &stores, clock, &parts).await?)
            }
            None => None,
        };
        Ok(Self {
            policy: config.metering.clone(),
            limits: ReadLimits {
                max_text_bytes: config.max_decompressed_bytes,
                visits: dashboard.is_some(),
                ..ReadLimits::default()
            },
            batch_max_records: config.process.as_ref().map_or(1000, |process| process.batch_max_records.get()),
            delivery,
            dashboard,
            behind_queue: None,
            stores,
            clock: clock.clone(),
            ledger_seen,
        })
    }

    /// For a receiver that puts entries into a queue: it judges and quarantines. Sinks are the deliverer's, and so are their
    /// secrets, which a function that anybody may call has no need to know.
    ///
    /// # Errors
    /// When the ledger cannot be had.
    pub fn before_queue(config: &Config, clock: &Clock) -> Result<Self, StartError> {
        let (process, analytics) = (config.process.is_some(), config.analytics.is_some());
        let ledger =
            if process || analytics { Some(ledger(config, config.terms, clock, &Parts::default())?) } else { None };
        // Without either, the receiver's settings do not say what the deliverer is for.
        let meters = process || !analytics;
        Ok(Self {
            policy: config.metering.clone(),
            limits: ReadLimits {
                max_text_bytes: config.max_decompressed_bytes,
                visits: analytics,
                ..ReadLimits::default()
            },
            batch_max_records: 1000,
            delivery: None,
            dashboard: None,
            behind_queue: Some(BehindQueue { meters, shows: analytics, ledger }),
            stores: stores(config, clock),
            clock: clock.clone(),
            ledger_seen: true,
        })
    }
}

fn stores(config: &Config, clock: &Clock) -> Stores {
    let store = |place| Store::open(place, || config.aws.in_own_region().s3(), clock.clone());
    Stores { quarantine: store(&config.quarantine), held: store(&config.held) }
}

async fn delivery(
    config: &Config,
    process: &ProcessConfig,
    ledger: Ledger,
    stores: &Stores,
    clock: &Clock,
    parts: &Parts,
) -> Result<Delivery<Ogc, Stores>, StartError> {
    let mut settings = delivery::Settings {
        batch_max_records: process.batch_max_records.get(),
        lease: config.terms.lease,
        ambiguous: process.ambiguous,
        owner: parts.owner(),
        ..delivery::Settings::default()
    };
    if let Some(limit) = parts.time_limit {
        settings.headroom = headroom(limit, settings.headroom);
    }
    let client_secret = secret(&process.client_secret, &config.aws, "CLIENT_SECRET_ARN").await?;
    let upstream = ogc::Settings::new(
        process.url.clone(),
        process.auth_url.clone(),
        (process.client_id.clone(), client_secret),
        (process.item_id.clone(), process.item_type.clone()),
        process.role.clone(),
        process.job_role.clone(),
    );
    let ogc = Ogc::new(ogc::Settings { trust: config.trust, ..upstream }, clock.clone())?;
    Ok(Delivery::new(ogc, Arc::new(ledger), stores.clone(), settings, clock.clone()))
}

/// What is kept free for the answer to a request: `usual`, but no more than half of the time that there is. A function whose
/// timeout is short then sends in the first half of it, and what is not answered in the second is held.
fn headroom(limit: Duration, usual: Duration) -> Duration {
    let own = usual.min(limit / 2);
    if own < SHORT_ANSWER {
        tracing::warn!(
            seconds = own.as_secs_f64(),
            "the function's timeout is short: a request that is not answered within these seconds is held; expected at least 12 s"
        );
    }
    own
}

/// The ledger of `config` by itself.
///
/// # Errors
/// When `parts` lack what it needs. A store out of reach is no error yet.
pub fn open_ledger(config: &Config, clock: &Clock, parts: &Parts) -> Result<Ledger, LedgerError> {
    ledger(config, config.terms, clock, parts)
}

fn ledger(config: &Config, terms: Terms, clock: &Clock, parts: &Parts) -> Result<Ledger, LedgerError> {
    let stores = ledger::Stores {
        dynamodb: matches!(config.ledger, LedgerUrl::DynamoDb(_)).then(|| config.aws.dynamodb()),
        #[cfg(feature = "spool")]
        spool: parts.spool.clone(),
    };
    #[cfg(not(feature = "spool"))]
    let Parts { ledger_may_be_away: _, time_limit: _ } = parts;
    Ledger::open(&config.ledger, terms, clock.clone(), stores)
}

/// The secret itself, fetched where only its ARN is configured.
///
/// # Errors
/// When Secrets Manager refuses; the text names the permission that is missing.
pub async fn secret(secret: &Secret, aws: &AwsSettings, variable: &'static str) -> Result<SecretString, StartError> {
    let arn = match secret {
        Secret::Value(value) => return Ok(value.clone()),
        Secret::Arn(arn) => arn,
    };
    let refused = |reason| StartError::Secret { variable, reason };
    let missing = format!("no such secret in {}, the function's region", aws.region);
    let asked = Asked {
        service: "Secrets Manager",
        permission: "secretsmanager:GetSecretValue",
        of: "this secret",
        missing: &missing,
        region_variable: None,
    };
    let answer = aws.secrets_manager().get_secret_value().secret_id(arn).send().await;
    let answer = answer.map_err(|error| refused(advice(&error, &asked)))?;
    let value = answer.secret_string().map(str::trim).filter(|value| !value.is_empty());
    value.map(SecretString::from).ok_or_else(|| refused("expected a secret with a text value".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_timeout_leaves_half_of_it_for_the_answer() {
        let seconds = Duration::from_secs;
        for (limit, expected) in [(898, 10), (28, 10), (20, 10), (8, 4), (2, 1)] {
            assert_eq!(headroom(seconds(limit), seconds(10)), seconds(expected), "{limit} s");
        }
    }
}
