//! From `LEDGER_URL` to a ledger, and whether it is fit for use.

use super::{DynamoLedger, Ledger, LedgerError, LedgerUrl, MemoryLedger, RedisLedger, Terms};
use crate::clock::Clock;

/// What a ledger may be opened upon; only what its URL names is used.
#[derive(Debug, Default, Clone)]
pub struct Stores {
    /// For `dynamodb://`: the client, with region and credentials.
    pub dynamodb: Option<aws_sdk_dynamodb::Client>,
    /// For `spool:`: the open spool.
    #[cfg(feature = "spool")]
    pub spool: Option<crate::spool::Spool>,
}

impl Ledger {
    /// Opens the ledger that `url` names. A store out of reach is no error yet: [`ping`](Self::ping) tells.
    ///
    /// # Errors
    /// When `stores` lacks what `url` needs.
    pub fn open(url: &LedgerUrl, terms: Terms, clock: Clock, stores: Stores) -> Result<Self, LedgerError> {
        match url {
            LedgerUrl::Memory => Ok(Self::Memory(MemoryLedger::new(terms, clock))),
            LedgerUrl::Redis(url) => Ok(Self::Redis(RedisLedger::new(url, terms)?)),
            LedgerUrl::DynamoDb(table) => {
                let client = stores.dynamodb.ok_or_else(|| absent("dynamodb", "no AWS client is set up"))?;
                Ok(Self::DynamoDb(DynamoLedger::new(&client, table, terms, clock)))
            }
            #[cfg(feature = "spool")]
            LedgerUrl::Spool => {
                let spool = stores.spool.ok_or_else(|| absent("spool", "no spool is open here"))?;
                Ok(Self::Spool(super::SpoolLedger::new(spool, terms, clock)))
            }
            #[cfg(not(feature = "spool"))]
            LedgerUrl::Spool => Err(absent("spool", "only the standalone receiver has a spool")),
        }
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), LedgerError> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Redis(own) => own.ping().await,
            Self::DynamoDb(own) => own.ping().await,
            #[cfg(feature = "spool")]
            Self::Spool(own) => own.ping().await,
        }
    }

    /// Looks at how the store is set up: one sentence for each thing by which deliveries could be forgotten, with the
    /// remedy. To be logged as warnings at start.
    ///
    /// # Errors
    /// When the store does not answer, or can never hold a ledger.
    pub async fn check(&self) -> Result<Vec<String>, LedgerError> {
        match self {
            Self::Memory(_) => {
                Ok(vec!["the ledger is in memory: a restart forgets what was delivered, and bills it twice".to_owned()])
            }
            Self::Redis(own) => own.check().await,
            Self::DynamoDb(own) => own.check().await,
            #[cfg(feature = "spool")]
            Self::Spool(own) => own.ping().await.map(|()| Vec::new()),
        }
    }
}

fn absent(store: &'static str, reason: &str) -> LedgerError {
    LedgerError { store, reason: reason.to_owned(), away: false }
}
