//! What `held` and `quarantine` work with: the configuration, the stores and the delivery.

use anyhow::{Context, Result, bail};
use audit_core::clock::Clock;
use audit_core::config::{Config, Environment, Program};
use audit_core::ledger::{Ledger, LedgerUrl};
use audit_core::pipeline::{Parts, Pipeline};
use audit_core::spool::Spool;
use audit_core::store::{Place, Store};

/// Wrong usage or settings, which another try does not mend.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) &'static str);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Usage {}

/// As [`Usage`], in words that depend on what was given.
#[derive(Debug)]
pub(crate) struct Mistake(pub(crate) String);

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mistake {}

/// Something is left to do, or stopped half-way.
pub(crate) const LEFT: u8 = 1;

/// The variables that all of these commands read, for their help texts.
pub(crate) const SETTINGS: &str = "\
Settings (environment, or a .env file): those of the program whose records these are: QUARANTINE, HELD, LEDGER_URL, SPOOL,
LEDGER_TTL, PROCESS_API_URL, AUTH_URL, CLIENT_ID, CLIENT_SECRET, AUTH_ITEM_ID, AUTH_ITEM_TYPE, AUTH_ROLE, and AWS's own. With
LEDGER_URL=spool: (the default) run it where the receiver's spool is; the receiver may be running.";

/// The configuration, checked in full.
pub(crate) struct Work {
    pub(crate) config: Config,
    clock: Clock,
}

impl Work {
    pub(crate) fn load() -> Result<Self> {
        Ok(Self { config: Config::read(&Environment, Program::Cli)?, clock: Clock::system() })
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn held(&self) -> Store {
        self.store(&self.config.held)
    }

    pub(crate) fn quarantine(&self) -> Store {
        self.store(&self.config.quarantine)
    }

    fn store(&self, place: &Place) -> Store {
        Store::open(place, || self.config.aws.in_own_region().s3(), self.clock.clone())
    }

    /// What delivers, under a name of its own, with the ledger of the program whose records these are.
    pub(crate) async fn pipeline(&self) -> Result<Pipeline> {
        if self.config.process.is_none() {
            bail!(Usage("PROCESS_API_URL: expected a URL, as this needs the ledger and may deliver"));
        }
        let spool = match self.config.ledger {
            LedgerUrl::Memory => bail!(Usage(
                "LEDGER_URL: expected the ledger of the program that held or quarantined; memory: is gone with it"
            )),
            LedgerUrl::Spool => {
                let spool = Spool::attach(&self.config.receiver.spool, self.clock.clone());
                Some(spool.context("SPOOL: expected the directory of the receiver's spool, as LEDGER_URL is spool:")?)
            }
            LedgerUrl::Redis(_) | LedgerUrl::DynamoDb(_) => None,
        };
        Ok(Pipeline::open(&self.config, &self.clock, Parts { spool, ..Parts::default() }).await?)
    }
}

/// The ledger of a pipeline that [`Work::pipeline`] made.
pub(crate) fn ledger(pipeline: &Pipeline) -> Result<&Ledger> {
    pipeline.ledger().context("PROCESS_API_URL: expected a URL")
}
