//! The receiver goes away while MinIO goes on: what waits on MinIO's disk comes afterwards, once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use e2e::{Minio, Redis, aws};
use serde_json::json;

use crate::modes::content;
use crate::reader::{BUCKET, Reader};
use crate::site::Site;
use crate::until;

const KEY: &str = "v1/spatial/parquet/spain.parquet";
const SENDERS: usize = 4;
const KILLS: usize = 4;

/// A server with one object.
async fn server() -> Minio {
    let minio = Minio::start(&[]).await.unwrap().unwrap();
    let s3 = minio.s3();
    aws::create_bucket(&s3, BUCKET).await.unwrap();
    aws::put_object(&s3, BUCKET, KEY, content(2345)).await.unwrap();
    minio
}

#[tokio::test]
async fn the_receiver_is_down_for_a_while() {
    needs_minio!();
    let minio = server().await;
    let redis = Redis::start().await.unwrap();
    let mut site = Site::start("metering", &redis.url()).await;
    site.hears(&minio, 100, true);
    let mut reader = Reader::of(&minio);
    let url = reader.link(KEY, "before").await;
    reader.read(&url, "before").await;
    site.bills(&reader).await;

    site.receiver.process().terminate(Duration::from_secs(25)).await.unwrap();
    for number in 0..120 {
        let item = format!("meanwhile {number}");
        let url = reader.link(KEY, &item).await;
        reader.read(&url, &item).await;
    }
    site.receiver.restart().await.unwrap();
    reader.read_last(KEY).await;
    site.bills(&reader).await;
    site.settles().await;
    // One key, one client, within a minute: one download on the dashboard, whatever waited.
    until(async || {
        let events = site.events(KEY).await.len();
        if events == 1 { Ok(()) } else { Err(format!("{events} events")) }
    })
    .await;
}

/// Rows and held records together are the downloads: what was being posted when the receiver died is nobody's to know.
#[tokio::test]
async fn the_receiver_is_killed_under_load() {
    needs_minio!();
    let minio = server().await;
    let mut site = Site::start("metering", "spool:").await;
    site.hears(&minio, 100, true);
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> =
        (0..SENDERS).map(|_| tokio::spawn(downloads(Reader::of(&minio), Arc::clone(&stop)))).collect();
    for kill in 0..KILLS {
        // A request that is not answered, whether or not it was acted upon.
        let hang = json!({"target": "execution", "hang": true, "after_commit": kill % 2 == 0, "times": 1});
        site.metering.upstreams().fault(&hang).await.unwrap();
        until(async || {
            let faults = site.metering.upstreams().get("/_dev/faults").await.unwrap();
            let under_way = faults.as_array().unwrap().last().unwrap()["fired"] == 1;
            if under_way { Ok(()) } else { Err(format!("no POST since kill {kill}: {faults}")) }
        })
        .await;
        site.receiver.process().kill().unwrap();
        site.receiver.restart().await.unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    let mut readers = Vec::new();
    for sender in senders {
        readers.push(sender.await.unwrap());
    }

    let held = until(async || accounts(&site, &readers, &minio).await).await;
    let batches = site.metering.held().unwrap().len();
    assert!(held > 0 && batches == KILLS, "{held} records in {batches} batches held after {KILLS} kills");
    let metrics = site.receiver.settled().await.unwrap();
    assert!(e2e::receiver::adds_up(&metrics), "{metrics:?}");
}

/// Downloads until told to stop, a new item each time.
async fn downloads(mut reader: Reader, stop: Arc<AtomicBool>) -> Reader {
    let mut number = 0;
    while !stop.load(Ordering::SeqCst) && number < 5000 {
        let item = format!("under load {number}");
        let url = reader.link(KEY, &item).await;
        reader.read(&url, &item).await;
        number += 1;
        // Steady, lest a fast machine leave the receiver behind by thousands.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    reader
}

/// How many records are held, once each download is in a row or held, none twice.
async fn accounts(site: &Site, readers: &[Reader], minio: &Minio) -> Result<u64, String> {
    let mut held = BTreeMap::<(String, String), u64>::new();
    for batch in site.metering.held().unwrap() {
        for line in batch["lines"].as_array().unwrap() {
            let line: Vec<&str> = line["line"].as_str().unwrap().split('|').collect();
            *held.entry((line[0].to_owned(), line[2].to_owned())).or_default() += 1;
        }
    }
    assert!(held.values().all(|&times| times == 1), "held twice: {held:?}");
    for reader in readers {
        let rows = site.rows(&reader.user).await;
        let of_item: BTreeMap<_, _> = rows.iter().map(|((_, item, _), times)| (item.as_str(), times.len())).collect();
        for item in reader.items() {
            let (rows, held) =
                (of_item.get(item).copied().unwrap_or(0), held.contains_key(&(reader.user.clone(), item.to_owned())));
            assert!(rows <= 1, "{item}: {rows} rows");
            if rows == 0 && !held {
                let waiting = minio.queued("metering").unwrap_or(0);
                return Err(format!("{item} of {} is lost so far; {waiting} entries wait", reader.user));
            }
        }
        assert_eq!(of_item.len(), rows.len(), "an item with two sizes: {rows:?}");
    }
    Ok(held.values().sum())
}
