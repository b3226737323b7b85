//! Paths, methods, tokens and broken requests.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use e2e::fixture::{lines, post_of};
use e2e::receiver::TOKEN;
use e2e::{Get, Receiver};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{accounts, receiver, receiver_with};

const PROCESSOR: &str = "/auditlogs/processor";

#[tokio::test]
async fn the_status_is_word_for_word_and_needs_no_token() {
    let (receiver, _metering) = receiver().await;
    let answer = receiver.client().get(receiver.url("/")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.text().await.unwrap(), r#"{"status":"ok"}"#);
    assert_eq!(receiver.client().get(receiver.url("/ready")).send().await.unwrap().status(), 200);
    let head = receiver.client().head(receiver.url("/")).send().await.unwrap();
    assert_eq!((head.status(), head.text().await.unwrap()), (StatusCode::OK, String::new()));
}

#[tokio::test]
async fn metrics_have_the_promised_names_and_add_up() {
    let (receiver, _metering) = receiver().await;
    let mut skipped = Get::new(2).minio();
    skipped["api"]["name"] = json!("PutObject");
    assert_eq!(receiver.post(lines(&[Get::new(1).minio(), skipped, json!(7)])).await.unwrap(), 200);
    let metrics = receiver.settled().await.unwrap();
    assert!(e2e::receiver::adds_up(&metrics), "{metrics:?}");
    let own: Vec<&str> = metrics.keys().map(|name| name.split('{').next().unwrap()).collect();
    for name in [
        "records_total",
        "downloads_total",
        "delivered_total",
        "duplicates_total",
        "skipped_total",
        "quarantined_total",
        "pending",
        "held",
        "spool_entries",
        "spool_bytes",
        "spool_oldest_seconds",
        "analytics_total",
        "upstream_seconds_bucket",
        "upstream_seconds_sum",
        "upstream_seconds_count",
    ] {
        assert!(own.contains(&format!("s3audit_{name}").as_str()), "{name} in {own:?}");
    }
    assert!(metrics["s3audit_upstream_seconds_count"] >= 1.0);
}

#[tokio::test]
async fn a_missing_token_is_told_from_a_wrong_one() {
    let (receiver, metering) = receiver().await;
    let post = async |token: Option<&str>, body: String| {
        let mut request = receiver.client().post(receiver.url(PROCESSOR)).body(body);
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        request.send().await.unwrap().status().as_u16()
    };
    let entry = Get::new(1).minio().to_string();
    let bearer = format!("Bearer {TOKEN}");
    let lower = format!("bearer {TOKEN}");
    for body in [entry.as_str(), "{}", ""] {
        for (token, status) in [
            (None, 401),
            (Some(""), 401),
            (Some("wrong"), 403),
            (Some("Bearer wrong"), 403),
            (Some(lower.as_str()), 403),
            (Some(TOKEN), 200),
            (Some(bearer.as_str()), 200),
        ] {
            assert_eq!(post(token, body.to_owned()).await, status, "{token:?} {body}");
        }
    }
    assert_eq!(accounts(&receiver, ["records_total", "downloads_total"]).await, [2, 1]);
    metering.has_exactly(&Get::many([1])).await.unwrap();
}

#[tokio::test]
async fn other_methods_and_paths_are_refused_and_never_redirected() {
    let (receiver, _metering) = receiver().await;
    for (method, path, status) in [
        (Method::GET, PROCESSOR, 405),
        (Method::PUT, PROCESSOR, 405),
        (Method::DELETE, PROCESSOR, 405),
        (Method::PATCH, PROCESSOR, 405),
        (Method::HEAD, PROCESSOR, 405),
        (Method::OPTIONS, PROCESSOR, 405),
        (Method::POST, "/auditlogs/processor/", 404),
        (Method::POST, "/auditlogs//processor", 404),
        (Method::POST, "/auditlogs", 404),
        (Method::POST, "/AuditLogs/Processor", 404),
        (Method::GET, "/nothing", 404),
        (Method::GET, "/ready/", 404),
        (Method::POST, "/", 405),
        (Method::POST, "/metrics", 405),
    ] {
        let request = receiver.client().request(method.clone(), receiver.url(path)).header("authorization", TOKEN);
        let answer = request.body("{}").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        assert!(!answer.headers().contains_key("location"));
    }
    let with_query = receiver.client().post(receiver.url("/auditlogs/processor?source=minio"));
    assert_eq!(with_query.header("authorization", TOKEN).body("{}").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_body_over_the_cap_is_refused_whole() {
    let (receiver, metering) = receiver_with(&[("MAX_BODY_BYTES", "20000")]).await;
    let gets = Get::many(1..=20);
    let answer = receiver.client().post(receiver.url(PROCESSOR)).header("authorization", TOKEN);
    let answer = answer.body(post_of(&gets)).send().await.unwrap();
    assert_eq!(answer.status(), 413);
    assert!(answer.text().await.unwrap().contains("MAX_BODY_BYTES"));
    // In pieces, without a length to go by.
    let chunked = raw(&receiver, &chunks(&post_of(&gets)));
    assert!(chunked.starts_with("HTTP/1.1 413"), "{chunked}");
    assert_eq!(receiver.post(post_of(&gets[..3])).await.unwrap(), 200);
    assert_eq!(accounts(&receiver, ["records_total", "delivered_total"]).await, [3, 3]);
    metering.has_exactly(&gets[..3]).await.unwrap();
}

fn chunks(body: &[u8]) -> Vec<u8> {
    let head =
        format!("POST {PROCESSOR} HTTP/1.1\r\nHost: x\r\nAuthorization: {TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut request = head.into_bytes();
    for chunk in body.chunks(1000) {
        request.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        request.extend(chunk);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    request
}

/// Sends bytes as they are, closes the sending side, and answers what came back.
fn raw(receiver: &Receiver, bytes: &[u8]) -> String {
    let mut stream = connect(receiver);
    // The receiver may have answered and closed before it was sent everything.
    let _closed_early = stream.write_all(bytes);
    let _closed_early = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _closed_early = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn connect(receiver: &Receiver) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", receiver.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

fn post(body: &str, length: usize) -> Vec<u8> {
    let head =
        format!("POST {PROCESSOR} HTTP/1.1\r\nHost: x\r\nAuthorization: {TOKEN}\r\nContent-Length: {length}\r\n");
    format!("{head}\r\n{body}").into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_counts_in_nothing() {
    let (receiver, metering) = receiver().await;
    let entry = Get::new(1).minio().to_string();
    let short = raw(&receiver, &post(&entry, entry.len() + 100));
    assert!(short.is_empty() || short.starts_with("HTTP/1.1 400"), "{short}");
    let mut aborted = connect(&receiver);
    aborted.write_all(&post(entry.split_at(50).0, entry.len())).unwrap();
    drop(aborted);
    let garbage = raw(&receiver, b"\x16\x03\x01 not http\r\n\r\n");
    assert!(garbage.is_empty() || garbage.starts_with("HTTP/1.1 400"), "{garbage}");
    assert_eq!(receiver.post(lines(&[Get::new(2).minio()])).await.unwrap(), 200);
    assert_eq!(accounts(&receiver, ["records_total", "quarantined_total"]).await, [1, 0]);
    metering.has_exactly(&Get::many([2])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_too_short_cuts_the_entry_and_quarantines_it() {
    let (receiver, metering) = receiver().await;
    let entry = Get::new(1).minio().to_string();
    let answer = raw(&receiver, &post(&entry, entry.len() - 10));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(accounts(&receiver, ["records_total", "quarantined_total"]).await, [1, 1]);
    metering.has_exactly(&[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_serves_one_request_after_another() {
    let (receiver, metering) = receiver().await;
    let mut stream = connect(&receiver);
    for number in 1..=5 {
        let entry = Get::new(number).minio().to_string();
        stream.write_all(&post(&entry, entry.len())).unwrap();
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK", "{number}");
        let mut rest = Vec::new();
        while !rest.ends_with(b"}") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            rest.push(byte[0]);
        }
    }
    receiver.settled().await.unwrap();
    metering.has_exactly(&Get::many(1..=5)).await.unwrap();
}

#[tokio::test]
async fn answers_are_json_that_says_what_was_wrong() {
    let (receiver, _metering) = receiver().await;
    let answer = receiver.client().post(receiver.url(PROCESSOR)).body("{}").send().await.unwrap();
    let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(body["status"], "error");
    assert!(body["reason"].as_str().unwrap().contains("Authorization"));
}
