//! Servers that misbehave, each in its own way, and what is known after them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
/// For servers that do not answer: enough to send the request, even on a busy machine.
const BRIEFLY: Duration = Duration::from_millis(1500);
/// More than the buffers of both ends of a local connection hold.
const LARGE_BYTES: usize = 32 * 1024 * 1024;

struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

/// Serves each connection with `behave`.
async fn server<F: Future<Output = ()> + Send>(behave: impl Fn(TcpStream) -> F + Copy + Send + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move { behave(stream).await });
        }
    });
    Server { address, connections }
}

/// Reads one request and returns it as text.
async fn read_request(stream: &mut TcpStream) -> String {
    let (mut request, mut buffer) = (Vec::new(), vec![0; 65536]);
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        match stream.read(&mut buffer).await.unwrap() {
            0 => return text,
            read => request.extend_from_slice(&buffer[..read]),
        }
    }
}

async fn resets(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
}

async fn resets_in_the_middle_of_the_request(mut stream: TcpStream) {
    stream.read_exact(&mut [0; 100]).await.unwrap();
    resets(stream).await;
}

async fn resets_after_the_request(mut stream: TcpStream) {
    read_request(&mut stream).await;
    resets(stream).await;
}

async fn closes_after_the_request(mut stream: TcpStream) {
    read_request(&mut stream).await;
}

async fn hangs(mut stream: TcpStream) {
    read_request(&mut stream).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
}

async fn never_reads(stream: TcpStream) {
    tokio::time::sleep(Duration::from_mins(1)).await;
    drop(stream);
}

async fn drips(mut stream: TcpStream) {
    read_request(&mut stream).await;
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" {
        let _ = stream.write_all(&[*byte]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn cuts_its_answer_short(mut stream: TcpStream) {
    read_request(&mut stream).await;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"status\":").await.unwrap();
}

async fn answers_without_end(mut stream: TcpStream) {
    read_request(&mut stream).await;
    let _ = stream.write_all(b"HTTP/1.1 500 Oh\r\nContent-Length: 1000000000\r\n\r\n").await;
    while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
}

async fn redirects(mut stream: TcpStream) {
    read_request(&mut stream).await;
    stream.write_all(b"HTTP/1.1 307 Go\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n").await.unwrap();
}

/// Answers with the request's text, and keeps the connection open.
async fn echoes(mut stream: TcpStream) {
    loop {
        let request = read_request(&mut stream).await;
        if request.is_empty() {
            return;
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
    }
}

/// Answers once, then takes the next request on the same connection and resets it.
async fn resets_the_second_request(mut stream: TcpStream) {
    read_request(&mut stream).await;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    if !read_request(&mut stream).await.is_empty() {
        resets(stream).await;
    }
}

fn post(url: &str, bytes: usize) -> Request {
    let headers = HeaderMap::new();
    Request { method: Method::POST, url: url.parse().unwrap(), headers, body: vec![b'x'; bytes].into() }
}

async fn send(server: &Server, bytes: usize) -> Result<Response, SendError> {
    send_within(PATIENCE, server, bytes).await
}

async fn send_within(timeout: Duration, server: &Server, bytes: usize) -> Result<Response, SendError> {
    let client = Client::new(Connections::Fresh, Trust::Web).unwrap();
    client.send(post(&format!("http://{}/secret?token=t", server.address), bytes), timeout).await
}

fn assert_not_sent(result: &Result<Response, SendError>) {
    assert!(matches!(result, Err(SendError::NotSent(_))), "{result:?}");
}

fn assert_no_answer(result: &Result<Response, SendError>) {
    assert!(matches!(result, Err(SendError::NoAnswer(_))), "{result:?}");
}

#[tokio::test]
async fn a_refused_connection_is_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_not_sent(&send(&Server { address, connections: Arc::default() }, 100).await);
}

#[tokio::test]
async fn failed_and_hanging_tls_is_not_sent() {
    for server in [server(resets).await, server(redirects).await, server(never_reads).await] {
        let client = Client::new(Connections::Fresh, Trust::Web).unwrap();
        assert_not_sent(&client.send(post(&format!("https://{}/", server.address), 100), BRIEFLY).await);
    }
}

#[tokio::test]
async fn a_request_cut_off_in_the_middle_is_not_sent() {
    assert_not_sent(&send(&server(resets).await, LARGE_BYTES).await);
    assert_not_sent(&send(&server(resets_in_the_middle_of_the_request).await, LARGE_BYTES).await);
    assert_not_sent(&send_within(BRIEFLY, &server(never_reads).await, LARGE_BYTES).await);
}

#[tokio::test]
async fn a_whole_request_without_an_answer_leaves_its_outcome_unknown() {
    for bytes in [100, 1024 * 1024] {
        assert_no_answer(&send(&server(resets_after_the_request).await, bytes).await);
        assert_no_answer(&send(&server(closes_after_the_request).await, bytes).await);
        assert_no_answer(&send_within(BRIEFLY, &server(hangs).await, bytes).await);
        assert_no_answer(&send_within(BRIEFLY, &server(drips).await, bytes).await);
    }
    // Small enough to be in a buffer somewhere: whether it was read, nobody knows.
    assert_no_answer(&send_within(BRIEFLY, &server(never_reads).await, 100).await);
}

#[tokio::test]
async fn of_an_answer_cut_short_the_status_is_known() {
    let response = send(&server(cuts_its_answer_short).await, 100).await.unwrap();
    assert_eq!((response.status.as_u16(), response.body), (200, None));
}

#[tokio::test]
async fn answers_are_read_to_a_cap() {
    let response = send(&server(answers_without_end).await, 100).await.unwrap();
    assert_eq!((response.status.as_u16(), response.body.unwrap().len()), (500, ANSWER_CAP_BYTES));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let server = server(redirects).await;
    assert_eq!(send(&server, 100).await.unwrap().status, 307);
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_request_is_sent_whole_with_its_length() {
    let response = send(&server(echoes).await, 40_000).await.unwrap();
    let request = String::from_utf8(response.body.unwrap().to_vec()).unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.to_lowercase().contains("content-length: 40000"), "{head}");
    assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
    assert_eq!(body, "x".repeat(40_000));
}

#[tokio::test]
async fn connections_are_reused_only_where_that_is_safe() {
    for (connections, expected) in [(Connections::Reused, 1), (Connections::Fresh, 3)] {
        let server = server(echoes).await;
        let client = Client::new(connections, Trust::Web).unwrap();
        for _ in 0..3 {
            client.send(post(&format!("http://{}/", server.address), 10), PATIENCE).await.unwrap();
        }
        assert_eq!(server.connections.load(Ordering::SeqCst), expected);
    }
}

/// The reason for fresh connections: on a kept one the second request would be of unknown outcome.
#[tokio::test]
async fn a_connection_that_goes_stale_spoils_nothing() {
    for (connections, second_is_answered) in [(Connections::Reused, false), (Connections::Fresh, true)] {
        let server = server(resets_the_second_request).await;
        let client = Client::new(connections, Trust::Web).unwrap();
        let request = || client.send(post(&format!("http://{}/", server.address), 10), PATIENCE);
        request().await.unwrap();
        assert_eq!(request().await.is_ok(), second_is_answered);
    }
}

#[tokio::test]
async fn errors_name_no_url() {
    let error = send(&server(closes_after_the_request).await, 10).await.unwrap_err().to_string();
    assert!(!error.contains("secret") && !error.contains("token=t"), "{error}");
}
