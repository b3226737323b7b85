use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::policy::QuarantineReason;
use crate::quarantine::Quarantined;

fn store(place: &Place) -> Store {
    let now = || "2026-07-14T23:59:59Z".parse().unwrap();
    Store::open(place, || unreachable!("a directory needs no client"), Clock::from_fn(now))
}

fn entry(store: &Store, number: u64) -> QuarantineEntry {
    let record = r#"{"a":1.50}"#.to_owned();
    let detail = "expected more".to_owned();
    Quarantined { reason: QuarantineReason::InvalidBytes, detail, number, id: Some("i".into()), record }
        .entry("s3://b/k", store.now())
        .unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn line(key: &str) -> HeldLine {
    HeldLine { line: "u|c|i|t|1|minio".into(), key: key.into(), identity: "i".into(), source: "request:r#1".into() }
}

fn batch(id: u128, keys: &[&str]) -> HeldBatch {
    HeldBatch {
        batch: BatchId(Uuid::from_u128(id)),
        held_at: "2026-07-14T00:00:00Z".parse().unwrap(),
        what: "timed out".into(),
        lines: keys.iter().map(|key| line(key)).collect(),
    }
}

#[test]
fn places_are_directories_or_in_s3() {
    let s3 = |bucket: &str, prefix: &str| Ok(Place::S3 { bucket: bucket.into(), prefix: prefix.into() });
    assert_eq!("s3://b/a/b/".parse(), s3("b", "a/b"));
    assert_eq!("s3://b".parse(), s3("b", ""));
    assert_eq!("/var/held".parse(), Ok(Place::Directory("/var/held".into())));
    for text in ["", "s3://", "s3:///p", "https://b/p"] {
        assert_eq!(text.parse::<Place>(), Err(InvalidPlace), "{text}");
    }
}

#[tokio::test]
async fn quarantined_records_are_lines_of_the_day() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new/quarantine");
    let store = store(&Place::Directory(path.clone()));
    assert_eq!(store.quarantine_files().await.unwrap(), Vec::<String>::new());
    store.quarantine(&[]).await.unwrap();
    assert!(!path.exists());
    store.quarantine(&[entry(&store, 1), entry(&store, 2)]).await.unwrap();

    let file = path.join("2026-07-14.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(
        text.lines().next().unwrap(),
        r#"{"reason":"invalid_bytes","detail":"expected more","source":"s3://b/k#1","id":"i","seen_at":"2026-07-14T23:59:59Z","record":{"a":1.50}}"#
    );
    assert_eq!((mode(&file), mode(&path)), (0o600, 0o700));
}

#[tokio::test]
async fn a_line_torn_by_a_crash_spoils_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&Place::Directory(directory.path().into()));
    std::fs::write(directory.path().join("2026-07-14.jsonl"), "{\"reason\":\"mal").unwrap();
    store.quarantine(&[entry(&store, 7)]).await.unwrap();

    let names = store.quarantine_files().await.unwrap();
    let mut lines = store.quarantine_file(&names[0]).await.unwrap();
    assert!(lines.next().await.unwrap().unwrap().entry.is_none());
    let second = lines.next().await.unwrap().unwrap();
    assert_eq!((second.number, second.entry.unwrap().source.as_str()), (2, "s3://b/k#7"));
    assert!(lines.next().await.unwrap().is_none());
}

#[tokio::test]
async fn what_cannot_be_written_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let store = store(&Place::Directory(file));
    assert!(store.quarantine(&[entry(&store, 1)]).await.unwrap_err().to_string().contains("cannot append"));
    assert!(store.put_held(batch(1, &["a"])).await.is_err());
}

#[tokio::test]
async fn many_writers_lose_no_line() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&Place::Directory(directory.path().into()));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..16 {
        let store = store.clone();
        tasks.spawn(async move {
            store.quarantine(&[entry(&store, number)]).await.unwrap();
            store.put_held(batch(1, &[&format!("{number}")])).await.unwrap();
        });
    }
    tasks.join_all().await;
    let text = std::fs::read_to_string(directory.path().join("2026-07-14.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 16);
    assert_eq!(store.get_held(BatchId(Uuid::from_u128(1))).await.unwrap().unwrap().lines.len(), 16);
}

#[tokio::test]
async fn held_batches_are_kept_merged_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&Place::Directory(directory.path().join("held")));
    let id = BatchId(Uuid::from_u128(5));
    assert_eq!(store.held().await.unwrap(), []);
    store.put_held(batch(5, &["a", "b"])).await.unwrap();
    // What a killed process was writing.
    std::fs::write(directory.path().join("held/.x7.tmp"), "{").unwrap();
    store.put_held(batch(4, &["z"])).await.unwrap();
    store.put_held(HeldBatch { what: "later".into(), ..batch(5, &["b", "c"]) }).await.unwrap();

    assert_eq!(store.held().await.unwrap(), [BatchId(Uuid::from_u128(4)), id]);
    assert_eq!(store.get_held(id).await.unwrap(), Some(batch(5, &["a", "b", "c"])));
    let file = directory.path().join(format!("held/{id}.json"));
    assert_eq!(mode(&file), 0o600);
    assert!(std::fs::read_to_string(&file).unwrap().contains("u|c|i|t|1|minio"));

    store.remove_held(id).await.unwrap();
    store.remove_held(id).await.unwrap();
    assert_eq!(store.get_held(id).await.unwrap(), None);
    assert_eq!(std::fs::read_dir(directory.path().join("held")).unwrap().count(), 1);

    std::fs::write(&file, "{\"batch\":5}").unwrap();
    assert!(store.get_held(id).await.unwrap_err().to_string().contains("expected a held batch"));
    // What cannot be read is not written over.
    assert!(store.put_held(batch(5, &["a"])).await.is_err());
}
