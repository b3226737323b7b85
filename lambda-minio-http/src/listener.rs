//! Connections of the standalone server: no more than it can bear, and none for a peer that sends nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;

/// What peers may take.
pub(crate) struct Limits {
    /// Connections at a time.
    pub(crate) connections: usize,
    /// How long a request's head may take to arrive, from the connection or the last answer on.
    pub(crate) head: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        // Half of the files that a process may usually have open: the spool, the ledger and the deliveries need theirs. MinIO closes
        // an idle connection long before the minute.
        Self { connections: 512, head: Duration::from_mins(1) }
    }
}

/// How long to wait before accepting again after the system refused to.
const REFUSED_PAUSE: Duration = Duration::from_millis(200);

/// Serves `router` to whoever connects to `listener`, until `stop` turns true; then ends when every request under way is answered.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    Limits { connections, head }: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head);
    let (graceful, places) = (GracefulShutdown::new(), Arc::new(Semaphore::new(connections)));
    let accept = async || {
        let place = Arc::clone(&places).acquire_owned().await;
        listener.accept().await.map(|(stream, _)| (stream, place))
    };
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = accept() => accepted,
        };
        let (stream, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(REFUSED_PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // A peer that goes away, or sends what is no HTTP, is nobody's trouble here.
            let _ended = connection.await;
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::Notify;
    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    struct Server {
        address: SocketAddr,
        begun: Arc<Notify>,
        stop: watch::Sender<bool>,
        task: JoinHandle<()>,
    }

    /// A server that takes its time, and tells when it has begun to.
    async fn server(limits: Limits) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, begun) = (listener.local_addr().unwrap(), Arc::new(Notify::new()));
        let tell = Arc::clone(&begun);
        let slowly = get(async move || {
            tell.notify_one();
            sleep(Duration::from_millis(300)).await;
            "done"
        });
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(serve(listener, Router::new().route("/", slowly), limits, stopped));
        Server { address, begun, stop, task }
    }

    async fn ask(address: SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        timeout(LONG, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer
    }

    #[tokio::test]
    async fn peers_that_send_nothing_lose_their_places() {
        let Server { address, stop: _stop, .. } =
            server(Limits { connections: 2, head: Duration::from_millis(500) }).await;
        let mut idle = Vec::new();
        for start in ["", "GET / HTTP/1.1\r\nhost:"] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(start.as_bytes()).await.unwrap();
            idle.push(stream);
        }
        assert!(ask(address).await.ends_with("done"));
    }

    #[tokio::test]
    async fn what_is_under_way_is_answered_before_the_end() {
        let Server { address, begun, stop, task } = server(Limits::default()).await;
        let idle = TcpStream::connect(address).await.unwrap();
        let asking = tokio::spawn(ask(address));
        begun.notified().await;
        stop.send_replace(true);
        timeout(LONG, task).await.unwrap().unwrap();
        assert!(asking.await.unwrap().ends_with("done"));
        drop(idle);
    }
}
