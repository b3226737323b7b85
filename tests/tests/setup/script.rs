//! `deploy/minio-setup.sh`, the sidecar's program.

use std::io::Write as _;

use super::between::Between;
use super::{Rig, TOKEN};

/// Whether `mc` and `curl` are here for it. Where they are not, that is told.
pub(crate) fn tools_are_here(test: &str) -> bool {
    let missing: Vec<_> = ["mc", "curl"].into_iter().filter(|program| e2e::tool(program).is_none()).collect();
    if !missing.is_empty() {
        let why = format!("\n!!! NOT RUN: {test}: no {} in the tools' cache or on PATH !!!\n", missing.join(", no "));
        std::io::stderr().write_all(why.as_bytes()).unwrap();
    }
    missing.is_empty()
}

#[tokio::test]
async fn the_script_sets_up_from_scratch_then_again() {
    let Some(rig) = Rig::start(&[]).await else { return };
    if !tools_are_here("the_script_sets_up_from_scratch_then_again") {
        return;
    }
    rig.bucket("stac");
    let queue = rig.directory.path().join("queue").to_str().unwrap().to_owned();
    let settings = [("QUEUE_DIR", queue.as_str()), ("NOTIFY_BUCKETS", "stac")];
    let first = rig.script(&[], &settings).await;
    assert_eq!(first.status, 0, "{}", first.all());
    assert!(first.stdout.ends_with("set up: 3 changes\n"), "{}", first.all());
    assert!(first.stdout.contains("its ARN is arn:minio:sqs:"), "{}", first.stdout);

    let second = rig.script(&[], &settings).await;
    assert_eq!(second.status, 0, "{}", second.all());
    assert!(second.stdout.ends_with("nothing to change: MinIO was set up already\n"), "{}", second.all());
    assert!(!second.stdout.contains("++"), "{}", second.stdout);

    let checked = rig.script(&["--check"], &settings).await;
    assert_eq!(checked.status, 0, "{}", checked.all());
    // What one of the two set up, the other finds set up.
    let other = rig.s3audit(&["setup", "--queue-dir", &queue, "--notify", "--bucket", "stac"], &[]).await;
    assert_eq!(other.status, 0, "{}", other.all());
    assert!(other.stdout.ends_with("nothing to change: MinIO was set up already\n"), "{}", other.stdout);
    assert!(!rig.buckets().contains("s3audit-probe"), "{}", rig.buckets());
    let left: Vec<_> = std::fs::read_dir(rig.directory.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(
        !left.iter().any(|name| name.to_str().unwrap().starts_with("tmp.")),
        "the keys are still on disk: {left:?}"
    );
}

#[tokio::test]
async fn the_script_says_what_is_wrong() {
    let Some(rig) = Rig::start(&[]).await else { return };
    if !tools_are_here("the_script_says_what_is_wrong") {
        return;
    }
    let cases = [
        ("MINIO_ROOT_PASSWORD", "wr0ng-secret", "MINIO_ROOT_PASSWORD: expected the secret key"),
        ("MINIO_ROOT_USER", "nobody", "MINIO_ROOT_USER: expected an access key that MinIO knows"),
        ("WEBHOOK_AUTH_TOKEN", "wr0ng-token", "WEBHOOK_AUTH_TOKEN: expected the token"),
        ("WEBHOOK_AUTH_TOKEN", "", "WEBHOOK_AUTH_TOKEN: expected a value (or WEBHOOK_AUTH_TOKEN_FILE)"),
        ("NOTIFY_BUCKETS", "none", "NOTIFY_BUCKETS: expected a bucket that is there: none"),
        ("WEBHOOK_ID", "a b", "WEBHOOK_ID: expected"),
        ("RECEIVER_URL", "http://receiver/?token=wr0ng", "RECEIVER_URL: expected"),
    ];
    for (variable, value, words) in cases {
        let told = rig.script(&[], &[(variable, value)]).await;
        let all = told.all();
        assert_ne!(told.status, 0, "{all}");
        assert!(all.contains(words) && !all.contains("wr0ng"), "{words}: {all}");
    }
    // What MinIO refuses it repeats, the token included.
    for token in [TOKEN, &format!("Bearer {TOKEN}")] {
        let refused = rig.script(&[], &[("HTTP_TIMEOUT", "x"), ("WEBHOOK_AUTH_TOKEN", token)]).await.all();
        assert!(refused.contains("audit_webhook:metering: MinIO refuses: The setting is refused"), "{refused}");
        assert!(!refused.contains(TOKEN), "{refused}");
    }
    let checked = rig.script(&["--check"], &[]).await;
    assert!(
        checked.status != 0 && checked.all().contains("audit_webhook:metering is not as wanted"),
        "{}",
        checked.all()
    );
    assert!(!rig.stored("audit_webhook").contains("metering"), "nothing was set");
}

#[tokio::test]
async fn the_script_takes_a_proxy_s_path_as_it_is_and_names_a_directory_that_is_left() {
    let test = "the_script_takes_a_proxy_s_path_as_it_is_and_names_a_directory_that_is_left";
    let Some(rig) = Rig::start(&[]).await else { return };
    if !tools_are_here(test) {
        return;
    }
    let proxy = Between::before(&rig.receiver.url(""), Some((" /audit/in ", " /auditlogs/processor ")), None);
    let entries = format!("{}/audit/in", proxy.endpoint);
    let [old, new] = ["old queue", "queue"].map(|name| rig.directory.path().join(name).to_str().unwrap().to_owned());
    let behind = rig.script(&[], &[("RECEIVER_URL", &entries), ("QUEUE_DIR", &old)]).await;
    assert_eq!(behind.status, 0, "{}", behind.all());
    assert!(behind.stdout.contains("nobody saw whether"), "{}", behind.stdout);
    assert!(rig.stored("audit_webhook:metering").contains(&format!("endpoint={entries} ")));
    let left = format!("--  entries that wait in {old} are not sent from there any more");
    assert!(!rig.script(&[], &[("RECEIVER_URL", &entries), ("QUEUE_DIR", &old)]).await.all().contains(&left));

    let whole = rig.receiver.url("/auditlogs/processor");
    let moved = rig.script(&[], &[("RECEIVER_URL", &whole), ("QUEUE_DIR", &new)]).await;
    assert!(moved.status == 0 && moved.stdout.contains(&left), "{}", moved.all());
    assert!(moved.stdout.contains("a presigned download was seen to arrive"), "{}", moved.stdout);
}
