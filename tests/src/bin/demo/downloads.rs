//! Presigned downloads from a real MinIO, which tells the receiver of each, and what must come of them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{Link, Minio, Upstreams, aws, http_client, presign};
use reqwest::header::RANGE;

use crate::receiver::Receiver;
use crate::show::{number, say};

const BUCKET: &str = "example-datasets";
const ITALY: (&str, usize) = ("v0.1/spatial/parquet/italy.parquet", 3_000_000);
const GHANA: (&str, usize) = ("v0.1/spatial/parquet/ghana.parquet", 5_000_000);
const USERS: [&str; 2] = ["0e8c1d7f-3b6a-4f52-9c1e-5a7d2b9f4e60", "4b1f9a3c-7d2e-4c85-8f06-1e9d3a5c7b82"];
const COLLECTION: &str = "a4c6e8f0-1b3d-4f5a-9c7e-2d4f6a8b0c1e";

/// A client as it comes through a reverse proxy: its address, its User-Agent, and for whom its link was signed.
struct Visitor {
    address: &'static str,
    user_agent: &'static str,
    user: &'static str,
}

const CURL: Visitor = Visitor { address: "203.0.113.20", user_agent: "curl/8.5.0", user: USERS[0] };
const GDAL: Visitor = Visitor { address: "198.51.100.61", user_agent: "GDAL/3.8.4", user: USERS[1] };
const DUCKDB: Visitor =
    Visitor { address: "198.51.100.62", user_agent: "duckdb/v1.1.3(linux_amd64) cli", user: USERS[1] };

/// Downloads, waits until the receiver has delivered, and checks that the rows hold each byte once.
pub(crate) async fn run(minio: &Minio, receiver: &Receiver, upstreams: &Upstreams) -> Result<()> {
    let s3 = minio.s3();
    aws::create_bucket(&s3, BUCKET).await?;
    for (key, bytes) in [ITALY, GHANA] {
        aws::put_object(&s3, BUCKET, key, vec![b'.'; bytes]).await?;
    }
    let before = upstreams.get("/_dev/rows").await?;
    let delivered_before = number(&receiver.accounts(|_| true).await?, "delivered")?;

    let client = http_client::client(Duration::from_mins(1))?;
    let shop = Shop { client, s3 };
    let mut sizes = vec![
        shop.read(&CURL, ITALY.0, None).await?,
        shop.read(&GDAL, GHANA.0, Some("bytes=0-65535".to_owned())).await?,
    ];
    for part in 0..4 {
        let range = format!("bytes={}-{}", part * 1_250_000, part * 1_250_000 + 1_249_999);
        sizes.push(shop.read(&DUCKDB, GHANA.0, Some(range)).await?);
    }
    shop.tampered(ITALY.0).await?;
    let downloads = sizes.len() as u64;
    let bytes: u64 = sizes.iter().sum();

    let expected = delivered_before + downloads;
    receiver.accounts(|metrics| metrics["delivered"].as_u64() >= Some(expected) && metrics["pending"] == 0).await?;
    let after = upstreams.get("/_dev/rows").await?;
    let grown = |name: &str| {
        number(&after, name)?.checked_sub(number(&before, name)?).with_context(|| format!("{name} that do not shrink"))
    };
    let (rows, billed) = (grown("count")?, grown("bytes")?);
    ensure!(rows == downloads, "{downloads} downloads, but {rows} rows");
    ensure!(billed == bytes, "{bytes} bytes were downloaded, but {billed} are in the rows");
    say(&format!("{downloads} downloads = {rows} rows; {bytes} bytes downloaded = {billed} bytes in them"));
    Ok(())
}

struct Shop {
    client: reqwest::Client,
    s3: aws_sdk_s3::Client,
}

impl Shop {
    /// Follows a link to `key`; answers how many bytes came.
    async fn read(&self, visitor: &Visitor, key: &str, range: Option<String>) -> Result<u64> {
        let url = self.link(visitor, key).await?;
        let request = self.client.get(url).header("user-agent", visitor.user_agent);
        let mut request = request.header("x-forwarded-for", visitor.address);
        let shown = range.clone().unwrap_or_else(|| "whole".to_owned());
        if let Some(range) = range {
            request = request.header(RANGE, range);
        }
        let answer = request.send().await?;
        let status = answer.status();
        ensure!(status.is_success(), "MinIO answered {status} to a download");
        let bytes = answer.bytes().await?.len() as u64;
        say(&format!("{:<30}  {key}  {shown:<21} → {}  {bytes:>9} bytes", visitor.user_agent, status.as_u16()));
        Ok(bytes)
    }

    /// Tries a link in which somebody else was written to be billed.
    async fn tampered(&self, key: &str) -> Result<()> {
        let [mine, other] = USERS;
        ensure!(CURL.user == mine, "the link is signed for somebody");
        let url = presign::tampered(&self.link(&CURL, key).await?, "userId", other);
        let request = self.client.get(url).header("user-agent", CURL.user_agent);
        let status = request.header("x-forwarded-for", CURL.address).send().await?.status().as_u16();
        ensure!(status == 403, "a tampered link was answered {status}");
        say(&format!("{:<30}  {key}  {:<21} → 403, nothing to bill", CURL.user_agent, "userId tampered with"));
        Ok(())
    }

    async fn link(&self, visitor: &Visitor, key: &str) -> Result<String> {
        let parameters = [
            ("userId", visitor.user),
            ("collectionId", COLLECTION),
            ("itemId", "buildings-2026"),
            ("assetId", "parquet"),
        ];
        Link::new(BUCKET, key, &parameters).get(&self.s3).await
    }
}
