//! Stand-ins started for one test, and a client that speaks to them.

pub(crate) mod postgres;

use local_upstreams::{Config, SYNC_PROCESS, Upstreams};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) const USER: &str = "0b0c5b6e-9e0d-4b5e-8b1a-2f3c4d5e6f70";
pub(crate) const COLLECTION: &str = "1b0c5b6e-9e0d-4b5e-8b1a-2f3c4d5e6f71";
pub(crate) const TIME: &str = "2025-10-27T10:12:30Z";

/// A log entry for `item`.
pub(crate) fn entry(item: &str, bytes: u64) -> String {
    format!("{USER}|{COLLECTION}|{item}|{TIME}|{bytes}|minio")
}

/// Running stand-ins, their files and a client.
pub(crate) struct Fixture {
    pub(crate) base: String,
    pub(crate) client: Client,
    _files: tempfile::TempDir,
    pub(crate) upstreams: Upstreams,
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        Self::with(Config::default()).await
    }

    /// With that configuration, but a database file of its own.
    pub(crate) async fn with(config: Config) -> Self {
        let files = tempfile::tempdir().unwrap();
        let database = files.path().join("upstreams.sqlite");
        let upstreams = Upstreams::start(Config { database, ..config }).await.unwrap();
        let base = format!("http://{}", upstreams.address());
        Self { base, client: plain_client(), _files: files, upstreams }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.client.get(format!("{}{path}", self.base)).send().await.unwrap().json().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Response {
        self.client.post(format!("{}{path}", self.base)).body(body.to_string()).send().await.unwrap()
    }

    pub(crate) async fn fault(&self, fault: Value) {
        let response = self.post("/_dev/faults", &fault).await;
        assert_eq!(response.status(), StatusCode::OK, "{}", response.text().await.unwrap());
    }

    pub(crate) async fn token_request(&self, id: &str, secret: &str, body: &Value) -> Result<Response, reqwest::Error> {
        let request = self.client.post(format!("{}/auth/v1/token", self.base));
        request.header("clientId", id).header("clientSecret", secret).body(body.to_string()).send().await
    }

    pub(crate) async fn token_for(&self, id: &str, secret: &str, role: &str) -> String {
        let body = json!({"itemId": "localhost", "itemType": "resource_server", "role": role});
        let response = self.token_request(id, secret, &body).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let answer: Value = response.json().await.unwrap();
        answer["results"]["accessToken"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn token(&self, role: &str) -> String {
        self.token_for("local-client", "local-secret", role).await
    }

    /// Executes a process with any body, the `Authorization` header verbatim.
    pub(crate) async fn execute_raw(
        &self,
        process: &str,
        authorization: Option<&str>,
        body: Vec<u8>,
    ) -> Result<Response, reqwest::Error> {
        let mut request = self.client.post(format!("{}/processes/{process}/execution", self.base)).body(body);
        if let Some(authorization) = authorization {
            request = request.header("Authorization", authorization);
        }
        request.send().await
    }

    /// Executes a process as its operator would.
    pub(crate) async fn execute(&self, process: Uuid, inputs: &Value) -> Result<Response, reqwest::Error> {
        let authorization = format!("Bearer {}", self.token("admin").await);
        let body = json!({ "inputs": inputs }).to_string().into_bytes();
        self.execute_raw(&process.to_string(), Some(&authorization), body).await
    }

    /// Sends logs to the synchronous process: status and body.
    pub(crate) async fn send(&self, logs: &Value) -> (u16, Value) {
        let response = self.execute(SYNC_PROCESS, &json!({"logs": logs})).await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// The rows of the metering table: how many.
    pub(crate) async fn count(&self) -> u64 {
        self.get("/_dev/rows").await["count"].as_u64().unwrap()
    }

    /// A job, read with the provider token of its user.
    pub(crate) async fn job(&self, location: &str) -> Value {
        let response = self.job_as(location, &self.token("provider").await).await;
        assert_eq!(response.status(), StatusCode::OK);
        response.json().await.unwrap()
    }

    pub(crate) async fn job_as(&self, location: &str, token: &str) -> Response {
        self.client.get(location).header("Authorization", format!("Bearer {token}")).send().await.unwrap()
    }

    /// A job that has ended.
    pub(crate) async fn ended_job(&self, location: &str) -> Value {
        for _ in 0..500 {
            let job = self.job(location).await;
            if matches!(job["status"].as_str(), Some("SUCCESSFUL" | "FAILED")) {
                return job;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("the job did not end");
    }
}

/// The `Location` of an answer.
pub(crate) fn location(response: &Response) -> String {
    response.headers()["location"].to_str().unwrap().to_owned()
}

/// A client without TLS roots, proxies or retries.
fn plain_client() -> Client {
    // An error means that another test of this process was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().unwrap()
}
