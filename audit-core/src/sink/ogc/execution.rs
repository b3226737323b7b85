//! The execution request: one batch of records.

use std::borrow::Borrow;

use bytes::Bytes;
use reqwest::Url;
use serde::Serialize;

use crate::ledger::BatchId;
use crate::record::MeteringRecord;

/// The most of records in one body, in bytes as JSON: under the server's 10 MiB with room for proxies that count otherwise.
pub const MAX_RECORD_BYTES: usize = 9 * 1024 * 1024;

#[derive(Serialize)]
struct Body {
    inputs: Inputs,
}

#[derive(Serialize)]
struct Inputs {
    title: String,
    logs: Vec<String>,
}

/// The name of a batch at the resource server: kept there with the job for ever.
#[must_use]
pub fn title(batch: BatchId) -> String {
    format!("s3audit {batch}")
}

/// The body of the request for `records` as `batch`.
///
/// # Errors
/// Never in practice: text always has a JSON form.
pub fn body<R: Borrow<MeteringRecord>>(batch: BatchId, records: &[R]) -> Result<Bytes, serde_json::Error> {
    let logs = records.iter().map(|record| record.borrow().to_string()).collect();
    serde_json::to_vec(&Body { inputs: Inputs { title: title(batch), logs } }).map(Bytes::from)
}

/// What `record` adds to a body, in bytes: quotes, escapes and comma included.
#[must_use]
pub fn weight_bytes(record: &MeteringRecord) -> usize {
    // Of what a line can hold, only these two grow as JSON: there is no control character in any field.
    let line = record.to_string();
    line.len() + line.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count() + 3
}

/// The process's own URL, or `path` beside `processes`; `None` where `execution` is no execution endpoint.
#[must_use]
pub fn below(execution: &Url, path: &str) -> Option<Url> {
    let process = execution.path().trim_end_matches('/').strip_suffix("/execution")?;
    let (above, id) = process.rsplit_once('/')?;
    let base = above.strip_suffix("processes").filter(|_| !id.is_empty())?;
    let mut url = execution.clone();
    url.set_query(None);
    url.set_path(&if path.is_empty() { process.to_owned() } else { format!("{base}{path}") });
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(item: &str) -> MeteringRecord {
        format!("{0}|{0}|{item}|2025-10-27T10:12:30Z|1|aws_s3", uuid::Uuid::nil()).parse().unwrap()
    }

    #[test]
    fn a_batch_is_named() {
        let batch = BatchId(uuid::Uuid::nil());
        let body = String::from_utf8(body(batch, &[record("a\"b")]).unwrap().to_vec()).unwrap();
        insta::assert_snapshot!(body, @r#"{"inputs":{"title":"s3audit 00000000-0000-0000-0000-000000000000","logs":["00000000-0000-0000-0000-000000000000|00000000-0000-0000-0000-000000000000|a\"b|2025-10-27T10:12:30Z|1|aws_s3"]}}"#);
    }

    #[test]
    fn addresses_are_beside_the_execution_endpoint() {
        let url = |text: &str, path: &str| below(&text.parse().unwrap(), path).map(|url| url.to_string());
        assert_eq!(url("https://h/processes/p/execution", "").unwrap(), "https://h/processes/p");
        assert_eq!(url("https://h/a/processes/p/execution/?x=1", "jobs/j").unwrap(), "https://h/a/jobs/j");
        for text in [
            "https://h/processes/p",
            "https://h/execution",
            "https://h/processes//execution",
            "https://h/other/p/execution",
        ] {
            assert_eq!(url(text, ""), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_weight_is_what_is_sent(items in prop::collection::vec("[^|\\pC]*[!-{][^|\\pC]*", 1..5)) {
            let records: Vec<_> = items.iter().map(|item| record(item)).collect();
            let frame = body::<MeteringRecord>(BatchId(uuid::Uuid::nil()), &[]).unwrap().len();
            let weight: usize = records.iter().map(weight_bytes).sum();
            // The last record has no comma.
            prop_assert_eq!(body(BatchId(uuid::Uuid::nil()), &records).unwrap().len(), frame + weight - 1);
        }
    }
}
