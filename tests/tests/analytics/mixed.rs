//! Ten thousand reads of all kinds: each class has exactly the events it must have.

use std::collections::{BTreeMap, BTreeSet};

use e2e::fixture::lines;
use serde_json::json;

use super::{Site, entry, shown};

const CLIENTS: [(&str, &str); 12] = [
    ("CLI", "aws-cli/2.15.30 md/installer#exe md/command#s3.cp"),
    ("CLI", "MinIO (linux; amd64) minio-go/v7.0.70 mc/RELEASE.2024-05-24T09-08-49Z"),
    ("Python", "Boto3/1.34.0 md/Botocore#1.34.0 ua/2.0 os/linux lang/python#3.11"),
    ("DuckDB", "duckdb/v1.1.3(linux_amd64) cpp"),
    ("GDAL/QGIS", "GDAL/3.8.4"),
    ("Browser/Portal", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("Bundle download", "MinIO (Linux; x86_64) minio-py/7.2.7"),
    ("Sync tool", "rclone/v1.66.0"),
    ("Java/Spark", "Hadoop 3.3.4, aws-sdk-java/1.12.262 Linux/5.15"),
    ("SDK", "aws-sdk-go-v2/1.24.0 os/linux lang/go#1.21"),
    ("Crawler", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
    ("Unknown", ""),
];
const REGIONS: [&str; 5] = ["italy", "france", "india", "chile", "ghana"];

#[tokio::test]
async fn ten_thousand_reads_give_exactly_the_events_of_each_class() {
    let site = Site::new().await;
    // A crawler's own User-Agent would be dropped.
    let receiver = site.receiver(&[("PLAUSIBLE_USER_AGENT", "neutral"), ("PLAUSIBLE_WINDOW_SECONDS", "600")]).await;
    let mut random = fastrand::Rng::with_seed(7);
    let (mut entries, mut downloads, mut failed, mut elsewhere) = (Vec::new(), BTreeSet::new(), 0, 0);
    for number in 0..10_000 {
        let (client, region) = (random.usize(..CLIENTS.len()), REGIONS[random.usize(..REGIONS.len())]);
        let visitor = format!("198.51.100.{}", random.u8(1..11));
        let kind = random.u8(..20);
        let key = if kind == 0 { "index.html".to_owned() } else { format!("v1/spatial/parquet/{region}.parquet") };
        entries.push(entry(number, |own| {
            own["api"]["object"] = json!(key);
            own["remotehost"] = json!(visitor);
            own["userAgent"] = json!(CLIENTS[client].1);
            own["requestHeader"] = json!({});
            own["requestQuery"] = json!({});
            own["api"]["statusCode"] = json!(if kind == 1 { 403 } else { 206 });
        }));
        match kind {
            0 => elsewhere += 1,
            1 => failed += 1,
            _ => _ = downloads.insert((client, region, visitor)),
        }
    }
    for part in entries.chunks(500) {
        assert_eq!(receiver.post(lines(part)).await.unwrap(), 200);
    }
    let reads = 10_000 - failed;
    let events = downloads.len() as u64;
    let expected = json!({"recorded": events, "duplicate": reads - elsewhere - events, "excluded": elsewhere});
    assert_eq!(shown(&receiver, reads).await, expected);

    let (mut methods, mut regions) = (BTreeMap::<&str, u64>::new(), BTreeMap::<&str, u64>::new());
    for (client, region, _) in &downloads {
        *methods.entry(CLIENTS[*client].0).or_default() += 1;
        *regions.entry(region).or_default() += 1;
    }
    let told = site.metering.upstreams().get("/_dev/events").await.unwrap();
    assert_eq!((&told["by_method"], &told["by_region"]), (&json!(methods), &json!(regions)));
    assert!(e2e::receiver::adds_up(&receiver.settled().await.unwrap()));
}
