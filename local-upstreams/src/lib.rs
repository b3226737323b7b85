#![doc = include_str!("../README.md")]

mod auth;
mod config;
mod counts;
mod dev;
mod faults;
mod listener;
mod ogc;
mod plausible;
mod store;
mod token;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use config::{ASYNC_PROCESS, Config, OTHER_CLIENT_ID, OTHER_CLIENT_SECRET, OTHER_USER, SYNC_PROCESS, USER};
use faults::Target;
use listener::{Peer, Reset, ResettableListener};

/// What every handler shares.
struct App {
    config: Config,
    /// Where it listens, for requests that name no host.
    address: String,
    store: store::Store,
    faults: faults::Book,
    counts: counts::Counts,
    recorder: plausible::Recorder,
}

type Shared = Arc<App>;

/// The stand-ins, serving.
#[derive(Debug)]
pub struct Upstreams {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    stopped: Reset,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Upstreams {
    /// Opens the database, listens, and serves until [`Upstreams::stop`].
    ///
    /// # Errors
    /// When the database can't be prepared or the address is taken.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let store = store::Store::open(&config).await?;
        let wanted = SocketAddr::new(config.bind, config.port);
        let listener = TcpListener::bind(wanted).await.with_context(|| format!("{wanted} can't be listened on"))?;
        let address = listener.local_addr()?;
        let app = Arc::new(App {
            address: address.to_string(),
            store,
            faults: faults::Book::default(),
            counts: counts::Counts::default(),
            recorder: plausible::Recorder::new(config.sites.clone()),
            config,
        });
        let service = router(&app).into_make_service_with_connect_info::<Peer>();
        let (stop, stopped) = oneshot::channel::<()>();
        let listener = ResettableListener { listener, stopped: Reset::default() };
        let stopped_connections = listener.stopped.clone();
        let serving = tokio::spawn(async move {
            let serve = axum::serve(listener, service);
            tokio::select! {
                // Not gracefully: a request made to hang would keep it for ever.
                _ = stopped => Ok(()),
                result = serve => result,
            }
        });
        tracing::info!(%address, "development stand-ins are listening: never expose them");
        Ok(Self { address, stop, stopped: stopped_connections, serving })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening, and answers nothing more on connections that are open.
    ///
    /// # Errors
    /// When serving had failed before.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stopped.order();
        let _ = self.stop.send(());
        Ok(self.serving.await??)
    }
}

fn router(app: &Shared) -> Router {
    let faulty = |target: Target, route: MethodRouter<Shared>| {
        route.layer(from_fn_with_state((Arc::clone(app), target), faults::faulty))
    };
    Router::new()
        .route("/auth/v1/token", faulty(Target::Auth, post(auth::token)))
        .route("/processes/{id}", get(ogc::description::process))
        .route("/processes/{id}/execution", faulty(Target::Execution, post(ogc::execution::execute)))
        .route("/jobs/{id}", faulty(Target::Jobs, get(ogc::jobs::job)))
        .route("/api/event", faulty(Target::Event, post(plausible::event)))
        .route("/api/health", get(plausible::health))
        .route("/_dev/faults", post(dev::add_faults).get(dev::show_faults).delete(dev::clear_faults))
        .route("/_dev/requests", get(dev::requests))
        .route("/_dev/rows", get(dev::rows))
        .route("/_dev/events", get(dev::events))
        .route("/_dev/plausible", post(dev::set_plausible))
        .route("/_dev/reset", post(dev::reset))
        // The middleware has the limit that counts.
        .layer(DefaultBodyLimit::disable())
        .with_state(Arc::clone(app))
}
