//! Hears every audit entry of a server as MinIO sends it: what it said, beside what the receiver made of it.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use e2e::{AuditWebhook, Minio};
use serde_json::Value;

use crate::until;

type Entries = Arc<Mutex<Vec<Value>>>;

/// A webhook that keeps what it hears.
#[derive(Debug)]
pub(crate) struct Ear {
    entries: Entries,
}

impl Ear {
    /// One that hears `minio`, on a thread of its own: the tests that share it come and go.
    pub(crate) fn on(minio: &Minio) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let endpoint = format!("http://{}/", listener.local_addr().unwrap());
        let entries = Entries::default();
        let routes = Router::new().route("/", post(hear)).with_state(Arc::clone(&entries));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, routes).await.unwrap();
            });
        });
        let webhook = AuditWebhook { id: "ear", endpoint: &endpoint, token: "x", batch_size: 1, queue_dir: true };
        minio.audit_webhook(&webhook).unwrap();
        Self { entries }
    }

    /// What was heard that `fits`.
    pub(crate) fn heard(&self, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.entries.lock().unwrap().iter().filter(|entry| fits(entry)).cloned().collect()
    }

    /// Waits for `count` entries that carry `item`, and answers what they say of the call: its name, status and bytes.
    pub(crate) async fn calls(&self, item: &str, count: usize) -> Vec<(String, u64, i64)> {
        let entries = until(async || {
            let heard = self.heard(|entry| entry["requestQuery"]["itemId"] == item);
            if heard.len() < count {
                Err(format!("{} of {count} entries about {item}", heard.len()))
            } else {
                Ok(heard)
            }
        });
        let call = |entry: &Value| {
            let api = &entry["api"];
            let name = api["name"].as_str().unwrap().to_owned();
            (name, api["statusCode"].as_u64().unwrap(), api["tx"].as_i64().unwrap())
        };
        entries.await.iter().map(call).collect()
    }
}

async fn hear(State(entries): State<Entries>, body: String) {
    let values = serde_json::Deserializer::from_str(&body).into_iter::<Value>();
    entries.lock().unwrap().extend(values.map(|entry| entry.expect("MinIO sends JSON")));
}
