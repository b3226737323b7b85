//! What the demo prints, and the checks of what it prints.

use std::io::Write as _;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The count `name`.
pub(crate) fn number(of: &Value, name: &str) -> Result<u64> {
    of[name].as_u64().with_context(|| format!("{name} as a number in {of}"))
}

/// Both equations of the accounts, checked.
pub(crate) fn tally(program: &str, tally: &Value) -> Result<()> {
    let reasons = |of: &Value| {
        let texts = of.as_object().into_iter().flatten().map(|(reason, count)| format!("{reason} {count}"));
        texts.collect::<Vec<_>>().join(", ")
    };
    let sum = |of: &Value| of.as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum::<u64>();
    let (skipped, quarantined) = (sum(&tally["skipped"]), sum(&tally["quarantined"]));
    let [records, downloads, duplicates] = ["records", "downloads", "duplicates"].map(|name| number(tally, name));
    let [delivered, pending, held] = ["delivered", "pending", "held"].map(|name| number(tally, name));
    let (records, downloads, duplicates) = (records?, downloads?, duplicates?);
    let (delivered, pending, held) = (delivered?, pending?, held?);
    say(&format!(
        "{program}: {records} records = {downloads} downloads + {skipped} skipped + {duplicates} duplicates + {quarantined} quarantined"
    ));
    say(&format!("  downloads: {downloads} = {delivered} delivered + {pending} pending + {held} held"));
    say(&format!("  skipped: {}", reasons(&tally["skipped"])));
    say(&format!("  quarantined: {}", reasons(&tally["quarantined"])));
    ensure!(records == downloads + skipped + duplicates + quarantined, "{program}: a record is not accounted for");
    ensure!(downloads == delivered + pending + held, "{program}: a download is not accounted for");
    Ok(())
}

/// The table, by user and collection.
pub(crate) fn rows(rows: &Value) -> Result<()> {
    say(&format!("COUNT(*) = {}", number(rows, "count")?));
    say(&format!("{:<36}  {:<36}  {:>5}  {:>12}", "user_id", "collection_id", "rows", "bytes"));
    for group in rows["groups"].as_array().into_iter().flatten() {
        let text = |name: &str| group[name].as_str().unwrap_or("?").to_owned();
        let [count, bytes] = ["count", "bytes"].map(|name| group[name].to_string());
        say(&format!("{}  {}  {count:>5}  {bytes:>12}", text("user_id"), text("collection_id")));
    }
    Ok(())
}

/// What the dashboard would show, and that the programs say the same.
pub(crate) fn events(events: &Value, trail: &Value, metrics: &Value) -> Result<()> {
    for name in ["by_method", "by_region"] {
        let counts = events[name].as_object().into_iter().flatten().map(|(value, count)| format!("{value} {count}"));
        say(&format!("{name}: {}", counts.collect::<Vec<_>>().join(", ")));
    }
    let own = &trail["analytics"];
    let parts = ["recorded", "duplicates", "excluded"].map(|part| format!("{} {part}", own[part]));
    say(&format!("lambda-cloudtrail: {} reads = {}", own["events"], parts.join(" + ")));
    let downloads = events["recorded"].as_array().into_iter().flatten().filter(|event| event["name"] == "S3 Download");
    let (shown, recorded) =
        (downloads.count() as u64, number(metrics, "analytics_recorded")? + number(own, "recorded")?);
    ensure!(shown == recorded, "{recorded} events were recorded, but the dashboard has {shown}");
    say(&format!("{recorded} recorded = {shown} events"));
    Ok(())
}

/// What the programs say they delivered is what the database has.
pub(crate) fn check_rows(trail: &Value, metrics: &Value, rows: &Value) -> Result<()> {
    let delivered = number(trail, "delivered")? + number(metrics, "delivered")?;
    let count = number(rows, "count")?;
    ensure!(delivered == count, "{delivered} records were delivered, but the database has {count} rows");
    say(&format!("{delivered} delivered = {count} rows"));
    Ok(())
}

pub(crate) fn step(what: &str) {
    print(&format!("\n● {what}"));
}

pub(crate) fn say(line: &str) {
    print(&format!("  {line}"));
}

fn print(line: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody reads on: then there is nobody to tell, either.
    let _closed = writeln!(out, "{line}").and_then(|()| out.flush());
}
