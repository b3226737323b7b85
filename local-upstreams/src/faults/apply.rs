//! Makes a request suffer the fault that is due.

use std::convert::Infallible;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::Sleep;

use super::{Fault, ResetAt, Target};
use crate::Shared;
use crate::listener::{Peer, Reset};
use crate::ogc::refusal::Refusal;

/// Vert.x's default limit.
const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;

const PROXY_PAGE: &str = "<html>\r\n<head><title>Bad Gateway</title></head>\r\n<body>\r\n<center><h1>Bad Gateway</h1>\
                          </center>\r\n<hr><center>proxy</center>\r\n</body>\r\n</html>\r\n";

/// Counts a request of `target` and answers it, unless a fault is due that decides otherwise.
///
/// Once a request was read, what it asks for is done even when its sender goes away: that is how servers lose answers.
pub(crate) async fn faulty(
    State((app, target)): State<(Shared, Target)>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let fault = app.faults.due(target);
    if is_reset(fault.as_deref(), ResetAt::Before) {
        return cut(&app, target, &peer.reset);
    }
    let request = match buffered(request).await {
        Ok(request) => request,
        Err(response) => {
            app.counts.add(target, response.status().as_u16().to_string());
            return response;
        }
    };
    let task = tokio::spawn(answer(app, target, peer.reset, fault, request, next));
    task.await.unwrap_or_else(|_| Refusal::UNEXPLAINED.into_response())
}

async fn answer(
    app: Shared,
    target: Target,
    reset: Reset,
    fault: Option<Arc<Fault>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(fault) = fault else {
        let response = next.run(request).await;
        app.counts.add(target, response.status().as_u16().to_string());
        return response;
    };
    let response = if fault.acts() {
        if !fault.waits_for_commit() {
            tokio::time::sleep(fault.delay()).await;
        }
        request.extensions_mut().insert(Arc::clone(&fault));
        next.run(request).await
    } else {
        Response::default()
    };
    if fault.waits_for_commit() || !fault.acts() {
        tokio::time::sleep(fault.delay()).await;
    }
    if fault.reset.is_some() {
        return cut(&app, target, &reset);
    }
    if fault.hang {
        app.counts.add(target, "hang");
        return pending().await;
    }
    let response = if fault.answers() { fault_response(&fault) } else { response };
    app.counts.add(target, response.status().as_u16().to_string());
    match fault.slow_drip_ms {
        Some(pause) => dripping(response, Duration::from_millis(pause)).await,
        None => response,
    }
}

fn is_reset(fault: Option<&Fault>, at: ResetAt) -> bool {
    fault.is_some_and(|fault| fault.reset == Some(at))
}

/// Resets the connection: the answer returned here fails to be written, which ends it.
fn cut(app: &Shared, target: Target, reset: &Reset) -> Response {
    app.counts.add(target, "reset");
    reset.order();
    Response::default()
}

/// The request with its body read.
async fn buffered(request: Request) -> Result<Request, Response> {
    let (parts, body) = request.into_parts();
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => Ok(Request::from_parts(parts, Body::from(body.to_bytes()))),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::TOO_LARGE.into_response()),
        Err(_) => Err(Refusal::INPUTS_MISSING.into_response()),
    }
}

fn fault_response(fault: &Fault) -> Response {
    let body = fault.body.clone().unwrap_or_else(|| if fault.html { PROXY_PAGE.to_owned() } else { String::new() });
    let mut response = (fault.status(), body).into_response();
    if fault.html {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    }
    for (name, value) in &fault.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

async fn dripping(response: Response, pause: Duration) -> Response {
    let (parts, body) = response.into_parts();
    match body.collect().await {
        Ok(body) => Response::from_parts(parts, Body::new(Drip::new(body.to_bytes(), pause))),
        Err(_) => Refusal::UNEXPLAINED.into_response(),
    }
}

/// A body that is sent byte by byte, its length announced.
struct Drip {
    rest: Bytes,
    pause: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Drip {
    fn new(rest: Bytes, pause: Duration) -> Self {
        Self { rest, pause, sleep: Box::pin(tokio::time::sleep(pause)) }
    }
}

impl http_body::Body for Drip {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        ready!(self.sleep.as_mut().poll(cx));
        let next = tokio::time::Instant::now() + self.pause;
        self.sleep.as_mut().reset(next);
        Poll::Ready(Some(Ok(http_body::Frame::data(self.rest.split_to(1)))))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.rest.len() as u64)
    }
}
