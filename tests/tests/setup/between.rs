//! A stand-in for what is between a program and a server: it changes words on their way, and keeps what was asked.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What is there, and what is passed on instead.
type Change = (&'static str, &'static str);

/// Where clients connect; it lives as long as the tests.
pub(crate) struct Between {
    pub(crate) endpoint: String,
    asked: Arc<Mutex<Vec<u8>>>,
}

impl Between {
    /// One before the server at `endpoint`. The words are in the heads of requests and answers, which come whole.
    pub(crate) fn before(endpoint: &str, request: Option<Change>, answer: Option<Change>) -> Self {
        let server: SocketAddr = endpoint.trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let own = Self { endpoint: format!("http://{}", listener.local_addr().unwrap()), asked: Arc::default() };
        let asked = Arc::clone(&own.asked);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // While the server is away, the client sees its connection closed.
                let Ok(server) = TcpStream::connect(server) else { continue };
                let (from_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let asked = Arc::clone(&asked);
                thread::spawn(move || pass(from_client, to_server, request, &asked));
                thread::spawn(move || pass(server, client, answer, &Mutex::default()));
            }
        });
        own
    }

    /// The heads of the requests so far that hold `word`, in lower case.
    pub(crate) fn asked(&self, word: &str) -> Vec<String> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&asked).to_lowercase();
        text.split("\r\n\r\n").filter(|head| head.contains(word)).map(str::to_owned).collect()
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, change: Option<Change>, kept: &Mutex<Vec<u8>>) -> io::Result<()> {
    let mut bytes = vec![0; 1 << 16];
    loop {
        let length = from.read(&mut bytes).unwrap_or(0);
        if length == 0 {
            return to.shutdown(Shutdown::Write);
        }
        let mut part = bytes[..length].to_vec();
        kept.lock().unwrap_or_else(PoisonError::into_inner).extend(&part);
        if let Some((old, new)) = change
            && let Some(at) = part.windows(old.len()).position(|own| own == old.as_bytes())
        {
            part.splice(at..at + old.len(), new.bytes());
        }
        to.write_all(&part)?;
    }
}
