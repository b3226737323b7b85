//! `s3audit minio setup` and `check`, when all is well.

use std::time::Instant;

use super::between::Between;
use super::{Rig, Told};

fn lines<'t>(told: &'t Told, mark: &str) -> Vec<&'t str> {
    told.stdout.lines().filter_map(|line| line.strip_prefix(mark)).collect()
}

#[tokio::test]
async fn from_scratch_then_again_then_checked() {
    let Some(rig) = Rig::start(&[]).await else { return };
    rig.bucket("stac");
    rig.bucket("maps");
    let queue = rig.queue_dir();
    let wanted = ["setup", "--queue-dir", &queue, "--notify", "--bucket", "stac", "--bucket", "maps"];

    let start = Instant::now();
    let first = rig.s3audit(&wanted, &[]).await;
    println!("set-up from scratch: {:.1} s\n{}", start.elapsed().as_secs_f64(), first.stdout);
    assert_eq!(first.status, 0, "{}", first.all());
    let changes = lines(&first, "++  ");
    assert_eq!(changes.len(), 5, "{changes:?}");
    assert!(
        changes.iter().any(|line| line.contains("its ARN is arn:minio:sqs:") && line.ends_with(":metering:webhook"))
    );
    assert!(first.stdout.ends_with("set up: 5 changes\n"), "{}", first.stdout);

    let audit = rig.stored("audit_webhook:metering");
    assert!(audit.contains(&format!("endpoint={}", rig.receiver.url("/auditlogs/processor"))), "{audit}");
    assert!(audit.contains("batch_size=100") && audit.contains("http_timeout=10s"), "{audit}");
    assert!(audit.contains(&format!("queue_dir=\"{queue}\"")), "{audit}");
    let events = rig.minio.mc(&["event", "list", "local/maps"]).unwrap();
    assert!(events.contains(":metering:webhook") && events.contains("s3:ObjectAccessed:Get"), "{events}");

    let start = Instant::now();
    let second = rig.s3audit(&wanted, &[]).await;
    println!("set-up again: {:.1} s", start.elapsed().as_secs_f64());
    assert_eq!(second.status, 0, "{}", second.all());
    assert_eq!(lines(&second, "++  "), [""; 0]);
    assert!(second.stdout.ends_with("nothing to change: MinIO was set up already\n"), "{}", second.stdout);
    assert_eq!(rig.stored("audit_webhook:metering"), audit);
    assert_eq!(rig.minio.mc(&["event", "list", "local/maps"]).unwrap(), events);

    let check = rig.s3audit(&["check", "--queue-dir", &queue, "--notify", "--bucket", "stac"], &[]).await;
    assert_eq!(check.status, 0, "{}", check.all());
    assert_eq!((lines(&check, "++  ").len(), lines(&check, "!!  ").len()), (0, 0), "{}", check.stdout);
    assert!(check.stdout.contains("a presigned download was seen to arrive"), "{}", check.stdout);
    assert!(!rig.buckets().contains("s3audit-probe"), "{}", rig.buckets());
}

#[tokio::test]
async fn the_audit_webhook_alone_needs_no_restart_and_a_change_is_made_in_place() {
    let Some(rig) = Rig::start(&[]).await else { return };
    let first = rig.s3audit(&["setup"], &[]).await;
    assert_eq!(first.status, 0, "{}", first.all());
    assert!(first.stdout.contains("--  no queue_dir"), "{}", first.stdout);
    assert!(!first.stdout.contains("started again"), "{}", first.stdout);

    let checked = rig.s3audit(&["check", "--batch-size", "50"], &[]).await;
    assert_eq!(checked.status, 1, "{}", checked.all());
    assert_eq!(lines(&checked, "!!  "), ["audit_webhook:metering differs in batch_size (run setup)"]);
    assert!(rig.stored("audit_webhook:metering").contains("batch_size=100"));

    let changed = rig.s3audit(&["setup", "--batch-size", "50"], &[]).await;
    assert_eq!(changed.status, 0, "{}", changed.all());
    assert_eq!(lines(&changed, "++  "), ["audit_webhook:metering is set now: it differed in batch_size"]);
    assert!(rig.stored("audit_webhook:metering").contains("batch_size=50"));
}

#[tokio::test]
async fn an_object_that_is_there_can_be_the_one_that_is_downloaded() {
    let Some(rig) = Rig::start(&[]).await else { return };
    rig.bucket("stac");
    // Larger than what is kept of an answer.
    e2e::aws::put_object(&rig.minio.s3(), "stac", "a b/ü.tif", vec![7; 4 << 20]).await.unwrap();
    let between = Between::before(rig.minio.endpoint(), None, None);
    let settings = [("MINIO_ENDPOINT", between.endpoint.as_str())];
    let told = rig.s3audit(&["setup", "--object", "stac/a b/ü.tif"], &settings).await;
    assert_eq!(told.status, 0, "{}", told.all());
    assert!(told.stdout.contains("a presigned download was seen to arrive"), "{}", told.stdout);
    let downloads = between.asked("x-amz-signature=");
    assert!(!downloads.is_empty());
    for head in downloads {
        assert!(head.contains("\r\nrange: bytes=0-0") && head.contains("\r\nuser-agent: s3audit/"), "{head}");
    }

    e2e::aws::put_object(&rig.minio.s3(), "stac", "empty", Vec::new()).await.unwrap();
    let empty = rig.s3audit(&["check", "--object", "stac/empty"], &[]).await;
    assert!(empty.status == 1 && empty.stderr.contains("stac/empty is empty"), "{}", empty.all());
}

#[tokio::test]
async fn what_would_lose_entries_is_told() {
    let Some(rig) = Rig::start(&[]).await else { return };
    let [old, new] = ["old queue", "queue"].map(|name| rig.directory.path().join(name).to_str().unwrap().to_owned());
    let first = rig.s3audit(&["setup", "--queue-dir", &old], &[]).await;
    assert_eq!(first.status, 0, "{}", first.all());
    let left = format!("--  entries that wait in {old} are not sent from there any more");
    assert!(!first.stdout.contains(&left), "{}", first.stdout);
    let moved = rig.s3audit(&["setup", "--queue-dir", &new], &[]).await;
    assert!(moved.status == 0 && moved.stdout.contains(&left), "{}", moved.all());

    rig.minio.mc(&["admin", "config", "set", "local", "audit_webhook:metering", "max_retry=3"]).unwrap();
    let checked = rig.s3audit(&["check", "--queue-dir", &new], &[]).await;
    assert_eq!(checked.status, 1, "{}", checked.all());
    assert_eq!(lines(&checked, "!!  "), ["audit_webhook:metering differs in max_retry (run setup)"]);
}

#[tokio::test]
async fn secrets_may_be_in_files() {
    let Some(rig) = Rig::start(&[]).await else { return };
    let token = rig.directory.path().join("token");
    let password = rig.directory.path().join("password");
    std::fs::write(&token, format!("{}\n", e2e::receiver::TOKEN)).unwrap();
    std::fs::write(&password, e2e::aws::SECRET_KEY).unwrap();
    let files = [
        ("WEBHOOK_AUTH_TOKEN", ""),
        ("WEBHOOK_AUTH_TOKEN_FILE", token.to_str().unwrap()),
        ("MINIO_ROOT_PASSWORD", ""),
        ("MINIO_ROOT_PASSWORD_FILE", password.to_str().unwrap()),
    ];
    let told = rig.s3audit(&["setup"], &files).await;
    assert_eq!(told.status, 0, "{}", told.all());
}
