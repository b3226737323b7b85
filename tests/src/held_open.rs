//! A proxy before a server that keeps its connections to it open after the clients have gone.
//!
//! MinIO gives up an audit entry, by chance, once the connection of its request is closed: a program that ends right after its last
//! download, or opens a connection for each, is then told of to some webhooks and not to others. Behind this, each of its downloads
//! is told of to all.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use anyhow::{Context, Result};

/// Where clients connect; on threads of its own, since those who start them wait for their end. It lives as long as the tests.
#[derive(Debug)]
pub struct HeldOpen {
    authority: String,
}

impl HeldOpen {
    /// One before the server that listens on `port`.
    ///
    /// # Errors
    /// When it has no port of its own.
    pub fn before(port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        let authority = listener.local_addr()?.to_string();
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A client whose connection cannot be forwarded sees it closed.
                let _ = forward(&client, server);
            }
        });
        Ok(Self { authority })
    }

    /// The host and port that clients connect to.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The same as the URL of an endpoint.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.authority)
    }
}

/// Forwards both ways until each end has closed its own.
fn forward(client: &TcpStream, server: SocketAddr) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    let (mut requests, mut answers) = (client.try_clone()?, client.try_clone()?);
    let (mut to_server, mut from_server) = (server.try_clone()?, server);
    // What the client closes is not passed on: the server closes the connection itself when it has been idle for long.
    thread::spawn(move || io::copy(&mut requests, &mut to_server));
    thread::spawn(move || {
        if io::copy(&mut from_server, &mut answers).is_err() {
            // The client takes no more; the server is not to notice.
            let _ = io::copy(&mut from_server, &mut io::sink());
        }
        answers.shutdown(Shutdown::Both)
    });
    Ok(())
}
