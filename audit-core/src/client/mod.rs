//! The one HTTP client: no redirects, bounded answers, and the truth about whether a request can have reached anybody.

mod body;
pub mod retry;
pub(crate) mod trust;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use reqwest::Url;

use crate::causes::causes;
use body::Watched;
pub use trust::Trust;

/// The most of an answer's body that is read unless said otherwise, in bytes. Every answer of an upstream is far smaller.
const ANSWER_CAP_BYTES: usize = 64 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How connections are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    /// Kept and used again: for requests that may safely be repeated.
    Reused,
    /// A new one for each request. A kept connection may have been closed by the server at the moment it is used: the request is
    /// then written into the void, and nobody can tell that from an answer lost. A handshake a batch is cheap beside a batch held
    /// for a person to settle.
    Fresh,
}

/// An HTTP client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    inner: reqwest::Client,
    answer_cap_bytes: usize,
}

/// The client could not be set up.
#[derive(Debug, Clone, thiserror::Error)]
#[error("http client: {0}")]
pub struct SetUpError(String);

/// A request, body included.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET` or `POST`.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Secrets among the values are to be marked sensitive.
    pub headers: HeaderMap,
    /// Sent with its length; may be empty.
    pub body: Bytes,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, cut at the client's cap (64 KiB); `None` where the connection broke or time ran out before the body's end.
    pub body: Option<Bytes>,
}

/// Why there is no answer. The texts name no URL, since a query could carry a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The request cannot have reached the server in full: nothing came of it.
    #[error("request not sent: {0}")]
    NotSent(String),
    /// The whole request may have reached the server: nobody knows what came of it.
    #[error("no answer: {0}")]
    NoAnswer(String),
}

impl Client {
    /// A client that uses connections in one way, and trusts servers by `trust`.
    ///
    /// # Errors
    /// When the TLS library refuses its own defaults.
    pub fn new(connections: Connections, trust: Trust) -> Result<Self, SetUpError> {
        let idle = match connections {
            Connections::Reused => 8,
            Connections::Fresh => 0,
        };
        reqwest::Client::builder()
            .tls_backend_preconfigured(trust.tls()?)
            .redirect(reqwest::redirect::Policy::none())
            // What may be sent again is judged by who sends, never here.
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(idle)
            .pool_idle_timeout(Duration::from_secs(20))
            .build()
            .map(|inner| Self { inner, answer_cap_bytes: ANSWER_CAP_BYTES })
            .map_err(|error| SetUpError(in_one_line(&error)))
    }

    /// The same, reading answers up to `bytes`.
    #[must_use]
    pub fn with_answer_cap(self, bytes: usize) -> Self {
        Self { answer_cap_bytes: bytes, ..self }
    }

    /// Sends `request` and reads the answer, all within `timeout`.
    ///
    /// # Errors
    /// [`SendError`], which tells whether the request can have arrived.
    ///
    /// The proof that it cannot: `hyper` did not take the last piece of the body, so the server lacks at least that piece of what
    /// `Content-Length` announced. This covers refused connections, failed TLS, and time that ran out on either. Where the
    /// last piece was taken it may have left the machine, and whatever error follows (a write that failed, a reset, a
    /// connection closed before the answer, a timeout) is compatible with a server that read everything.
    pub async fn send(&self, request: Request, timeout: Duration) -> Result<Response, SendError> {
        let (body, handed_over) = Watched::new(request.body);
        let sending = self
            .inner
            .request(request.method, request.url)
            .headers(request.headers)
            .body(reqwest::Body::wrap(body))
            .timeout(timeout)
            .send();
        match sending.await {
            Ok(response) => Ok(read(response, self.answer_cap_bytes).await),
            Err(error) => {
                let sent = handed_over.all() && !error.is_connect() && !error.is_builder();
                let what = in_one_line(&error.without_url());
                Err(if sent { SendError::NoAnswer(what) } else { SendError::NotSent(what) })
            }
        }
    }
}

async fn read(mut response: reqwest::Response, cap_bytes: usize) -> Response {
    let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
    let mut body = Vec::new();
    let body = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let room = cap_bytes - body.len();
                body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
                if body.len() == cap_bytes {
                    break Some(body.into());
                }
            }
            Ok(None) => break Some(body.into()),
            Err(_) => break None,
        }
    };
    Response { status, headers, body }
}

/// An error with its causes, as one line.
fn in_one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let text = causes(error)
        .map(ToString::to_string)
        .reduce(|text, cause| if text.ends_with(&cause) { text } else { format!("{text}: {cause}") });
    let text = text.unwrap_or_default();
    match trust::remedy(&text) {
        Some(remedy) => format!("{text}; {remedy}"),
        None => text,
    }
}

#[cfg(test)]
mod tests;
