//! Entries in their queues: one table a sink, numbered by an ever-growing sequence.

use rusqlite::{Connection, OptionalExtension, params};

use super::schema::{CONFIRMED, HELD};
use super::stats::Change;
use super::{Sink, Spool, SpoolError};
use crate::analytics::Read;
use crate::record::{Download, Key};

/// The bodies that one reading takes into memory.
const READ_BYTES: usize = 8 << 20;

/// An entry to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// For whom.
    pub sink: Sink,
    /// What makes two entries one: an entry whose key waits already, or that this spool's ledger has confirmed or held, is not
    /// appended again. `None`: appended in any case.
    pub key: Option<Key>,
    /// What: the spool does not look into it.
    pub body: Vec<u8>,
}

/// How many of the entries given to both queues were new.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct New {
    /// For metering.
    pub downloads: u64,
    /// For analytics.
    pub reads: u64,
}

impl Item {
    /// A download to be metered, as JSON: a spool outlives the version that wrote it.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn metering(download: &Download) -> Result<Self, serde_json::Error> {
        Ok(Self { sink: Sink::Metering, key: Some(download.key()), body: serde_json::to_vec(download)? })
    }

    /// A read for the dashboard, as JSON. Copies of a record wait once; an audit entry and its notification wait both, since one tells more than
    /// the other, and the sink sees that they are one read.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn analytics(read: &Read) -> Result<Self, serde_json::Error> {
        let name = |identity: &String| format!("waits:{}:{identity}", read.bytes.is_some());
        let key = read.identity.as_ref().map(|identity| Key::new("analytics", read.backend, &name(identity)));
        Ok(Self { sink: Sink::Analytics, key, body: serde_json::to_vec(read)? })
    }
}

impl Spool {
    /// The downloads that wait to be metered, as [`read`](Self::read) gives entries. An entry that is none stays bytes, for
    /// the caller to quarantine.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn downloads(
        &self,
        after_seq: i64,
        limit: usize,
    ) -> Result<Vec<(i64, Result<Download, Vec<u8>>)>, SpoolError> {
        let entries = self.read(Sink::Metering, after_seq, limit).await?;
        let decode = |body: Vec<u8>| serde_json::from_slice(&body).map_err(|_| body);
        Ok(entries.into_iter().map(|(seq, body)| (seq, decode(body))).collect())
    }
}

pub(super) fn table(sink: Sink) -> &'static str {
    match sink {
        Sink::Metering => "metering",
        Sink::Analytics => "analytics",
    }
}

/// Inserts what is new and answers how many that were.
pub(super) fn insert(db: &Connection, items: &[Item], at_ms: i64, change: &mut Change) -> rusqlite::Result<u64> {
    let mut inserted = 0;
    for item in items {
        let sql = format!(
            "INSERT OR IGNORE INTO {} (at, key, body) SELECT ?1, ?2, ?3
             WHERE NOT EXISTS (SELECT 1 FROM ledger WHERE key = ?2 AND state IN ({CONFIRMED}, {HELD}) AND gone > ?1)",
            table(item.sink)
        );
        let key = item.key.as_ref().map(|key| &key.0);
        if db.prepare_cached(&sql)?.execute(params![at_ms, key, item.body])? > 0 {
            inserted += 1;
            change.add(item.sink, 1, i64::try_from(item.body.len()).unwrap_or(i64::MAX));
        }
    }
    Ok(inserted)
}

pub(super) fn delete(db: &Connection, sink: Sink, seqs: &[i64], change: &mut Change) -> rusqlite::Result<()> {
    let mut delete =
        db.prepare_cached(&format!("DELETE FROM {} WHERE seq = ?1 RETURNING length(body)", table(sink)))?;
    for seq in seqs {
        let removed: Option<i64> = delete.query_row([seq], |row| row.get(0)).optional()?;
        if let Some(bytes) = removed {
            change.add(sink, -1, -bytes);
        }
    }
    Ok(())
}

pub(super) fn read(db: &Connection, sink: Sink, after: i64, limit: usize) -> rusqlite::Result<Vec<(i64, Vec<u8>)>> {
    let sql = format!("SELECT seq, body FROM {} WHERE seq > ?1 ORDER BY seq LIMIT ?2", table(sink));
    let mut query = db.prepare_cached(&sql)?;
    let mut rows = query.query(params![after, i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let (mut entries, mut bytes) = (Vec::new(), 0);
    while bytes < READ_BYTES
        && let Some(row) = rows.next()?
    {
        let body: Vec<u8> = row.get(1)?;
        bytes += body.len();
        entries.push((row.get(0)?, body));
    }
    Ok(entries)
}

/// How many entries, and the bytes of their bodies.
pub(super) fn count(db: &Connection, sink: Sink) -> rusqlite::Result<(i64, i64)> {
    let sql = format!("SELECT count(*), coalesce(sum(length(body)), 0) FROM {}", table(sink));
    db.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
}
