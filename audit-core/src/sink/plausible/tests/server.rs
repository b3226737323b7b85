//! A server that plays Plausible, well or badly, and remembers what it saw.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reply {
    Accept,
    Drop,
    Status(u16),
    Refuse,
    Reset,
    Hang,
    Garbage,
}

#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) headers: HashMap<String, String>,
    pub(super) event: Value,
    pub(super) accepted: bool,
}

#[derive(Debug, Default)]
struct State {
    seen: Vec<Seen>,
    visitors_under_way: Vec<String>,
    most_under_way: usize,
    overlapped: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) url: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    /// Answers the request number `n` (from 0) with `reply(n)`, after `pause`.
    pub(super) async fn start(pause: Duration, reply: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = Self { url, state: Arc::default() };
        let (own, reply) = (server.clone(), Arc::new(reply));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (own, reply) = (own.clone(), Arc::clone(&reply));
                tokio::spawn(async move { own.serve(stream, pause, &*reply).await });
            }
        });
        server
    }

    async fn serve(&self, mut stream: TcpStream, pause: Duration, reply: &(impl Fn(usize) -> Reply + Sync)) {
        let Some((headers, body)) = request(&mut stream).await else { return };
        let visitor = format!("{:?} {:?}", headers.get("x-forwarded-for"), headers.get("user-agent"));
        let reply = {
            let mut state = self.state.lock().unwrap();
            let reply = reply(state.seen.len());
            let event = serde_json::from_slice(&body).unwrap();
            state.seen.push(Seen { headers, event, accepted: matches!(reply, Reply::Accept) });
            state.overlapped |= state.visitors_under_way.contains(&visitor);
            state.visitors_under_way.push(visitor.clone());
            state.most_under_way = state.most_under_way.max(state.visitors_under_way.len());
            reply
        };
        tokio::time::sleep(pause).await;
        {
            let mut state = self.state.lock().unwrap();
            let at = state.visitors_under_way.iter().position(|own| *own == visitor).unwrap();
            state.visitors_under_way.swap_remove(at);
        }
        let answer = match reply {
            Reply::Accept => "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok".to_owned(),
            Reply::Drop => "HTTP/1.1 202 Accepted\r\nx-plausible-dropped: 1\r\nContent-Length: 2\r\n\r\nok".to_owned(),
            Reply::Status(status) => format!("HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n"),
            Reply::Refuse => {
                let body = r#"{"errors":{"props":["203.0.113.7 is too long"]}}"#;
                format!("HTTP/1.1 400 Bad\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            }
            Reply::Garbage => "SSH-2.0-nothing\r\n\r\n".to_owned(),
            Reply::Reset => return stream.set_zero_linger().unwrap(),
            Reply::Hang => return tokio::time::sleep(Duration::from_mins(1)).await,
        };
        let _ = stream.write_all(answer.as_bytes()).await;
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    pub(super) fn recorded(&self) -> usize {
        self.seen().iter().filter(|seen| seen.accepted).count()
    }

    pub(super) fn most_under_way(&self) -> usize {
        self.state.lock().unwrap().most_under_way
    }

    /// Whether two requests of one visitor were under way at once.
    pub(super) fn overlapped(&self) -> bool {
        self.state.lock().unwrap().overlapped
    }
}

async fn request(stream: &mut TcpStream) -> Option<(HashMap<String, String>, Vec<u8>)> {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 16384]);
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            assert!(head.starts_with("POST /api/event HTTP/1.1\r\n"), "{head}");
            let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
            let headers: HashMap<_, _> =
                fields.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
            let length: usize = headers["content-length"].parse().unwrap();
            if bytes.len() >= end + 4 + length {
                return Some((headers, bytes[end + 4..].to_vec()));
            }
        }
        match stream.read(&mut buffer).await.ok()? {
            0 => return None,
            read => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}
