//! A listener whose connections a handler can cut with a TCP reset, as a crashing server or proxy does.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Accepts connections that can be reset.
pub(crate) struct ResettableListener {
    pub(crate) listener: TcpListener,
    /// Ends every connection at once when it is ordered.
    pub(crate) stopped: Reset,
}

impl Listener for ResettableListener {
    type Io = ResettableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (ResettableStream, SocketAddr) {
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        // Small answers at once: tests measure them.
        let _ = stream.set_nodelay(true);
        (ResettableStream { stream, reset: Reset::default(), stopped: self.stopped.clone() }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Orders one connection to be reset. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reset(Arc<AtomicBool>);

impl Reset {
    /// From here on nothing is written; the connection ends with RST instead of FIN.
    pub(crate) fn order(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn ordered(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Who is at the other end of a connection, and how to cut it.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) reset: Reset,
}

impl Connected<IncomingStream<'_, ResettableListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, ResettableListener>) -> Self {
        Self { address: *stream.remote_addr(), reset: stream.io().reset.clone() }
    }
}

/// A TCP stream that fails, and closes with RST, once its reset was ordered.
pub(crate) struct ResettableStream {
    stream: TcpStream,
    reset: Reset,
    stopped: Reset,
}

impl ResettableStream {
    fn live(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        if self.reset.ordered() || self.stopped.ordered() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(Pin::new(&mut self.stream))
    }
}

impl Drop for ResettableStream {
    fn drop(&mut self) {
        if self.reset.ordered() {
            // Closing with a linger of zero sends RST; an error means that the peer is gone already.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for ResettableStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.live()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for ResettableStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.live()?.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.live()?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.live()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A shutdown would send FIN before the reset.
        self.live()?.poll_shutdown(cx)
    }
}
