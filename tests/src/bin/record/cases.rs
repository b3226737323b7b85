//! What clients do, case by case.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e::{Link, Minio, aws, presign};
use reqwest::header::{IF_NONE_MATCH, RANGE};
use reqwest::{Method, RequestBuilder};

/// One thing that a client does: its name, how many requests it takes, and of how many of them the bucket tells.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) requests: usize,
    pub(crate) notified: usize,
    /// Whether MinIO may keep quiet about it. When a client closes the connection, an entry that is about to be queued is
    /// thrown away about every other time, by each webhook for itself.
    pub(crate) lossy: bool,
}

const fn case(name: &'static str, requests: usize, notified: usize) -> Case {
    Case { name, requests, notified, lossy: false }
}

/// All of them.
pub(crate) const CASES: &[Case] = &[
    case("whole", 1, 1),
    case("direct", 1, 1),
    case("ranged", 1, 1),
    case("parallel-parts", 8, 8),
    Case { name: "aborted", requests: 1, notified: 0, lossy: true },
    case("head", 1, 1),
    case("attributes", 1, 1),
    case("not-modified", 1, 0),
    case("not-satisfiable", 1, 0),
    case("missing", 1, 0),
    case("tampered", 1, 0),
    case("expired", 1, 0),
    case("anonymous", 1, 1),
    case("signed-header", 1, 1),
    case("without-ids", 1, 1),
    case("without-user", 1, 1),
    case("user-twice", 1, 1),
    case("item-unicode", 1, 1),
    case("key-spaces", 1, 1),
    case("key-plus", 1, 1),
    case("key-percent", 1, 1),
    case("key-unicode", 1, 1),
    case("version-2", 1, 1),
    case("list", 1, 0),
    case("put", 1, 0),
];

/// The bucket of most cases.
pub(crate) const BUCKET: &str = "scenes";
/// The bucket that anybody may read.
pub(crate) const OPEN_BUCKET: &str = "open-scenes";
const KEY: &str = "v0.1/spatial/parquet/italy.parquet";
const LARGE_KEY: &str = "v0.1/spatial/parquet/world.parquet";
const LARGE_BYTES: usize = 48 << 20;
const SPACES: &str = "with space/a b.tif";
const PLUS: &str = "with+plus/a+b.tif";
const PERCENT: &str = "with%20percent/100%.tif";
const UNICODE: &str = "mit ä/東京 é.tif";

const IDS: [(&str, &str); 4] = [
    ("userId", "6f0c4a52-0b5f-4f3a-9a86-2f6d7c1e8b30"),
    ("collectionId", "c1de0f7a-55a4-4d3c-8f21-7b0a9e6d4c12"),
    ("itemId", "scene-2026-03"),
    ("assetId", "data"),
];
const OTHER_USER: &str = "11111111-2222-4333-8444-555555555555";

const CURL: &str = "curl/8.5.0";
const GDAL: &str = "GDAL/3.8.4";
const BOTO: &str = "Boto3/1.34.0 md/Botocore#1.34.0 ua/2.0 os/linux md/arch#x86_64 lang/python#3.11.2";
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

/// Who performs the cases.
pub(crate) struct Client {
    s3: aws_sdk_s3::Client,
    http: reqwest::Client,
    endpoint: String,
    tag: String,
}

impl Client {
    /// One of `minio`, where it stores the objects that the cases read.
    pub(crate) async fn prepare(minio: &Minio) -> Result<Self> {
        let s3 = minio.s3();
        for bucket in [BUCKET, OPEN_BUCKET] {
            aws::create_bucket(&s3, bucket).await?;
            for key in [KEY, SPACES, PLUS, PERCENT, UNICODE] {
                aws::put_object(&s3, bucket, key, vec![b'p'; 100_000]).await?;
            }
        }
        aws::put_object(&s3, BUCKET, LARGE_KEY, vec![b'p'; LARGE_BYTES]).await?;
        let tag = s3.head_object().bucket(BUCKET).key(KEY).send().await?.e_tag.context("an object has an ETag")?;
        let http = e2e::http_client::client(Duration::from_mins(1))?;
        Ok(Self { s3, http, endpoint: minio.endpoint().to_owned(), tag })
    }

    /// Does what `case` says.
    pub(crate) async fn perform(&self, case: &str) -> Result<()> {
        let [user, collection, item, asset] = IDS;
        match case {
            "whole" => self.get(KEY, &IDS, BOTO, |own| own, 200).await,
            "direct" => {
                let url = Link::new(BUCKET, KEY, &IDS).get(&self.s3).await?;
                self.send(self.http.get(url).header("user-agent", CURL), 200).await
            }
            "ranged" => self.get(KEY, &IDS, GDAL, |own| own.header(RANGE, "bytes=1000-17383"), 206).await,
            "parallel-parts" => self.parallel().await,
            "aborted" => self.aborted().await,
            "head" => {
                let url = Link::new(BUCKET, KEY, &IDS).head(&self.s3).await?;
                self.send(self.visitor(Method::HEAD, &url, CURL), 200).await
            }
            "attributes" => {
                use aws_sdk_s3::types::ObjectAttributes::ObjectSize;
                let request = self.s3.get_object_attributes().bucket(BUCKET).key(KEY);
                request.object_attributes(ObjectSize).send().await.map(drop).context("attributes")
            }
            "not-modified" => self.get(KEY, &IDS, BROWSER, |own| own.header(IF_NONE_MATCH, &self.tag), 304).await,
            "not-satisfiable" => self.get(KEY, &IDS, GDAL, |own| own.header(RANGE, "bytes=900000-900009"), 416).await,
            "missing" => self.get("v0.1/no-such.parquet", &IDS, CURL, |own| own, 404).await,
            "tampered" => {
                let url = presign::tampered(&Link::new(BUCKET, KEY, &IDS).get(&self.s3).await?, "userId", OTHER_USER);
                self.send(self.visitor(Method::GET, &url, CURL), 403).await
            }
            "expired" => {
                let url = Link::new(BUCKET, KEY, &IDS).expired().get(&self.s3).await?;
                self.send(self.visitor(Method::GET, &url, CURL), 403).await
            }
            "anonymous" => {
                let url = Link::new(OPEN_BUCKET, KEY, &IDS).unsigned(&self.endpoint);
                self.send(self.visitor(Method::GET, &url, CURL), 200).await
            }
            "signed-header" => {
                let answer = self.s3.get_object().bucket(BUCKET).key(KEY).send().await.context("signed by header")?;
                answer.body.collect().await.map(drop).context("body")
            }
            "without-ids" => self.get(KEY, &[], CURL, |own| own, 200).await,
            "without-user" => self.get(KEY, &[collection, item, asset], CURL, |own| own, 200).await,
            "user-twice" => {
                // In this order: MinIO, unlike Signature Version 4, does not sort the values of one parameter.
                let twice = [("userId", OTHER_USER), user, collection, item];
                self.get(KEY, &twice, CURL, |own| own, 200).await
            }
            "item-unicode" => {
                let odd = [user, collection, ("itemId", "szene ä/東京 + 1%"), asset];
                self.get(KEY, &odd, CURL, |own| own, 200).await
            }
            "key-spaces" => self.get(SPACES, &IDS, BROWSER, |own| own, 200).await,
            "key-plus" => self.get(PLUS, &IDS, BROWSER, |own| own, 200).await,
            "key-percent" => self.get(PERCENT, &IDS, BROWSER, |own| own, 200).await,
            "key-unicode" => self.get(UNICODE, &IDS, BROWSER, |own| own, 200).await,
            "version-2" => {
                let url = Link::new(BUCKET, KEY, &IDS).get_v2(&self.endpoint)?;
                self.send(self.visitor(Method::GET, &url, CURL), 200).await
            }
            "list" => self.s3.list_objects_v2().bucket(BUCKET).send().await.map(drop).context("list"),
            "put" => aws::put_object(&self.s3, BUCKET, "v0.1/new.parquet", "pixels").await,
            _ => bail!("nobody knows how to do {case}"),
        }
    }

    async fn get(
        &self,
        key: &str,
        parameters: &[(&str, &str)],
        user_agent: &str,
        change: impl FnOnce(RequestBuilder) -> RequestBuilder,
        status: u16,
    ) -> Result<()> {
        let url = Link::new(BUCKET, key, parameters).get(&self.s3).await?;
        self.send(change(self.visitor(Method::GET, &url, user_agent)), status).await
    }

    async fn parallel(&self) -> Result<()> {
        let url = Link::new(BUCKET, KEY, &IDS).get(&self.s3).await?;
        let part = |number: u64| {
            let range = format!("bytes={}-{}", number * 12_500, number * 12_500 + 12_499);
            let request = self.visitor(Method::GET, &url, "duckdb/v1.1.3(linux_amd64) cpp").header(RANGE, range);
            tokio::spawn(async move { anyhow::Ok(request.send().await?.bytes().await?.len()) })
        };
        let parts: Vec<_> = (0..8).map(part).collect();
        for part in parts {
            ensure!(part.await?? == 12_500, "a part is not as long as it should be");
        }
        Ok(())
    }

    /// Reads the beginning and closes the connection, which then is nobody else's.
    async fn aborted(&self) -> Result<()> {
        let url = Link::new(BUCKET, LARGE_KEY, &IDS).get(&self.s3).await?;
        let own = e2e::http_client::client(Duration::from_mins(1))?;
        let request = own.get(url).header("user-agent", CURL).header("x-forwarded-for", ADDRESS);
        let mut answer = request.send().await.context("a download to abort")?;
        let mut read = 0;
        while read < 1 << 20 {
            read += answer.chunk().await?.context("the download ended too early")?.len();
        }
        Ok(())
    }

    /// A request as it comes through a reverse proxy.
    fn visitor(&self, method: Method, url: &str, user_agent: &str) -> RequestBuilder {
        let request = self.http.request(method, url).header("user-agent", user_agent);
        request.header("x-forwarded-for", ADDRESS)
    }

    async fn send(&self, request: RequestBuilder, status: u16) -> Result<()> {
        let answer = request.send().await?;
        ensure!(answer.status().as_u16() == status, "MinIO answered {}, expected {status}", answer.status());
        answer.bytes().await?;
        Ok(())
    }
}

const ADDRESS: &str = "203.0.113.7";
