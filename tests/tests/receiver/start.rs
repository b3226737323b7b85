//! Starts that must fail, and say why; and what a start reads.

use std::net::TcpListener;
use std::time::Duration;

use e2e::fixture::lines;
use e2e::process::Directory;
use e2e::{Get, Metering, Receiver, free_port, http_client};

use super::receiver;

/// The log of a start that fails.
async fn refused(folder: &std::path::Path, environment: &[(&str, &str)], port: u16) -> String {
    let environment: Vec<_> = environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut process = Receiver::spawn(folder, &environment, port).unwrap();
    let status = process.exited(Duration::from_secs(30)).await.unwrap();
    assert!(!status.success(), "{status}");
    process.stdout() + &process.stderr()
}

#[tokio::test]
async fn a_start_without_a_token_is_refused_unless_that_is_wanted() {
    let place = Directory::new().unwrap();
    let log = refused(place.path(), &[("WEBHOOK_AUTH_TOKEN", "")], free_port().unwrap()).await;
    assert!(log.contains("WEBHOOK_AUTH_TOKEN: expected") && log.contains("ALLOW_UNAUTHENTICATED=true"), "{log}");

    let metering = Metering::start().await.unwrap();
    let mut environment = metering.environment();
    environment.extend(
        [("WEBHOOK_AUTH_TOKEN", ""), ("ALLOW_UNAUTHENTICATED", "true")]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let receiver = Receiver::start(metering.place(), environment).await.unwrap();
    let anonymous = receiver.client().post(receiver.url("/auditlogs/processor")).body(lines(&[Get::new(1).minio()]));
    assert_eq!(anonymous.send().await.unwrap().status(), 200);
    receiver.settled().await.unwrap();
    metering.has_exactly(&Get::many([1])).await.unwrap();
}

#[tokio::test]
async fn a_wrong_variable_is_named_and_its_value_is_not_told() {
    let place = Directory::new().unwrap();
    for (name, value) in [
        ("PORT", "wr0ng"),
        ("BIND_ADDRESS", "wr0ng"),
        ("MAX_BODY_BYTES", "wr0ng"),
        ("ALLOW_UNAUTHENTICATED", "wr0ng"),
        ("LEDGER_URL", "wr0ng"),
        ("PROCESS_API_URL", "wr0ng"),
        ("QUEUE_URL", "wr0ng"),
        ("LOG_FORMAT", "wr0ng"),
        ("RUST_LOG", "wr0ng=wr0ng"),
    ] {
        let log = refused(place.path(), &[(name, value)], free_port().unwrap()).await;
        assert!(log.contains(&format!("{name}: expected")) && !log.contains("wr0ng"), "{name}: {log}");
    }
    let log = refused(place.path(), &[("PROCESS_API_URL", "http://127.0.0.1:1/x")], free_port().unwrap()).await;
    for name in ["AUTH_URL", "CLIENT_ID", "CLIENT_SECRET", "AUTH_ITEM_ID", "AUTH_ITEM_TYPE", "AUTH_ROLE"] {
        assert!(log.contains(&format!("{name}: expected")), "{name}: {log}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let place = Directory::new().unwrap();
    let log = refused(place.path(), &[], port).await;
    assert!(log.contains(&format!("cannot listen on 127.0.0.1:{port}")) && log.contains("in use"), "{log}");
}

#[tokio::test]
async fn a_second_start_on_the_same_spool_is_refused_and_the_first_works_on() {
    let (receiver, metering) = receiver().await;
    let log = refused(metering.place(), &[], free_port().unwrap()).await;
    assert!(log.contains("SPOOL") || log.contains("spool"), "{log}");
    assert!(log.contains("another process"), "{log}");
    assert_eq!(receiver.post(lines(&[Get::new(1).minio()])).await.unwrap(), 200);
    receiver.settled().await.unwrap();
    metering.has_exactly(&Get::many([1])).await.unwrap();
}

#[tokio::test]
async fn a_dot_env_file_is_read_and_the_environment_wins() {
    let place = Directory::new().unwrap();
    let port = free_port().unwrap();
    let text = "WEBHOOK_AUTH_TOKEN=overridden\nSPOOL=spool-of-dot-env\nMAX_BODY_BYTES=10\n# comment\n";
    std::fs::write(place.path().join(".env"), text).unwrap();
    let mut process = Receiver::spawn(place.path(), &[], port).unwrap();
    let client = http_client::client(Duration::from_secs(10)).unwrap();
    let page = format!("http://127.0.0.1:{port}/ready");
    process.ready(Duration::from_secs(30), async |_| http_client::answers(&client, &page).await).await.unwrap();
    assert!(place.path().join("spool-of-dot-env").is_dir());
    let attempt = |token: &'static str| {
        client.post(format!("http://127.0.0.1:{port}/auditlogs/processor")).header("authorization", token)
    };
    assert_eq!(attempt("overridden").body("{}").send().await.unwrap().status(), 403);
    assert_eq!(attempt(e2e::receiver::TOKEN).body("{}").send().await.unwrap().status(), 200);
    assert_eq!(attempt(e2e::receiver::TOKEN).body("more than ten bytes").send().await.unwrap().status(), 413);
}

#[tokio::test]
async fn a_broken_dot_env_file_is_told() {
    let place = Directory::new().unwrap();
    std::fs::write(place.path().join(".env"), "CLIENT_SECRET='5ec2e7 never closed\n").unwrap();
    let log = refused(place.path(), &[], free_port().unwrap()).await;
    assert!(log.contains(".env"), "{log}");
    assert!(!log.contains("5ec2e7"), "{log}");
}
