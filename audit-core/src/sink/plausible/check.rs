//! Whether events would arrive: asked before any is sent, and told in words with the remedy.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::Url;
use serde_json::json;

use super::UrlError;
use super::answer::is_dropped;
use crate::client::{Client, Request};
use crate::config::AnalyticsConfig;
pub use crate::finding::Finding;

const TIMEOUT: Duration = Duration::from_secs(10);
/// The name of the one event that is sent. No goal has it, so no dashboard shows it.
pub const EVENT_NAME: &str = "s3audit check";
const USER_AGENT: &str = concat!("s3audit/", env!("CARGO_PKG_VERSION"));

/// Asks Plausible how it is, and whether it knows the site: by one event named [`EVENT_NAME`], not interactive, with neither a
/// visitor's address nor User-Agent. A site that is known records it, as a visit by this machine; the other ways to ask need an account.
///
/// # Errors
/// Where the configured URL is none.
pub async fn check(config: &AnalyticsConfig, client: &Client) -> Result<Vec<Finding>, UrlError> {
    let base = config.api_url.trim_end_matches('/');
    let url = |path: &str| format!("{base}{path}").parse::<Url>().map_err(|_| UrlError);
    let (health, event) = (url("/api/health")?, url("/api/event")?);
    let reachable = reachable(client, health).await;
    let mut findings = vec![];
    let is_reachable = !matches!(reachable, Finding::Trouble(_));
    findings.push(reachable);
    if is_reachable {
        findings.push(site(config, client, event).await);
    }
    findings.push(Finding::Note(format!(
        "the dashboard shows downloads once the site has a custom-event goal named `{}` (Site settings, Goals), and their props once \
         these are allowed there (Custom properties): method, client, client_version, bytes, backend, time, user_agent, collection, \
         item, asset, and the names in PATH_TEMPLATE",
        config.event_name
    )));
    Ok(findings)
}

async fn reachable(client: &Client, url: Url) -> Finding {
    let request = Request { method: Method::GET, url, headers: HeaderMap::new(), body: bytes::Bytes::new() };
    match client.send(request, TIMEOUT).await {
        Ok(answer) if answer.status.is_success() => {
            Finding::Fine("Plausible answers, and says that it is well".to_owned())
        }
        Ok(answer) if answer.status == StatusCode::NOT_FOUND => {
            Finding::Note("PLAUSIBLE_API_URL: the server has no /api/health; a proxy may hide it".to_owned())
        }
        Ok(answer) if answer.status.is_redirection() => Finding::Trouble(format!(
            "PLAUSIBLE_API_URL: the server redirects (status {}), which is never followed: set the URL it redirects to, such as the one \
             with https",
            answer.status.as_u16()
        )),
        Ok(answer) => Finding::Trouble(format!(
            "PLAUSIBLE_API_URL: /api/health answers status {}: Plausible or its databases are not well, or the URL is not its base URL",
            answer.status.as_u16()
        )),
        Err(error) => Finding::Trouble(format!(
            "PLAUSIBLE_API_URL: Plausible is out of reach ({error}): expected its base URL as seen from here; between containers, the \
             service's name and inner port, such as http://plausible:8000. Until it answers, events wait and metering goes on"
        )),
    }
}

async fn site(config: &AnalyticsConfig, client: &Client, url: Url) -> Finding {
    let domain = &config.domain;
    let body = json!({
        "name": EVENT_NAME, "domain": domain, "url": format!("https://{domain}/s3audit-check"), "interactive": false,
    });
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    let request = Request { method: Method::POST, url, headers, body: body.to_string().into() };
    match client.send(request, TIMEOUT).await {
        Ok(answer) if answer.status == StatusCode::ACCEPTED && is_dropped(&answer.headers) => {
            Finding::Trouble(format!(
                "PLAUSIBLE_DATA_DOMAIN: Plausible drops events for `{domain}`: expected a site's domain exactly as Plausible lists it. A new \
             site takes its first events about 24 s after it is made; the hosted service also drops what comes from a data centre, and any \
             server what the site's shields block"
            ))
        }
        Ok(answer) if answer.status == StatusCode::ACCEPTED => {
            Finding::Fine(format!("Plausible takes events for `{domain}` (asked by an event named `{EVENT_NAME}`)"))
        }
        Ok(answer) if answer.status == StatusCode::BAD_REQUEST => {
            Finding::Trouble(format!("PLAUSIBLE_DATA_DOMAIN: Plausible refuses events for `{domain}` (status 400)"))
        }
        Ok(answer) => Finding::Trouble(format!(
            "PLAUSIBLE_API_URL: /api/event answers status {} where Plausible answers 202: expected Plausible's base URL",
            answer.status.as_u16()
        )),
        Err(error) => Finding::Trouble(format!(
            "PLAUSIBLE_API_URL: /api/event does not answer ({error}); events wait, and metering goes on"
        )),
    }
}
