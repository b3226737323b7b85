//! A plain HTTP client for talking to the parts: loopback only, no proxy, no redirects.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result};

/// A new client whose requests end within `limit`.
///
/// # Errors
/// When it cannot be built.
pub fn client(limit: Duration) -> Result<reqwest::Client> {
    builder(limit).build().context("HTTP client")
}

/// One that connects anew for each request, for parts that several tests share: a connection lives no longer than the
/// runtime of the test that opened it.
///
/// # Errors
/// When it cannot be built.
pub fn connecting_anew(limit: Duration) -> Result<reqwest::Client> {
    builder(limit).pool_max_idle_per_host(0).build().context("HTTP client")
}

fn builder(limit: Duration) -> reqwest::ClientBuilder {
    static PROVIDER: OnceLock<()> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        // Refused only when one is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::builder().timeout(limit).no_proxy().tls_certs_only([]).redirect(reqwest::redirect::Policy::none())
}

/// Whether `url` answers with a success at once.
pub async fn answers(client: &reqwest::Client, url: &str) -> bool {
    client.get(url).send().await.is_ok_and(|answer| answer.status().is_success())
}
