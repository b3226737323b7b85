//! What is wrong is told in one line that names what to mend.

use e2e::free_port;

use super::{Rig, Told};

/// The one line that `told` ends with.
fn complaint(told: &Told) -> String {
    let all = told.all();
    let lines: Vec<_> = told.stderr.lines().filter(|line| line.starts_with("s3audit: ")).collect();
    assert_eq!(lines.len(), 1, "{all}");
    lines[0].to_owned()
}

/// Arguments, changed settings, and what is said.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);

#[tokio::test]
async fn what_cannot_work_is_refused_before_anything_is_changed() {
    let Some(rig) = Rig::start(&[]).await else { return };
    let nobody = format!("http://127.0.0.1:{}", free_port().unwrap());
    rig.bucket("stac");
    rig.minio.mc(&["admin", "user", "add", "local", "reader", "reader-secret"]).unwrap();
    rig.minio.mc(&["admin", "policy", "attach", "local", "readwrite", "--user", "reader"]).unwrap();
    let receiver = rig.receiver.url("");
    let reader = [("MINIO_ROOT_USER", "reader"), ("MINIO_ROOT_PASSWORD", "reader-secret")];
    let cases: [Case<'_>; 9] = [
        (&["setup"], &[("MINIO_ROOT_PASSWORD", "wr0ng-secret")], "MINIO_ROOT_PASSWORD: expected the secret key"),
        (&["setup"], &[("MINIO_ROOT_USER", "nobody")], "MINIO_ROOT_USER: expected an access key that MinIO knows"),
        (&["setup"], &reader, "MINIO_ROOT_USER: expected an administrator"),
        (&["setup", "--wait", "1"], &[("MINIO_ENDPOINT", &nobody)], "waited for 1 s"),
        (&["setup", "--wait", "1"], &[("RECEIVER_URL", &nobody)], "waited for 1 s"),
        (&["setup"], &[("MINIO_ENDPOINT", &receiver)], "MINIO_ENDPOINT: expected MinIO's S3 endpoint"),
        (&["setup"], &[("WEBHOOK_AUTH_TOKEN", "wr0ng-token")], "WEBHOOK_AUTH_TOKEN: expected the token"),
        (&["setup", "--notify", "--bucket", "none"], &[], "--bucket none: expected a bucket that is there"),
        (&["check", "--notify", "--bucket", "none"], &[], "--bucket none: expected a bucket that is there"),
    ];
    for (arguments, change, words) in cases {
        let told = rig.s3audit(arguments, change).await;
        let line = complaint(&told);
        assert_eq!(told.status, 1, "{line}");
        assert!(line.contains(words) && !line.contains("wr0ng") && !line.contains("reader-secret"), "{words}: {line}");
    }
    assert!(!rig.stored("audit_webhook").contains("metering"), "nothing was set");
}

#[tokio::test]
async fn settings_that_are_missing_or_wrong_are_wrong_usage() {
    let Some(rig) = Rig::start(&[]).await else { return };
    for variable in ["MINIO_ENDPOINT", "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD", "RECEIVER_URL", "WEBHOOK_AUTH_TOKEN"] {
        let told = rig.s3audit(&["check"], &[(variable, "")]).await;
        assert_eq!(told.status, 64, "{variable}");
        assert!(complaint(&told).contains(&format!("{variable}: expected")), "{}", told.stderr);
    }
    for arguments in [
        ["setup", "--queue-dir", "relative"],
        ["setup", "--batch-size", "501"],
        ["setup", "--id", "a b"],
        ["setup", "--bucket", "stac"],
        ["setup", "--receiver-here", "nowhere"],
    ] {
        assert_eq!(rig.s3audit(&arguments, &[]).await.status, 64, "{arguments:?}");
    }
}

#[tokio::test]
async fn a_receiver_that_minio_cannot_reach_is_told() {
    let Some(rig) = Rig::start(&[]).await else { return };
    let nobody = format!("http://127.0.0.1:{}", free_port().unwrap());
    let here = rig.receiver.url("");
    let unreachable = ["setup", "--wait", "8", "--receiver", &nobody, "--receiver-here", &here];
    let told = rig.s3audit(&unreachable, &[]).await;
    assert_eq!(told.status, 1, "{}", told.all());
    assert!(told.stdout.contains("MinIO cannot reach") && told.stdout.contains(&nobody), "{}", told.stdout);
    assert!(!told.stdout.contains("set up:"), "{}", told.stdout);

    rig.bucket("stac");
    let notify = [&unreachable[..], &["--notify", "--bucket", "stac"]].concat();
    let told = rig.s3audit(&notify, &[]).await;
    assert_eq!(told.status, 1, "{}", told.all());
    assert!(
        complaint(&told).contains("MinIO refuses:") && told.stderr.contains("connection refused"),
        "{}",
        told.stderr
    );

    let mended = rig.s3audit(&["setup"], &[]).await;
    assert_eq!(mended.status, 0, "{}", mended.all());
    assert!(mended.stdout.contains("differed in endpoint"), "{}", mended.stdout);
}

#[tokio::test]
async fn another_token_in_minio_is_found_and_set_right() {
    let Some(rig) = Rig::start(&[]).await else { return };
    assert_eq!(rig.s3audit(&["setup"], &[]).await.status, 0);
    rig.minio.mc(&["admin", "config", "set", "local", "audit_webhook:metering", "auth_token=Bearer other"]).unwrap();

    let checked = rig.s3audit(&["check", "--wait", "6"], &[]).await;
    assert_eq!(checked.status, 1, "{}", checked.all());
    assert!(checked.stdout.contains("another token is stored"), "{}", checked.stdout);

    let mended = rig.s3audit(&["setup", "--wait", "20"], &[]).await;
    assert_eq!(mended.status, 0, "{}", mended.all());
    assert!(
        mended.stdout.contains("++  audit_webhook:metering was stored again: its token was another"),
        "{}",
        mended.stdout
    );
    assert_eq!(rig.s3audit(&["check"], &[]).await.status, 0);
}

#[tokio::test]
async fn minio_s_own_environment_wins_and_is_named() {
    let variables = [
        ("MINIO_AUDIT_WEBHOOK_ENABLE_metering", "on"),
        ("MINIO_AUDIT_WEBHOOK_ENDPOINT_metering", "http://127.0.0.1:9/elsewhere"),
    ];
    let Some(rig) = Rig::start(&variables).await else { return };
    for told in [rig.s3audit(&["setup"], &[]).await, rig.s3audit(&["check"], &[]).await] {
        assert_eq!(told.status, 1, "{}", told.all());
        assert!(
            complaint(&told).contains("MINIO_AUDIT_WEBHOOK_ENDPOINT_metering in MinIO's environment wins"),
            "{}",
            told.stderr
        );
    }
    // Under another name it works, beside the one of the environment.
    let other = rig.s3audit(&["setup", "--id", "own"], &[]).await;
    assert_eq!(other.status, 0, "{}", other.all());
}
