//! Reading bodies, of which only so many bytes are in memory at a time.

use std::sync::Arc;
use std::time::Duration;

use audit_core::causes::cause;
use axum::body::to_bytes;
use axum::extract::Request;
use bytes::Bytes;
use http::{StatusCode, header};
use http_body_util::LengthLimitError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How long a body may take to arrive: a sender that stops half-way must not keep its connection for ever.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long one may wait for those before it to go; MinIO has sent it again by then.
const ROOM_TIMEOUT: Duration = Duration::from_secs(20);
/// As many of the largest bodies may be in memory: one that arrives while another is made durable.
const LARGEST_AT_A_TIME: usize = 2;
/// The unit in which room is counted.
const UNIT_BYTES: usize = 1024;

/// What may be read, and the room for it.
#[derive(Debug)]
pub(crate) struct Bodies {
    max_bytes: usize,
    units: Arc<Semaphore>,
}

impl Bodies {
    /// Of at most `max_bytes` each (`MAX_BODY_BYTES`), and twice that together.
    pub(crate) fn of(max_bytes: usize) -> Self {
        let units = units(max_bytes) as usize * LARGEST_AT_A_TIME;
        Self { max_bytes, units: Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))) }
    }

    /// The body of `request`, with its room, which is free again when that is dropped.
    pub(crate) async fn read(
        &self,
        request: Request,
    ) -> Result<(Bytes, OwnedSemaphorePermit), (StatusCode, &'static str)> {
        let told = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        // One that does not say how large it is may be as large as any.
        let wanted = units(told.map_or(self.max_bytes, |length: usize| length.min(self.max_bytes)));
        let Ok(Ok(room)) = timeout(ROOM_TIMEOUT, Arc::clone(&self.units).acquire_many_owned(wanted)).await else {
            return Err((StatusCode::SERVICE_UNAVAILABLE, "too much at a time: send again"));
        };
        match timeout(BODY_TIMEOUT, to_bytes(request.into_body(), self.max_bytes)).await {
            Ok(Ok(body)) => Ok((body, room)),
            Ok(Err(error)) if cause::<LengthLimitError>(&error).is_some() => {
                // MinIO sends such a body again for ever, and nothing behind it.
                tracing::error!(max_body_bytes = self.max_bytes, "refused: a body over MAX_BODY_BYTES");
                Err((
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "body over MAX_BODY_BYTES: raise it for what is queued already, or lower the sender's batch_size for what comes",
                ))
            }
            Ok(Err(_)) => Err((StatusCode::BAD_REQUEST, "the body broke off")),
            Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")),
        }
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn post(body: &'static str, told: bool) -> Request {
        let request = Request::post("/");
        let request = if told { request.header(header::CONTENT_LENGTH, body.len()) } else { request };
        request.body(Body::from(body)).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_no_room_waits_for_some() {
        let bodies = Bodies::of(UNIT_BYTES);
        let (first, room) = bodies.read(post("one", true)).await.unwrap();
        let (second, _kept) = bodies.read(post("two", false)).await.unwrap();
        assert_eq!((&first[..], &second[..]), (&b"one"[..], &b"two"[..]));
        let refused = bodies.read(post("three", true)).await.unwrap_err();
        assert_eq!(refused.0, StatusCode::SERVICE_UNAVAILABLE);
        drop(room);
        assert_eq!(&bodies.read(post("three", true)).await.unwrap().0[..], b"three");
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_whatever_it_says_of_itself() {
        let bodies = Bodies::of(4);
        for told in [true, false] {
            assert_eq!(bodies.read(post("12345", told)).await.unwrap_err().0, StatusCode::PAYLOAD_TOO_LARGE);
        }
        assert_eq!(&bodies.read(post("1234", true)).await.unwrap().0[..], b"1234");
    }
}
