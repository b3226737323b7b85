//! Real clients against a real MinIO: a file that is read in forty parts is one download.

use std::path::Path;
use std::process::Command;

use e2e::receiver::{Metrics, Receiver, TOKEN, sum};
use e2e::{Minio, aws, tool, tools};

use super::{LIMIT, PARQUET, Site};

const PARTS: u32 = 40;

/// A server whose audit webhook is `receiver`; it reads from loopback, which is no visitor's address.
async fn minio(receiver: &Receiver) -> Option<Minio> {
    let endpoint = receiver.url("/auditlogs/processor");
    let environment = [
        ("MINIO_AUDIT_WEBHOOK_ENABLE_T", "on"),
        ("MINIO_AUDIT_WEBHOOK_ENDPOINT_T", endpoint.as_str()),
        ("MINIO_AUDIT_WEBHOOK_AUTH_TOKEN_T", TOKEN),
    ];
    Minio::start(&environment).await.unwrap()
}

fn aws_cli(program: &Path, endpoint: &str, folder: &Path) -> Command {
    let config =
        "[default]\ns3 =\n  multipart_threshold = 1MB\n  multipart_chunksize = 1MB\n  max_concurrent_requests = 20\n";
    std::fs::write(folder.join("config"), config).unwrap();
    let mut command = tools::command(program);
    command
        .env("AWS_CONFIG_FILE", folder.join("config"))
        .env("AWS_ACCESS_KEY_ID", aws::ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", aws::SECRET_KEY)
        .env("AWS_REGION", aws::REGION)
        .env("HOME", folder)
        .args(["--endpoint-url", endpoint, "s3", "cp", "--quiet", &format!("s3://data/{PARQUET}")])
        .arg(folder.join("part"));
    command
}

#[tokio::test]
async fn forty_parts_by_one_client_are_one_event_and_another_client_is_a_second() {
    let site = Site::new().await;
    let receiver = site.receiver(&[("PLAUSIBLE_OTHER_ADDRESSES", "send-without")]).await;
    let Some(minio) = minio(&receiver).await else { return };
    let s3 = minio.s3();
    aws::create_bucket(&s3, "data").await.unwrap();
    aws::put_object(&s3, "data", PARQUET, vec![7_u8; (PARTS as usize) << 20]).await.unwrap();

    let events = if let Some(program) = tool("aws") {
        let output = aws_cli(&program, &minio.held_open().unwrap().endpoint(), site.metering.place()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        1_u32
    } else {
        not_run("aws");
        0
    };
    if events > 0 {
        let reads = |metrics: &Metrics| told(metrics, "recorded") + told(metrics, "duplicate");
        let metrics = receiver.wait(LIMIT, |metrics| reads(metrics) >= f64::from(PARTS)).await.unwrap();
        assert!(reads(&metrics) < f64::from(PARTS + 1), "{metrics:?}");
        assert_eq!(site.events().await[0]["props"]["method"], "CLI");
    }
    // The tests' own S3 client is another one.
    aws::get_object(&s3, "data", PARQUET).await.unwrap();
    let expected = f64::from(events) + 0.5;
    let metrics = receiver.wait(LIMIT, |metrics| told(metrics, "recorded") > expected).await.unwrap();
    let others = ["dropped", "rejected", "ambiguous", "too_late", "excluded"].map(|name| told(&metrics, name));
    assert!(others.iter().sum::<f64>() < 0.5, "{metrics:?}");
    assert_eq!(site.events().await.len(), events as usize + 1);
    let methods = site.metering.upstreams().get("/_dev/events").await.unwrap()["by_method"].take();
    assert_eq!(methods["SDK"], 1, "{methods}");
}

fn told(metrics: &Metrics, outcome: &str) -> f64 {
    sum(metrics, &format!("s3audit_analytics_total{{outcome=\"{outcome}\"}}"))
}

#[allow(clippy::print_stderr, reason = "a test that does not run must be seen not to")]
fn not_run(tool: &str) {
    eprintln!("\n!!! NOT RUN: no `{tool}` on PATH !!!\n");
}
