//! The HTTP client below the AWS clients: `hyper` with the process's own TLS, and nothing that only other programs need (HTTP/2,
//! proxies, a second TLS set-up), which halves what the SDK's own client weighs.
//!
//! Requests go out as they were signed: a URL library between here and the wire would write `..` in a key anew.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::ErrorKind;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::causes::cause;
use crate::client::{SetUpError, Trust};

const CONNECT: Duration = Duration::from_secs(3);
/// From the request to the first byte of its answer; SQS's long polls are not used.
const ANSWER: Duration = Duration::from_secs(10);
/// Shorter than services keep a connection, so that few requests meet one that was just closed.
const IDLE: Duration = Duration::from_secs(20);

/// An HTTP client, made when it is first needed and then shared with all clones.
#[derive(Debug, Clone, Default)]
pub struct Http {
    trust: Trust,
    client: Arc<OnceLock<SharedHttpClient>>,
}

impl Http {
    /// A client that trusts `trust`.
    #[must_use]
    pub fn trusting(trust: Trust) -> Self {
        Self { trust, client: Arc::default() }
    }

    pub(super) fn client(&self) -> SharedHttpClient {
        let make = || {
            let connector = connector(self.trust);
            http_client_fn(move |_settings, _components| connector.clone())
        };
        self.client.get_or_init(make).clone()
    }
}

/// A client whose TLS cannot be set up says so at each request, where errors have a way out.
fn connector(trust: Trust) -> SharedHttpConnector {
    match trust.tls() {
        Ok(tls) => SharedHttpConnector::new(Connector(client(tls))),
        Err(error) => SharedHttpConnector::new(Broken(error)),
    }
}

type Inner = Client<HttpsConnector<TcpConnector>, SdkBody>;

fn client(tls: rustls::ClientConfig) -> Inner {
    let mut tcp = TcpConnector::new();
    tcp.set_connect_timeout(Some(CONNECT));
    tcp.set_nodelay(true);
    // `https` is the connector's around it.
    tcp.enforce_http(false);
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
    Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).build(connector)
}

#[derive(Debug)]
struct Connector(Inner);

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move { send(&client, request).await })
    }
}

async fn send(client: &Inner, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    match tokio::time::timeout(ANSWER, client.request(request)).await {
        Ok(Ok(response)) => HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
            .map_err(|error| ConnectorError::other(error.into(), Some(ErrorKind::TransientError))),
        Ok(Err(error)) => Err(told_apart(error)),
        Err(elapsed) => Err(ConnectorError::timeout(elapsed.into())),
    }
}

/// What failed, as the SDK's retries have to know it.
fn told_apart(error: ClientError) -> ConnectorError {
    if error.is_connect() {
        return ConnectorError::io(error.into()).never_connected();
    }
    match cause::<hyper::Error>(&error) {
        Some(cause) if cause.is_timeout() => ConnectorError::timeout(error.into()),
        Some(cause) if cause.is_user() => ConnectorError::user(error.into()),
        Some(cause) if cause.is_closed() || cause.is_canceled() => ConnectorError::io(error.into()),
        _ if cause::<std::io::Error>(&error).is_some() => ConnectorError::io(error.into()),
        // The connection ended within the answer or before it, or what came was no HTTP.
        _ => ConnectorError::other(error.into(), Some(ErrorKind::TransientError)),
    }
}

#[derive(Debug)]
struct Broken(SetUpError);

impl HttpConnector for Broken {
    fn call(&self, _request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(Err(ConnectorError::user(self.0.clone().into())))
    }
}
