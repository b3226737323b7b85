//! Takes whatever is posted, keeps it by the path it was posted to, and says 200.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use e2e::recording::Message;

type Inbox = Arc<Mutex<BTreeMap<String, Vec<Message>>>>;

/// A running sink.
pub(crate) struct Sink {
    inbox: Inbox,
    port: u16,
}

impl Sink {
    /// Starts one on a free port of the loopback interface.
    pub(crate) async fn start() -> Result<Self> {
        let inbox = Inbox::default();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let app = Router::new().fallback(keep).with_state(Arc::clone(&inbox));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { inbox, port })
    }

    /// Where to post what is to be kept as `mode`.
    pub(crate) fn url(&self, mode: &str) -> String {
        format!("http://127.0.0.1:{}/{mode}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// How many entries came for `mode`: each ends with a line.
    fn entries(&self, mode: &str) -> usize {
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        inbox.get(mode).into_iter().flatten().map(|message| entries(&message.body)).sum()
    }

    /// Waits until as many entries came for each mode as it says.
    pub(crate) async fn all(&self, modes: &[(&'static str, usize)], limit: Duration) -> Result<()> {
        let start = Instant::now();
        while let Some((mode, expected)) = modes.iter().find(|(mode, expected)| self.entries(mode) < *expected) {
            if start.elapsed() > limit {
                bail!("{} entries came as {mode}, expected {expected}", self.entries(mode));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Takes out what came, which must be as many entries as each mode says.
    pub(crate) fn take(&self, modes: &[(&'static str, usize)]) -> Result<Vec<(&'static str, Vec<Message>)>> {
        let mut all = Vec::new();
        for &(mode, expected) in modes {
            let came = self.entries(mode);
            ensure!(came == expected, "{came} entries came as {mode}, expected {expected}");
            let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
            all.push((mode, inbox.remove(mode).unwrap_or_default()));
        }
        Ok(all)
    }

    /// Throws away all that comes until nothing came for `time`.
    pub(crate) async fn quiet(&self, time: Duration) {
        let mut since = Instant::now();
        while since.elapsed() < time {
            let came = std::mem::take(&mut *self.inbox.lock().unwrap_or_else(PoisonError::into_inner));
            if !came.is_empty() {
                since = Instant::now();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A bucket notification has no newline at its end.
fn entries(body: &[u8]) -> usize {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.count()
}

async fn keep(State(inbox): State<Inbox>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) {
    // Whether it is there is asked in other ways.
    if method != Method::POST {
        return;
    }
    let header = |name: &str, value: &axum::http::HeaderValue| {
        (name.to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let kept = headers.iter().filter(|(name, _)| !["host", "content-length"].contains(&name.as_str()));
    let mut headers: Vec<_> = kept.map(|(name, value)| header(name.as_str(), value)).collect();
    headers.sort();
    let mode = uri.path().trim_start_matches('/').to_owned();
    let mut inbox = inbox.lock().unwrap_or_else(PoisonError::into_inner);
    inbox.entry(mode).or_default().push(Message { headers, body: body.to_vec() });
}
