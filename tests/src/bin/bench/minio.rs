//! How fast a real MinIO pushes what waits in its `queue_dir` into the receiver, beside the same bodies posted by one plain client.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use e2e::process::Directory;
use e2e::receiver::{Receiver, TOKEN, sum};
use e2e::{AuditWebhook, Link, Minio, aws, http_client};

use crate::receiver::dead_upstream;

const READERS: u64 = 8;
const BUCKET: &str = "data";
const KEY: &str = "scene.tif";
const LIMIT: Duration = Duration::from_mins(5);
const POLL: Duration = Duration::from_millis(5);

/// Measures and prints a table, of about that many `entries` for each size of batch.
pub(crate) async fn run(entries: u64) -> Result<()> {
    let out = &mut std::io::stdout();
    writeln!(
        out,
        "\nMinIO into the receiver: {entries} entries from `queue_dir`, then the same bodies from one client"
    )?;
    writeln!(out, "| batch_size | MinIO, entries/s | one client, entries/s | ratio |\n| --- | --- | --- | --- |")?;
    for batch_size in [1, 100] {
        let Some((pushed, posted)) = measure(batch_size, entries).await? else { return Ok(()) };
        writeln!(out, "| {batch_size} | {pushed:.0} | {posted:.0} | {:.2} |", pushed / posted)?;
    }
    Ok(())
}

async fn measure(batch_size: u32, entries: u64) -> Result<Option<(f64, f64)>> {
    let Some(minio) = Minio::start(&[]).await? else { return Ok(None) };
    aws::create_bucket(&minio.s3(), BUCKET).await?;
    aws::put_object(&minio.s3(), BUCKET, KEY, "small").await?;

    let place = Directory::new()?;
    let mut receiver = Receiver::start(place.path(), dead_upstream()?).await?;
    receiver.process().kill()?;
    let (endpoint, token) = (receiver.url("/auditlogs/processor"), format!("Bearer {TOKEN}"));
    let webhook = AuditWebhook { id: "bench", endpoint: &endpoint, token: &token, batch_size, queue_dir: true };
    minio.audit_webhook(&webhook)?;
    let (heard, bodies) = hear().await?;
    minio.audit_webhook(&AuditWebhook { id: "heard", endpoint: &heard, ..webhook })?;
    download(&minio, entries).await?;
    let bodies = waiting(&minio, &bodies, entries).await?;

    receiver.restart().await?;
    let pushed = arrivals(&receiver, entries).await?;
    receiver.process().kill()?;
    drop(minio);

    let place = Directory::new()?;
    let receiver = Receiver::start(place.path(), dead_upstream()?).await?;
    let began = Instant::now();
    for body in &bodies {
        let status = receiver.post(body.clone()).await?;
        ensure!(status == 200, "the receiver answered {status}");
    }
    Ok(Some((pushed, rate(u64::try_from(lines(&bodies))?, began.elapsed()))))
}

/// Downloads the object that often, by presigned URLs.
async fn download(minio: &Minio, times: u64) -> Result<()> {
    let parameters = [
        ("userId", "0a11ce00-0000-4000-8000-000000000001"),
        ("collectionId", "c011ec70-0000-4000-8000-000000000002"),
        ("itemId", "scene"),
        ("assetId", "data"),
    ];
    let url = Link::new(BUCKET, KEY, &parameters).get(&minio.s3()).await?;
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..READERS {
        let (client, url) = (http_client::client(Duration::from_secs(30))?, url.clone());
        readers.spawn(async move {
            for _ in 0..times.div_ceil(READERS) {
                client.get(&url).send().await?.error_for_status()?.bytes().await?;
            }
            anyhow::Ok(client)
        });
    }
    // The clients, and so their connections, live until all is read: see the live tests.
    for reader in readers.join_all().await {
        reader?;
    }
    Ok(())
}

type Bodies = Arc<Mutex<Vec<Bytes>>>;

/// A webhook that keeps what MinIO sends, and where it is.
async fn hear() -> Result<(String, Bodies)> {
    let bodies = Bodies::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}/", listener.local_addr()?);
    let keep = async |State(bodies): State<Bodies>, body: Bytes| {
        bodies.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(body);
    };
    let routes = Router::new().route("/", post(keep)).with_state(Arc::clone(&bodies));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok((endpoint, bodies))
}

/// Waits until the downloads are on MinIO's disk for the receiver, and were heard, and answers what was heard.
async fn waiting(minio: &Minio, heard: &Bodies, entries: u64) -> Result<Vec<Bytes>> {
    let began = Instant::now();
    loop {
        let bodies = heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let (queued, told) = (u64::try_from(minio.queued("bench")?)?, u64::try_from(lines(&bodies))?);
        if queued >= entries && told >= entries {
            return Ok(bodies);
        }
        ensure!(began.elapsed() < LIMIT, "of {entries} entries {queued} wait on disk, and {told} were heard");
        tokio::time::sleep(POLL).await;
    }
}

fn lines(bodies: &[Bytes]) -> usize {
    bodies.iter().flat_map(|body| body.iter()).filter(|&&byte| byte == b'\n').count()
}

/// Entries per second, from the first that arrives (MinIO looks again every 3 s) to the last.
async fn arrivals(receiver: &Receiver, entries: u64) -> Result<f64> {
    let count = async || receiver.metrics().await.map(|metrics| sum(&metrics, "s3audit_records_total"));
    let (began, mut first) = (Instant::now(), None);
    #[allow(clippy::cast_precision_loss, reason = "some thousands")]
    let entries = entries as f64;
    loop {
        let arrived = count().await?;
        let now = Instant::now();
        match first {
            None if arrived > 0.0 => first = Some((arrived, now)),
            Some((early, at)) if arrived >= entries => {
                let spent = now.checked_duration_since(at).context("time goes forward")?;
                return Ok((arrived - early) / spent.as_secs_f64());
            }
            _ => ensure!(began.elapsed() < LIMIT, "{arrived} of {entries} entries arrived"),
        }
        tokio::time::sleep(POLL).await;
    }
}

#[allow(clippy::cast_precision_loss, reason = "some thousands")]
fn rate(count: u64, spent: Duration) -> f64 {
    count as f64 / spent.as_secs_f64()
}
