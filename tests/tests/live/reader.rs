//! Somebody who downloads, and counts the bytes.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};
use std::time::Instant;

use audit_core::clock::Clock;
use bytes::Bytes;
use e2e::presign::Link;
use e2e::{Minio, aws, http_client};
use uuid::Uuid;

use crate::{LIMIT, POLL};

/// Where everything is, but for what everybody may read.
pub(crate) const BUCKET: &str = "data";
/// How much later than the reader's last byte MinIO's own time may be.
const LATE_SECONDS: u64 = 30;

/// Who may be billed: nobody else may have a row.
static READERS: LazyLock<Mutex<Vec<String>>> = LazyLock::new(Mutex::default);

/// A user with a collection of their own.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) user: String,
    pub(crate) collection: String,
    http: reqwest::Client,
    s3: aws_sdk_s3::Client,
    downloads: Vec<Download>,
}

/// What a row must have: collection, item and bytes.
pub(crate) type What = (String, String, u64);

#[derive(Debug, Clone)]
struct Download {
    item: String,
    bytes: u64,
    began: String,
    ended: String,
}

impl Reader {
    pub(crate) fn of(minio: &Minio) -> Self {
        Self::at(minio.endpoint())
    }

    /// One whose links lead to `endpoint`.
    pub(crate) fn at(endpoint: &str) -> Self {
        let user = Uuid::new_v4().to_string();
        READERS.lock().unwrap().push(user.clone());
        Self {
            user,
            collection: Uuid::new_v4().to_string(),
            http: http_client::client(LIMIT).unwrap(),
            s3: aws::s3(endpoint),
            downloads: Vec::new(),
        }
    }

    /// Whether `user` is anybody who may be billed.
    pub(crate) fn is_one(user: &str) -> bool {
        READERS.lock().unwrap().iter().any(|own| own == user)
    }

    /// The client, which keeps its connections.
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub(crate) fn s3(&self) -> &aws_sdk_s3::Client {
        &self.s3
    }

    /// The signed parameters of a download of `item`.
    pub(crate) fn parameters<'a>(&'a self, item: &'a str) -> [(&'a str, &'a str); 4] {
        [("userId", &self.user), ("collectionId", &self.collection), ("itemId", item), ("assetId", "data")]
    }

    /// A presigned URL of `key`.
    pub(crate) async fn link(&self, key: &str, item: &str) -> String {
        Link::new(BUCKET, key, &self.parameters(item)).get(&self.s3).await.unwrap()
    }

    /// Downloads `url`, of which `item` is to be billed, whole.
    pub(crate) async fn read(&mut self, url: &str, item: &str) -> Bytes {
        self.get(url, item, None).await
    }

    /// Downloads the bytes `range` (as in `Range`, without its unit).
    pub(crate) async fn read_range(&mut self, url: &str, item: &str, range: &str) -> Bytes {
        self.get(url, item, Some(range)).await
    }

    async fn get(&mut self, url: &str, item: &str, range: Option<&str>) -> Bytes {
        let began = now();
        let body = get(&self.http, url, range).await;
        self.count(item, body.len(), began);
        body
    }

    /// Remembers a download that began at `began` and has ended.
    pub(crate) fn count(&mut self, item: &str, bytes: usize, began: String) {
        let late = Clock::system().now() + std::time::Duration::from_secs(LATE_SECONDS);
        let bytes = bytes.try_into().unwrap();
        self.downloads.push(Download { item: item.to_owned(), bytes, began, ended: second(&late.to_string()) });
    }

    /// One more download, which is billed: whatever was asked for before it has reached the webhooks by the time that it does.
    pub(crate) async fn read_last(&mut self, key: &str) {
        let url = self.link(key, "the last").await;
        self.read(&url, "the last").await;
    }

    /// What was downloaded, in order.
    pub(crate) fn items(&self) -> impl Iterator<Item = &str> {
        self.downloads.iter().map(|own| own.item.as_str())
    }

    /// Says what of `rows`, this reader's own, is missing, too many, or not of the time of the download.
    pub(crate) fn compare(&self, rows: &BTreeMap<What, Vec<String>>) -> Result<(), String> {
        let mut expected: BTreeMap<What, Vec<&Download>> = BTreeMap::new();
        for own in &self.downloads {
            expected.entry((self.collection.clone(), own.item.clone(), own.bytes)).or_default().push(own);
        }
        for what in expected.keys().chain(rows.keys()) {
            let (wanted, found) = (expected.get(what).map_or(0, Vec::len), rows.get(what).map_or(0, Vec::len));
            if wanted != found {
                return Err(format!("{found} rows of {what:?}, expected {wanted}"));
            }
        }
        for (what, own) in expected {
            let began = own.iter().map(|own| &own.began).min().unwrap();
            let ended = own.iter().map(|own| &own.ended).max().unwrap();
            if let Some(time) = rows[&what].iter().find(|time| *time < began || *time > ended) {
                return Err(format!("row of {what:?} at {time}, expected {began} to {ended}"));
            }
        }
        Ok(())
    }
}

/// Downloads `url`, which must answer with what was asked for.
pub(crate) async fn get(http: &reqwest::Client, url: &str, range: Option<&str>) -> Bytes {
    let start = Instant::now();
    let answer = loop {
        let request = http.get(url);
        let request = match range {
            Some(range) => request.header("range", format!("bytes={range}")),
            None => request,
        };
        let answer = request.send().await.unwrap();
        // A server that has just started, or is busy, refuses now and then: that is told to the webhooks, and not billed.
        if answer.status().as_u16() != 503 || start.elapsed() > LIMIT {
            break answer;
        }
        tokio::time::sleep(POLL).await;
    };
    assert_eq!(answer.status().as_u16(), if range.is_some() { 206 } else { 200 }, "{range:?}");
    answer.bytes().await.unwrap()
}

/// The current second, as the database writes it.
pub(crate) fn now() -> String {
    second(&Clock::system().now().to_string())
}

fn second(time: &str) -> String {
    time.chars().take(19).collect()
}
