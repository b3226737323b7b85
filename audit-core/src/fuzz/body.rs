//! The body of a POST by MinIO.

use std::io::{self, Read};

use serde::de::IgnoredAny;

use crate::policy::MeteringPolicy;
use crate::source::minio::{Entries, Reading, read_for};

const LONGEST: usize = 1 << 20;
/// An entry as MinIO sends them, on one line, of a request that no other bytes are likely to name.
const GOOD: &str = r#"{"deploymentid":"d","requestID":"18C20E50F4D6FFFF","time":"2026-01-02T03:04:05Z","trigger":"incoming","api":{"name":"GetObject","bucket":"b","object":"o","statusCode":200,"tx":1},"requestQuery":{"X-Amz-Signature":"s","userId":"0b5f1c2a-6c1e-4b7e-9c55-1d5e2f3a4b6c","collectionId":"2d6c7e90-11aa-4f0b-8a55-6f7e8d9c0b1a","itemId":"i"}}"#;
const REQUEST: &str = "18C20E50F4D6FFFF";

/// A body of any bytes: every entry accounted for; the same entries however the bytes arrive, all of them objects and JSON; and a good entry on a
/// line of its own is never lost by what comes before it.
pub fn minio_body(body: &[u8]) {
    let reading = adds_up(body);
    let whole = entries(body, usize::MAX);
    let found = whole.len() as u64;
    assert!(reading.records == found || reading.probes == 1, "{} records of {found} entries", reading.records);
    assert!(whole.iter().map(|entry| entry.text.len()).sum::<usize>() <= body.len(), "more text than there is");
    for piece in [1, 7] {
        assert_eq!(whole, entries(body, piece), "pieces of {piece} bytes matter");
    }
    for entry in whole.iter().filter(|entry| entry.good) {
        let read = serde_json::from_slice::<IgnoredAny>(&entry.text);
        assert!(entry.text.starts_with(b"{") && read.is_ok(), "no JSON object: {read:?}");
    }
    let with_good = [body, b"\n", GOOD.as_bytes(), b"\n"].concat();
    let reading = adds_up(&with_good);
    let billed = reading.downloads.iter().any(|download| download.identity.contains(REQUEST));
    let kept =
        reading.quarantined.iter().any(|record| record.record.contains(REQUEST) || record.record.len() >= 64 << 10);
    assert!(billed || kept, "a good entry is lost behind others");
}

fn adds_up(body: &[u8]) -> Reading {
    let reading = read_for(body, &"request:r".into(), &MeteringPolicy::default(), true);
    let told = reading.downloads.len() + reading.quarantined.len();
    let sum = told as u64 + reading.skipped.values().sum::<u64>();
    assert_eq!(reading.records, sum, "entries that nothing accounts for");
    assert!(reading.probes == 0 || (reading.probes == 1 && sum == 0), "a probe with entries");
    reading
}

#[derive(Debug, PartialEq, Eq)]
struct Found {
    good: bool,
    text: Vec<u8>,
}

fn entries(body: &[u8], piece: usize) -> Vec<Found> {
    let mut entries = Entries::new(Pieces { rest: body, piece }, LONGEST);
    let mut found = Vec::new();
    // Reading from memory cannot fail.
    while let Ok(Some(entry)) = entries.next() {
        let (good, text) = match entry.json {
            Ok(text) => (true, text),
            Err((_, text)) => (false, text),
        };
        found.push(Found { good, text: text.to_vec() });
    }
    found
}

/// Gives its bytes in pieces.
struct Pieces<'b> {
    rest: &'b [u8],
    piece: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.piece.min(into.len());
        let mut now = self.rest.take(len as u64);
        let read = now.read(into)?;
        self.rest = self.rest.get(read..).unwrap_or_default();
        Ok(read)
    }
}
