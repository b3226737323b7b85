//! From configuration to a pipeline.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::dashboard::Dashboard;
use super::{BehindQueue, Pipeline, Stores, ledger_check};
use crate::aws::AwsSettings;
use crate::client::SetUpError;
use crate::clock::Clock;
use crate::config::{AnalyticsConfig, Config, ProcessConfig, Secret};
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
}

impl Parts {
    /// The name to claim under, where there is one that outlives the process.
    #[cfg(feature = "spool")]
    fn owner(&self) -> Option<Owner> {
        self.spool.as_ref().map(crate::spool::Spool::owner)
    }

    #[cfg(not(feature = "spool"))]
    #[allow(clippy::unused_self, reason = "the same call with and without a spool")]
    fn owner(&self) -> Option<Owner> {
        None
    }
}

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
                Some(dashboard(analytics, ledger, &stores, clock)?)
            }
            None => None,
        };
        let delivery = match &config.process {
            Some(process) => {
                let ledger = ledger(config, config.terms, clock, &parts)?;
                ledger_seen = ledger_check::check(&ledger, parts.ledger_may_be_away).await?;
                Some(delivery(config, process, ledger, &stores, clock, parts.owner()).await?)
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
    owner: Option<Owner>,
) -> Result<Delivery<Ogc, Stores>, StartError> {
    let settings = delivery::Settings {
        batch_max_records: process.batch_max_records.get(),
        lease: config.terms.lease,
        ambiguous: process.ambiguous,
        owner,
        ..delivery::Settings::default()
    };
    let client_secret = secret(&process.client_secret, &config.aws, "CLIENT_SECRET_ARN").await?;
    let ogc = Ogc::new(
        ogc::Settings::new(
            process.url.clone(),
            process.auth_url.clone(),
            (process.client_id.clone(), client_secret),
            (process.item_id.clone(), process.item_type.clone()),
            process.role.clone(),
            process.job_role.clone(),
        ),
        clock.clone(),
    )?;
    Ok(Delivery::new(ogc, Arc::new(ledger), stores.clone(), settings, clock.clone()))
}

fn dashboard(
    analytics: &AnalyticsConfig,
    ledger: Ledger,
    stores: &Stores,
    clock: &Clock,
) -> Result<Dashboard, StartError> {
    Dashboard::new(analytics.clone(), ledger, stores.clone(), clock.clone())
        .map_err(|error| StartError::Analytics(error.to_string()))
}

fn ledger(config: &Config, terms: Terms, clock: &Clock, parts: &Parts) -> Result<Ledger, LedgerError> {
    let stores = ledger::Stores {
        dynamodb: matches!(config.ledger, LedgerUrl::DynamoDb(_)).then(|| config.aws.dynamodb()),
        #[cfg(feature = "spool")]
        spool: parts.spool.clone(),
    };
    #[cfg(not(feature = "spool"))]
    let Parts { ledger_may_be_away: _ } = parts;
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
    let answer = aws.secrets_manager().get_secret_value().secret_id(arn).send().await.map_err(|error| {
        let code = error.as_service_error().and_then(|error| error.meta().code());
        refused(match code {
            Some("AccessDeniedException") => {
                "access denied: the function's role needs secretsmanager:GetSecretValue on this secret, and kms:Decrypt where it \
                 is encrypted with a key of yours"
                    .to_owned()
            }
            Some("ResourceNotFoundException") => "no such secret in this region".to_owned(),
            Some(code) => format!("Secrets Manager answered {code}"),
            None => format!("Secrets Manager could not be reached: {}", aws_sdk_secretsmanager::error::DisplayErrorContext(error)),
        })
    })?;
    let value = answer.secret_string().map(str::trim).filter(|value| !value.is_empty());
    value.map(SecretString::from).ok_or_else(|| refused("expected a secret with a text value".to_owned()))
}
