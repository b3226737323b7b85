//! `s3audit quarantine list`.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write, stdout};

use anyhow::Result;
use audit_core::quarantine::QuarantineEntry;
use audit_core::store::Store;
use serde_json::json;

use super::filter::{Filter, Met, Records};
use crate::complain;

/// Prints the records, or how many there are by day, reason and source; all posts to the receiver are one source.
pub(super) async fn list(store: &Store, filter: &Filter, json: bool, records: bool) -> Result<()> {
    let mut out = BufWriter::new(stdout());
    let mut groups: BTreeMap<(String, &'static str, String), u64> = BTreeMap::new();
    let mut met = Records::open(store, filter).await?;
    while let Some(met) = met.next().await? {
        let (day, entry) = match met {
            Met::Entry(day, entry) => (day, entry),
            Met::Unreadable(file, line) => {
                complain(&anyhow::anyhow!("{file} line {line}: expected a quarantined record"));
                continue;
            }
        };
        if records {
            let QuarantineEntry { reason, detail, source, id, seen_at, record: _ } = &entry;
            if json {
                let object =
                    json!({"reason": reason, "detail": detail, "source": source, "id": id, "seen_at": seen_at});
                writeln!(out, "{object}")?;
            } else {
                let id = id.as_deref().unwrap_or("-");
                writeln!(out, "{seen_at}  {}  {source}  {id}  {detail}", reason.name())?;
            }
        } else {
            *groups.entry((day, entry.reason.name(), origin(&entry.source))).or_default() += 1;
        }
    }
    for ((day, reason, source), records) in groups {
        if json {
            writeln!(out, "{}", json!({"day": day, "reason": reason, "source": source, "records": records}))?;
        } else {
            writeln!(out, "{day}  {reason}  {source}  {records}")?;
        }
    }
    Ok(out.flush()?)
}

fn origin(source: &str) -> String {
    let origin = source.rsplit_once('#').map_or(source, |(origin, _)| origin);
    if origin.starts_with("request:") { "request".to_owned() } else { origin.to_owned() }
}
