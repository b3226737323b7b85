//! MinIO itself is stopped and started again.
//!
//! With a `batch_size` above 1 it collects entries for up to a second before it writes them to its `queue_dir`: what it has not written
//! by its end is lost with it, at a kill and at an orderly stop. So these tests wait until it has.

use std::time::Duration;

use e2e::{Minio, aws};

use crate::modes::content;
use crate::reader::{BUCKET, Reader};
use crate::site::Site;
use crate::until;

const KEY: &str = "scene.tif";
const DOWNLOADS: usize = 30;
/// For how long it collects entries before it writes them.
const COLLECTS: Duration = Duration::from_secs(1);

async fn server() -> (Minio, Site) {
    let minio = Minio::start(&[]).await.unwrap().unwrap();
    aws::create_bucket(&minio.s3(), BUCKET).await.unwrap();
    aws::put_object(&minio.s3(), BUCKET, KEY, content(3456)).await.unwrap();
    let site = Site::start("metering", "spool:").await;
    site.hears(&minio, 100, true);
    (minio, site)
}

async fn read(reader: &mut Reader, when: &str) {
    for number in 0..DOWNLOADS {
        let item = format!("{when} {number}");
        let url = reader.link(KEY, &item).await;
        reader.read(&url, &item).await;
    }
}

/// Waits until that many entries are on MinIO's disk.
async fn on_disk(minio: &Minio, entries: usize) {
    until(async || {
        let queued = minio.queued("metering").unwrap();
        if queued >= entries { Ok(()) } else { Err(format!("{queued} of {entries} entries on disk")) }
    })
    .await;
    // One that it refused is among them, so that the last may still be in memory.
    tokio::time::sleep(2 * COLLECTS).await;
}

#[tokio::test]
async fn minio_is_killed_while_entries_wait() {
    needs_minio!();
    let (mut minio, mut site) = server().await;
    // What came of the set-up has arrived before this, so that nothing else waits.
    let mut reader = Reader::of(&minio);
    read(&mut reader, "first").await;
    site.bills(&reader).await;
    site.receiver.process().kill().unwrap();
    read(&mut reader, "before").await;
    on_disk(&minio, DOWNLOADS).await;
    minio.restart().await.unwrap();
    read(&mut reader, "after").await;
    on_disk(&minio, 2 * DOWNLOADS).await;
    minio.process().terminate(Duration::from_mins(1)).await.unwrap();
    site.receiver.restart().await.unwrap();
    minio.restart().await.unwrap();
    // Not told by one more download: one of the first second after a start may be lost, as MinIO is ready before its webhooks are.
    site.bills(&reader).await;
    site.settles().await;
}

#[tokio::test]
async fn minio_is_told_to_restart() {
    needs_minio!();
    let (mut minio, site) = server().await;
    let mut reader = Reader::of(&minio);
    read(&mut reader, "before").await;
    site.bills(&reader).await;
    minio.restart_itself().await.unwrap();
    read(&mut reader, "after").await;
    site.bills(&reader).await;
    site.settles().await;
}
