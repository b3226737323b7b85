//! A real MinIO pushes into the real receiver: what real clients download stands in PostgreSQL to the byte, and nothing else.
//!
//! MinIO sends every entry to each of its webhooks, so most cases share one server ([`modes`]) whose four webhooks are the four ways
//! to send: one entry or a hundred in a POST, waiting in memory or on disk. Cases that disturb something have a server of their own.
//!
//! The tests download over connections that stay open, because MinIO itself loses entries otherwise: it hands an entry to
//! its queue with the request's own context, and where the client has closed the connection by then, chance decides which of the two
//! wins (`Send` in its `internal/logger/target/http`). Programs, which may end with their last byte, go by [`e2e::HeldOpen`]. See
//! [`aborted`].
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests, which fail by a panic"
)]

/// Ends the test, and says so loudly, where there is no MinIO.
macro_rules! needs_minio {
    () => {{
        fn here() {}
        let name = std::any::type_name_of_val(&here).replace("::{{closure}}", "");
        if !e2e::minio::available(name.trim_end_matches("::here"), &["minio", "mc"]).unwrap() {
            return;
        }
    }};
}

mod aborted;
mod both;
mod clients;
mod ear;
mod modes;
mod outage;
mod presigned;
mod reader;
mod refused;
mod restart;
mod site;
mod token;

use std::time::{Duration, Instant};

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);

/// Asks `done` until it answers `Ok`.
async fn until<T>(mut done: impl AsyncFnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match done().await {
            Ok(found) => return found,
            Err(why) => assert!(start.elapsed() < LIMIT, "not within {LIMIT:?}: {why}"),
        }
        tokio::time::sleep(POLL).await;
    }
}
