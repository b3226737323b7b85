//! Both webhooks on: each read comes twice, as an audit entry and as a notification, and counts once, in metering and on the dashboard.

use e2e::receiver::TOKEN;
use e2e::{Minio, Redis, aws};

use crate::modes::content;
use crate::reader::{BUCKET, Reader};
use crate::site::{Site, whole};
use crate::until;

const REGIONS: [&str; 3] = ["italy", "spain", "france"];

fn key(region: &str) -> String {
    format!("v0.1/spatial/parquet/{region}.parquet")
}

#[tokio::test]
async fn each_read_comes_twice_and_counts_once() {
    needs_minio!();
    let mut minio = Minio::start(&[]).await.unwrap().unwrap();
    aws::create_bucket(&minio.s3(), BUCKET).await.unwrap();
    for region in REGIONS {
        aws::put_object(&minio.s3(), BUCKET, &key(region), content(70_000)).await.unwrap();
    }
    let redis = Redis::start().await.unwrap();
    let site = Site::start("metering", &redis.url()).await;
    site.hears(&minio, 100, true);
    minio.notify_webhook("dashboard", &site.endpoint(), TOKEN, BUCKET).await.unwrap();

    let mut reader = Reader::of(&minio);
    for region in REGIONS {
        let url = reader.link(&key(region), region).await;
        reader.read(&url, region).await;
        // Parts of the same download, to the dashboard.
        reader.read_range(&url, region, "0-9999").await;
        reader.read_range(&url, region, "10000-").await;
    }
    site.bills(&reader).await;
    let reads = reader.items().count() as u64;
    until(async || {
        let told = site.skipped("notification").await;
        if told == reads { Ok(()) } else { Err(format!("{told} of {reads} notifications")) }
    })
    .await;
    let metrics = until(async || {
        let metrics = site.settles().await;
        let shown = whole(e2e::receiver::sum(&metrics, "s3audit_analytics_total"));
        if shown == 2 * reads { Ok(metrics) } else { Err(format!("{shown} of {} reads dealt with", 2 * reads)) }
    })
    .await;
    let outcome = |name: &str| whole(metrics[&format!("s3audit_analytics_total{{outcome=\"{name}\"}}")]);
    assert_eq!((outcome("recorded"), outcome("duplicate")), (3, 2 * reads - 3), "{metrics:?}");
    assert_eq!(whole(metrics["s3audit_delivered_total"]), reads);
    for region in REGIONS {
        let events = site.events(&key(region)).await;
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0]["props"]["region"], region);
    }
    site.bills(&reader).await;
}
