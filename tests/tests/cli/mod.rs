//! A receiver with its spool, the stand-ins on PostgreSQL, and `s3audit` beside them.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use e2e::process::Directory;
use e2e::{Database, Postgres, Process, Upstreams, binary, free_port, http_client, tools};
use serde_json::{Value, json};

const TOKEN: &str = "token";
const PROCESS: &str = "/processes/5a6b1d0e-6c0f-4f8e-9b55-0d7c1a2e3f01/execution";
pub(crate) const USER: &str = "0b5f1c2a-6c1e-4b7e-9c55-1d5e2f3a4b6c";
const COLLECTION: &str = "2d6c7e90-11aa-4f0b-8a55-6f7e8d9c0b1a";

pub(crate) struct Place {
    pub(crate) upstreams: Upstreams,
    pub(crate) database: Database,
    receiver: Process,
    client: reqwest::Client,
    address: String,
    directory: Directory,
}

/// What `s3audit` came to.
pub(crate) struct Told {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) async fn start() -> Self {
        let database = Postgres::shared().await.unwrap().database().await.unwrap();
        let upstreams = Upstreams::start(&[("DATABASE_URL", database.url())]).await.unwrap();
        let directory = Directory::new().unwrap();
        let address = format!("http://127.0.0.1:{}", free_port().unwrap());
        let mut command = tools::command(&binary("lambda-minio-http").unwrap());
        configure(&mut command, &upstreams, directory.path());
        command.env("WEBHOOK_AUTH_TOKEN", TOKEN).env("BIND_ADDRESS", "127.0.0.1");
        command.env("PORT", address.rsplit(':').next().unwrap());
        let mut receiver = Process::spawn("lambda-minio-http", command).unwrap();
        let client = http_client::client(Duration::from_secs(10)).unwrap();
        let ready = format!("{address}/ready");
        receiver.ready(Duration::from_mins(1), async |_| http_client::answers(&client, &ready).await).await.unwrap();
        Self { upstreams, database, receiver, client, address, directory }
    }

    /// Posts one download for each number, with `user`.
    pub(crate) async fn post(&self, numbers: std::ops::Range<u32>, user: &str) {
        let body: Vec<u8> = numbers.flat_map(|number| format!("{}\n", entry(number, user)).into_bytes()).collect();
        let post = self.client.post(format!("{}/auditlogs/processor", self.address)).header("Authorization", TOKEN);
        assert_eq!(post.body(body).send().await.unwrap().status(), 200);
    }

    /// Waits until nothing is in the spool.
    pub(crate) async fn delivered(&mut self) {
        let (client, url) = (&self.client, format!("{}/metrics", self.address));
        let idle = async |_: &Process| {
            let metrics = client.get(&url).send().await.unwrap().text().await.unwrap();
            metrics.lines().any(|line| line == "s3audit_spool_entries 0")
                && metrics.lines().any(|line| line == "s3audit_pending 0")
        };
        self.receiver.ready(Duration::from_mins(1), idle).await.unwrap();
    }

    /// Runs `s3audit`, with the receiver still running.
    pub(crate) async fn s3audit(&self, args: &[&str]) -> Told {
        let mut command = tools::command(&binary("s3audit").unwrap());
        configure(&mut command, &self.upstreams, self.directory.path());
        command.env("DATABASE_URL", self.database.url()).args(args);
        let mut process = Process::spawn("s3audit", command).unwrap();
        let status = process.exited(Duration::from_mins(2)).await.unwrap().code().unwrap();
        Told { status, stdout: process.stdout(), stderr: process.stderr() }
    }

    /// Rows in `metering`: all, and distinct.
    pub(crate) async fn rows(&self) -> (i64, i64) {
        let client = self.database.connect().await.unwrap();
        let sql = "SELECT count(*), count(DISTINCT api_path) FROM metering";
        let row = client.query_one(sql, &[]).await.unwrap();
        (row.get(0), row.get(1))
    }

    pub(crate) async fn fault(&self, fault: Value) {
        self.upstreams.fault(&fault).await.unwrap();
    }
}

fn configure(command: &mut Command, upstreams: &Upstreams, directory: &Path) {
    command
        .current_dir(directory)
        .env("AUTH_URL", upstreams.url("/auth/v1/token"))
        .env("CLIENT_ID", "local-client")
        .env("CLIENT_SECRET", "local-secret")
        .env("AUTH_ITEM_ID", "localhost")
        .env("AUTH_ITEM_TYPE", "resource_server")
        .env("AUTH_ROLE", "admin")
        .env("PROCESS_API_URL", upstreams.url(PROCESS));
}

fn entry(number: u32, user: &str) -> Value {
    json!({
        "version": "1", "deploymentid": "d-1", "time": "2026-07-14T04:42:23.260863964Z", "trigger": "incoming",
        "requestID": format!("R{number}"),
        "api": {"name": "GetObject", "bucket": "stac", "object": "a.tif", "statusCode": 200, "tx": 12345},
        "requestQuery": {"X-Amz-Signature": "5ecre7", "userId": user, "collectionId": COLLECTION, "itemId": format!("item-{number}")},
    })
}
