//! The standalone receiver: posts in, rows in PostgreSQL out, and its end and its start again.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, which fail by a panic")]

mod bodies;
mod http;
mod ledger;
mod lifecycle;
mod recorded;
mod start;

use e2e::receiver::{Metrics, adds_up, sum};
use e2e::{Metering, Receiver};

/// A receiver with a metering sink of its own.
async fn receiver() -> (Receiver, Metering) {
    receiver_with(&[]).await
}

/// With further variables, which win over the usual ones.
async fn receiver_with(more: &[(&str, &str)]) -> (Receiver, Metering) {
    let metering = Metering::start().await.unwrap();
    let mut environment = metering.environment();
    environment.extend(more.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
    let receiver = Receiver::start(metering.place(), environment).await.unwrap();
    (receiver, metering)
}

/// The accounts, as the named counts, once nothing is pending.
async fn accounts<const N: usize>(receiver: &Receiver, names: [&str; N]) -> [u64; N] {
    counts(&receiver.settled().await.unwrap(), names)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of a test are small")]
fn counts<const N: usize>(metrics: &Metrics, names: [&str; N]) -> [u64; N] {
    assert!(adds_up(metrics), "{metrics:?}");
    names.map(|name| sum(metrics, &format!("s3audit_{name}")) as u64)
}
