//! The ledger in the standalone receiver's spool: same file, same writer, same commits.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::entry::{Entry, Moment, State};
use super::{BatchId, Claim, LedgerError, Owner, Terms};
use crate::clock::Clock;
use crate::record::Key;
use crate::spool::schema::{CONFIRMED, HELD};
use crate::spool::{Flush, Spool, SpoolError};

/// Rows looked at for each key claimed, in search of those that are over: the ledger is walked round and round.
const SWEEP: usize = 4;

/// A ledger in a spool.
#[derive(Debug)]
pub struct SpoolLedger {
    spool: Spool,
    terms: Terms,
    clock: Clock,
}

impl SpoolLedger {
    /// The ledger in `spool`.
    #[must_use]
    pub fn new(spool: Spool, terms: Terms, clock: Clock) -> Self {
        Self { spool, terms, clock }
    }

    pub(super) async fn ping(&self) -> Result<(), LedgerError> {
        self.spool.ping().await.map_err(|error| ledger_error(&error))
    }

    /// Not flushed: a claim that a failing machine forgets is free, which is what it would be found to be.
    pub(super) async fn claim(&self, keys: &[Key], owner: Owner) -> Result<Vec<Claim>, LedgerError> {
        let at = self.moment();
        let claim = move |db: &Connection, key: &Key| {
            if let Some(met) = find(db, key)?.and_then(|entry| entry.met_by(owner, at.now)) {
                return Ok(met);
            }
            put(db, key, &at.claimed(owner))?;
            Ok(Claim::Claimed)
        };
        let keys = keys.to_vec();
        let work = move |db: &Connection| {
            sweep(db, keys.len().saturating_mul(SWEEP), at.now)?;
            keys.iter().map(|key| claim(db, key)).collect()
        };
        self.spool.write(Flush::No, work).await.map_err(|error| ledger_error(&error))
    }

    pub(super) async fn sent(&self, keys: &[Key], owner: Owner, batch: BatchId) -> Result<Vec<bool>, LedgerError> {
        let at = self.moment();
        let send = move |db: &Connection, key: &Key| {
            let may = find(db, key)?.is_some_and(|entry| entry.may_be_sent(owner, batch, at.now));
            if may {
                put(db, key, &at.sent(owner, batch))?;
            }
            Ok(may)
        };
        let keys = keys.to_vec();
        let work = move |db: &Connection| keys.iter().map(|key| send(db, key)).collect();
        self.spool.write(Flush::Yes, work).await.map_err(|error| ledger_error(&error))
    }

    pub(super) async fn confirm(&self, keys: &[Key], batch: BatchId) -> Result<(), LedgerError> {
        let at = self.moment();
        self.turn(keys, Some(at.kept(State::Confirmed)), move |entry| entry.may_be_confirmed(batch, at.now)).await
    }

    pub(super) async fn hold(&self, keys: &[Key], batch: BatchId) -> Result<(), LedgerError> {
        let at = self.moment();
        self.turn(keys, Some(at.kept(State::Held(batch))), move |entry| entry.may_be_held(batch, at.now)).await
    }

    /// Flushed: a release that a failing machine forgets would leave a `sent`, to be settled by a person.
    pub(super) async fn release(&self, keys: &[Key], owner: Owner) -> Result<(), LedgerError> {
        self.turn(keys, None, move |entry| entry.may_be_released(owner)).await
    }

    pub(super) async fn settle(&self, keys: &[Key], batch: BatchId, delivered: bool) -> Result<(), LedgerError> {
        let at = self.moment();
        let next = delivered.then(|| at.kept(State::Confirmed));
        self.turn(keys, next, move |entry| entry.may_be_settled(batch, at.now)).await
    }

    /// Puts `next` in the place of the entries that `may`, or takes them out.
    async fn turn(
        &self,
        keys: &[Key],
        next: Option<Entry>,
        may: impl Fn(&Entry) -> bool + Send + 'static,
    ) -> Result<(), LedgerError> {
        let keys = keys.to_vec();
        let work = move |db: &Connection| {
            for key in &keys {
                match (find(db, key)?.filter(&may), next) {
                    (Some(_), Some(next)) => put(db, key, &next)?,
                    (Some(_), None) => remove(db, key)?,
                    (None, _) => {}
                }
            }
            Ok(())
        };
        self.spool.write(Flush::Yes, work).await.map_err(|error| ledger_error(&error))
    }

    fn moment(&self) -> Moment {
        Moment::new(self.clock.now(), self.terms)
    }
}

fn ledger_error(error: &SpoolError) -> LedgerError {
    let reason = error.to_string();
    LedgerError { store: "spool", reason: reason.strip_prefix("spool: ").unwrap_or(&reason).to_owned(), away: false }
}

fn find(db: &Connection, key: &Key) -> rusqlite::Result<Option<Entry>> {
    let mut query = db.prepare_cached("SELECT state, owner, batch, until, gone FROM ledger WHERE key = ?1")?;
    query.query_row([&key.0], decode).optional()
}

fn decode(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let uuid = |column| row.get::<usize, [u8; 16]>(column).map(Uuid::from_bytes);
    let state = match row.get::<_, i64>(0)? {
        0 => State::Claimed(Owner(uuid(1)?)),
        1 => State::Sent(Owner(uuid(1)?), BatchId(uuid(2)?)),
        CONFIRMED => State::Confirmed,
        HELD => State::Held(BatchId(uuid(2)?)),
        _ => return Err(rusqlite::Error::InvalidColumnType(0, "state".to_owned(), Type::Integer)),
    };
    Ok(Entry { state, until: row.get(3)?, gone: row.get(4)? })
}

fn put(db: &Connection, key: &Key, entry: &Entry) -> rusqlite::Result<()> {
    let (state, owner, batch) = match &entry.state {
        State::Claimed(owner) => (0, Some(owner), None),
        State::Sent(owner, batch) => (1, Some(owner), Some(batch)),
        State::Confirmed => (CONFIRMED, None, None),
        State::Held(batch) => (HELD, None, Some(batch)),
    };
    let (owner, batch) = (owner.map(|owner| owner.0.as_bytes()), batch.map(|batch| batch.0.as_bytes()));
    db.prepare_cached(
        "INSERT OR REPLACE INTO ledger (key, state, owner, batch, until, gone) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![key.0, state, owner, batch, entry.until, entry.gone])
    .map(drop)
}

fn remove(db: &Connection, key: &Key) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM ledger WHERE key = ?1")?.execute([&key.0]).map(drop)
}

/// Removes what is over among the next `rows` of the walk, and remembers where it stopped.
fn sweep(db: &Connection, rows: usize, now: i64) -> rusqlite::Result<()> {
    let mut mark = db.prepare_cached("SELECT value FROM meta WHERE name = 'swept'")?;
    let from: Vec<u8> = mark.query_row([], |row| row.get(0)).optional()?.unwrap_or_default();
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    let mut last = db.prepare_cached("SELECT key FROM ledger WHERE key > ?1 ORDER BY key LIMIT 1 OFFSET ?2")?;
    let to: Option<Vec<u8>> = last.query_row(params![from, rows], |row| row.get(0)).optional()?;
    match &to {
        Some(to) => db
            .prepare_cached("DELETE FROM ledger WHERE key > ?1 AND key <= ?2 AND gone <= ?3")?
            .execute(params![from, to, now])?,
        None => db.prepare_cached("DELETE FROM ledger WHERE key > ?1 AND gone <= ?2")?.execute(params![from, now])?,
    };
    let mut mark = db.prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES ('swept', ?1)")?;
    mark.execute([to.unwrap_or_default()]).map(drop)
}
