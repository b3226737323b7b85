//! Objects under a prefix of a bucket.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use tokio::io::AsyncReadExt;

use super::{HeldBatch, LARGEST, StoreError};
use crate::aws::{Asked, advice};

/// A prefix of a bucket.
#[derive(Debug, Clone)]
pub(super) struct Prefix {
    client: Client,
    bucket: String,
    start: String,
}

/// How often two writers of one batch may get into each other's way.
const MERGES: usize = 8;

impl Prefix {
    pub(super) fn new(client: Client, bucket: &str, prefix: &str) -> Self {
        let start = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Self { client, bucket: bucket.to_owned(), start }
    }

    pub(super) fn display(&self, name: &str) -> String {
        format!("s3://{}/{}{name}", self.bucket, self.start)
    }

    pub(super) async fn put(&self, name: &str, body: Vec<u8>) -> Result<(), StoreError> {
        let put = self.client.put_object().bucket(&self.bucket).key(self.key(name)).body(body.into());
        put.send().await.map(drop).map_err(|error| self.error(name, "write", &error))
    }

    /// `None`: there is no such object.
    pub(super) async fn get(&self, name: &str) -> Result<Option<GetObjectOutput>, StoreError> {
        match self.client.get_object().bucket(&self.bucket).key(self.key(name)).send().await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.code() == Some("NoSuchKey") => Ok(None),
            Err(error) => Err(self.error(name, "read", &error)),
        }
    }

    /// A held batch, and the tag of the version that it is.
    pub(super) async fn get_held(&self, name: &str) -> Result<Option<(HeldBatch, Option<String>)>, StoreError> {
        let Some(object) = self.get(name).await? else { return Ok(None) };
        let tag = object.e_tag;
        let mut json = Vec::new();
        let mut body = object.body.into_async_read().take(LARGEST + 1);
        let read = body.read_to_end(&mut json).await;
        read.map_err(|error| self.failure(name, "read", error.to_string()))?;
        HeldBatch::from_json(&json, &self.display(name)).map(|batch| Some((batch, tag)))
    }

    /// Writes `batch` merged with what is there, each time on the condition that nobody else wrote meanwhile. A first write needs
    /// no more than `s3:PutObject`: only what is found to be there already is read.
    pub(super) async fn put_merged(&self, name: &str, batch: HeldBatch) -> Result<(), StoreError> {
        let mut there = None;
        for _ in 0..MERGES {
            let put = self.client.put_object().bucket(&self.bucket).key(self.key(name));
            let (put, batch) = match there.take() {
                Some((kept, tag)) => (put.set_if_match(tag), batch.clone().merged_into(kept)),
                None => (put.if_none_match("*"), batch.clone()),
            };
            let put = put.body(batch.to_json(&self.display(name))?.into());
            match put.send().await {
                Ok(_) => return Ok(()),
                Err(error) if is_conflict(&error) => there = self.get_held(name).await?,
                Err(error) => return Err(self.error(name, "write", &error)),
            }
        }
        Err(self.failure(name, "write", "others kept on writing it".to_owned()))
    }

    pub(super) async fn remove(&self, name: &str) -> Result<(), StoreError> {
        let delete = self.client.delete_object().bucket(&self.bucket).key(self.key(name));
        delete.send().await.map(drop).map_err(|error| self.error(name, "remove", &error))
    }

    /// The sorted names, relative to the prefix, that end in `suffix`.
    pub(super) async fn names(&self, suffix: &str) -> Result<Vec<String>, StoreError> {
        let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(&self.start);
        let mut pages = list.into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.error("", "list", &error))?;
            let keys = page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key);
            let name =
                |key: String| key.strip_prefix(&self.start).filter(|name| name.ends_with(suffix)).map(str::to_owned);
            names.extend(keys.filter_map(name));
        }
        names.sort();
        Ok(names)
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.start)
    }

    fn error<E: ProvideErrorMetadata>(
        &self,
        name: &str,
        action: &'static str,
        error: &SdkError<E, HttpResponse>,
    ) -> StoreError {
        let asked = Asked {
            service: "S3",
            permission: match action {
                "write" => "s3:PutObject",
                "remove" => "s3:DeleteObject",
                "list" => "s3:ListBucket",
                _ => "s3:GetObject",
            },
            of: "this place",
            missing: "no such object",
            region_variable: None,
        };
        self.failure(name, action, advice(error, &asked))
    }

    fn failure(&self, name: &str, action: &'static str, reason: String) -> StoreError {
        StoreError { place: self.display(name), action, reason }
    }
}

fn is_conflict<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    matches!(error.code(), Some("PreconditionFailed" | "ConditionalRequestConflict"))
        || error.raw_response().is_some_and(|response| matches!(response.status().as_u16(), 409 | 412))
}
