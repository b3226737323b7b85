//! What there is and what it would take.

use e2e::{Get, aws};

use super::Past;

#[tokio::test]
async fn a_dry_run_counts_and_estimates_and_sends_nothing() {
    let past = Past::new().await;
    let gets = Get::many(1..=50);
    for (number, part) in gets.chunks(2).enumerate() {
        past.log("2026/03/10", &format!("f{number:02}"), part).await;
    }
    past.log("2026/04/10", "later", &Get::many(60..=61)).await;
    past.put("AWSLogs/111122223333/CloudTrail-Digest/eu-central-1/2026/03/10/d.json.gz", "digest").await;
    let told = past.backfill(&["--dry-run"], &[("LEDGER_TTL", "30d")]).await;
    assert_eq!(told.status, 0, "{}", told.stderr);
    for words in [
        "files      25 to take",
        "of 2026-03-01 to 2026-03-31",
        "skipped    1 objects without logs",
        "requests   25 to read",
        "(read 20 of the files in ",
        "records    about 50, of which 50 are downloads",
        "refused    --from: expected ",
    ] {
        assert!(told.stdout.contains(words), "{words}: {}", told.stdout);
    }
    let url = aws::create_queue(&past.moto.sqs(), &format!("dry-{}", uuid::Uuid::new_v4()), &[]).await.unwrap();
    let told = past.backfill(&["--dry-run", "--enqueue", "--queue", &url], &[]).await;
    assert!(told.stdout.contains("messages   3 or more, in 1 requests or more; 25 files"), "{}", told.stdout);

    let source = e2e::EventSource::new(past.moto.sqs(), &url, 1).await.unwrap();
    assert_eq!((past.metering.posts().await.unwrap(), source.remaining().await.unwrap()), (0, 0));
    assert!(past.metering.quarantined().unwrap().is_empty() && !past.state().exists());

    // What is finished is told apart.
    assert_eq!(past.backfill(&[], &[]).await.status, 0);
    past.log("2026/03/11", "new", &Get::many(70..=70)).await;
    let told = past.backfill(&["--dry-run"], &[]).await;
    assert!(
        told.stdout.contains("files      1 to take") && told.stdout.contains("finished   25 more"),
        "{}",
        told.stdout
    );
}
