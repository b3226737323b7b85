//! Starts while the ledger is out of reach, which take entries all the same, and starts with a ledger that refuses, which do not.

use std::time::Duration;

use e2e::fixture::post_of;
use e2e::process::Directory;
use e2e::receiver::sum;
use e2e::{Get, Metering, Receiver, Redis, free_port};

use super::{accounts, counts};

async fn ready(receiver: &Receiver) -> (u16, String) {
    let answer = receiver.client().get(receiver.url("/ready")).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn started_without_its_ledger_a_receiver_takes_entries_and_delivers_them_later() {
    let mut redis = Redis::start().await.unwrap();
    let metering = Metering::start().await.unwrap();
    let mut environment = metering.environment();
    environment.push(("LEDGER_URL".to_owned(), redis.url()));
    redis.process().kill().unwrap();
    let mut receiver = Receiver::start_until(metering.place(), environment, "/").await.unwrap();

    let gets = Get::many(1..=40);
    assert_eq!(receiver.post(post_of(&gets[..20])).await.unwrap(), 200);
    let (status, reason) = ready(&receiver).await;
    assert!(status == 503 && reason.contains("ledger redis: connection refused"), "{status} {reason}");
    let metrics = receiver.metrics().await.unwrap();
    assert_eq!(counts(&metrics, ["records_total", "pending", "spool_entries", "delivered_total"]), [20, 20, 20, 0]);

    // What it took outlives it, with the ledger still away, and so does its way of starting.
    receiver.process().kill().unwrap();
    receiver.restart_until("/").await.unwrap();
    assert_eq!(receiver.post(post_of(&gets[10..])).await.unwrap(), 200);
    assert_eq!(counts(&receiver.metrics().await.unwrap(), ["pending", "duplicates_total"]), [40, 10]);
    assert_eq!(metering.posts().await.unwrap(), 0, "nothing is sent without a claim");
    assert!(receiver.log().contains("started without the ledger"), "{}", receiver.log());

    redis.restart().await.unwrap();
    receiver.answers("/ready").await.unwrap();
    assert_eq!(accounts(&receiver, ["records_total", "delivered_total", "duplicates_total"]).await, [50, 40, 10]);
    metering.has_exactly(&gets).await.unwrap();
    // What a start says of the ledger's set-up is said once it can be asked.
    let told = async |process: &e2e::Process| process.stdout().contains("set appendfsync always");
    receiver.process().ready(Duration::from_mins(1), told).await.unwrap();
    let status = receiver.process().terminate(Duration::from_secs(25)).await.unwrap();
    assert_eq!(status.code(), Some(0), "{status}");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_the_ledger() {
    let metering = Metering::start().await.unwrap();
    let mut environment = metering.environment();
    environment.push(("LEDGER_URL".to_owned(), format!("redis://127.0.0.1:{}", free_port().unwrap())));
    let mut receiver = Receiver::start_until(metering.place(), environment, "/").await.unwrap();
    assert_eq!(receiver.post(post_of(&Get::many(1..=3))).await.unwrap(), 200);
    let status = receiver.process().terminate(Duration::from_secs(25)).await.unwrap();
    assert_eq!(status.code(), Some(0), "{status}");
}

#[tokio::test]
async fn a_ledger_that_refuses_stops_the_start_and_is_told_without_the_password() {
    let redis = Redis::start().await.unwrap();
    assert_eq!(redis.command("CONFIG SET requirepass r1ght-5ec2e7").await.unwrap(), "OK");
    let address = redis.url();
    let with = |user: &str| address.replace("redis://", &format!("redis://{user}"));
    let metering = Metering::start().await.unwrap();
    for (url, told) in [
        (with(""), "ledger redis: refused with NOAUTH (LEDGER_URL needs a password)"),
        (with(":wr0ng@"), "ledger redis: user or password in LEDGER_URL refused"),
        (with("").replace("redis://", "redis:"), "LEDGER_URL: expected redis://"),
    ] {
        let place = Directory::new().unwrap();
        let mut environment = metering.environment();
        environment.push(("LEDGER_URL".to_owned(), url));
        let mut process = Receiver::spawn(place.path(), &environment, free_port().unwrap()).unwrap();
        let status = process.exited(Duration::from_secs(30)).await.unwrap();
        let log = process.stdout() + &process.stderr();
        assert!(!status.success() && log.contains(told), "{status}: {log}");
        assert!(!log.contains("wr0ng") && !log.contains("5ec2e7"), "{log}");
    }
    let right = with(":r1ght-5ec2e7@");
    let mut environment = metering.environment();
    environment.push(("LEDGER_URL".to_owned(), right));
    let receiver = Receiver::start(metering.place(), environment).await.unwrap();
    assert!(sum(&receiver.metrics().await.unwrap(), "s3audit_pending") < 0.5 && !receiver.log().contains("5ec2e7"));
}
