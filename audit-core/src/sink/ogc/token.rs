//! Tokens of the auth server: fetched once however many wait, kept until shortly before they expire.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, Method, header};
use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::answer::words;
use crate::client::{Client, Request, Response, retry};
use crate::clock::Clock;

/// Before a token's end it is no longer used: a request under way must not outlive it.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);
/// How long a token is used whose end cannot be read.
const OF_UNKNOWN_END: SignedDuration = SignedDuration::from_mins(5);
/// How long a token is used at least: where this machine's clock is ahead, every token looks expired.
const AT_LEAST: SignedDuration = SignedDuration::from_secs(30);

/// Who asks for tokens, and where.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// `AUTH_URL`.
    pub auth_url: Url,
    /// `CLIENT_ID`.
    pub client_id: String,
    /// `CLIENT_SECRET`.
    pub client_secret: SecretString,
    /// `AUTH_ITEM_ID`.
    pub item_id: String,
    /// `AUTH_ITEM_TYPE`.
    pub item_type: String,
}

/// A token, to be shown to the resource server alone.
#[derive(Debug, Clone)]
pub struct Token {
    text: SecretString,
}

impl Token {
    /// The `Authorization` header's value, marked as sensitive.
    ///
    /// # Errors
    /// When the token holds what no header may.
    pub(super) fn header(&self) -> Result<HeaderValue, TokenError> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.text.expose_secret()))
            .map_err(|_| TokenError::Misconfigured("AUTH_URL: the token is not fit for a header".to_owned()))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// `text` without this token in it.
    pub(super) fn censor(&self, text: &str) -> String {
        text.replace(self.text.expose_secret(), "…")
    }

    /// When it ends, as far as it says.
    pub(super) fn ends_at(&self) -> Option<Timestamp> {
        expiry(self.text.expose_secret())
    }

    fn is(&self, other: &Self) -> bool {
        self.text.expose_secret() == other.text.expose_secret()
    }
}

/// Why there is no token. The texts hold no credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Worth another try.
    #[error("no token: {message}")]
    Transient {
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
        /// What went wrong.
        message: String,
    },
    /// What to mend.
    #[error("no token: {0}")]
    Misconfigured(String),
}

/// The tokens of one role.
#[derive(Debug)]
pub struct Tokens {
    client: Client,
    credentials: Credentials,
    role: String,
    timeout: Duration,
    clock: Clock,
    kept: Mutex<Kept>,
    fetches: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    token: Option<(Token, Timestamp)>,
    failure: Option<TokenError>,
}

impl Tokens {
    /// Tokens for `role`, none fetched yet.
    #[must_use]
    pub fn new(client: Client, credentials: Credentials, role: String, timeout: Duration, clock: Clock) -> Self {
        Self { client, credentials, role, timeout, clock, kept: Mutex::default(), fetches: AtomicU64::new(0) }
    }

    /// A token that is good as far as is known.
    ///
    /// # Errors
    /// When the auth server gives none. Those who waited while it was asked share its answer.
    pub async fn get(&self) -> Result<Token, TokenError> {
        let seen = self.fetches.load(Ordering::SeqCst);
        let mut kept = self.kept.lock().await;
        if let Some((token, until)) = &kept.token
            && self.clock.now() < *until
        {
            return Ok(token.clone());
        }
        if self.fetches.load(Ordering::SeqCst) != seen
            && let Some(failure) = &kept.failure
        {
            return Err(failure.clone());
        }
        let fetched = self.fetch().await;
        self.fetches.fetch_add(1, Ordering::SeqCst);
        kept.failure = fetched.as_ref().err().cloned();
        let token = fetched?;
        kept.token = Some((token.clone(), self.use_until(&token)));
        Ok(token)
    }

    /// Forgets `token`, which was not accepted; a newer one stays.
    pub async fn invalidate(&self, token: &Token) {
        self.kept.lock().await.token.take_if(|(own, _)| own.is(token));
    }

    fn use_until(&self, token: &Token) -> Timestamp {
        let now = self.clock.now();
        let end = match token.ends_at() {
            Some(end) => end.saturating_sub(MARGIN).unwrap_or(end),
            None => now.saturating_add(OF_UNKNOWN_END).unwrap_or(now),
        };
        end.max(now.saturating_add(AT_LEAST).unwrap_or(now))
    }

    async fn fetch(&self) -> Result<Token, TokenError> {
        let transient = |message| TokenError::Transient { retry_after: None, message };
        // A token request changes nothing, so it may be repeated whatever became of it.
        let response =
            self.client.send(self.request()?, self.timeout).await.map_err(|error| transient(error.to_string()))?;
        let Some(body) = &response.body else {
            return Err(transient("the auth server's answer broke off".to_owned()));
        };
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        if response.status != 200 {
            return Err(self.refusal(&response, &json));
        }
        match json.pointer("/results/accessToken").and_then(Value::as_str) {
            Some(token) if !token.is_empty() => Ok(Token { text: token.into() }),
            _ => Err(TokenError::Misconfigured("AUTH_URL: answered 200 without results.accessToken".to_owned())),
        }
    }

    fn request(&self) -> Result<Request, TokenError> {
        let Credentials { auth_url, client_id, client_secret, item_id, item_type } = &self.credentials;
        let secret = |value: &str, name: &str| {
            let mut value = HeaderValue::from_str(value)
                .map_err(|_| TokenError::Misconfigured(format!("{name}: expected text that is fit for a header")))?;
            value.set_sensitive(true);
            Ok(value)
        };
        let mut headers = HeaderMap::new();
        headers.insert("clientId", secret(client_id, "CLIENT_ID")?);
        headers.insert("clientSecret", secret(client_secret.expose_secret(), "CLIENT_SECRET")?);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = json!({"itemId": item_id, "itemType": item_type, "role": self.role}).to_string().into();
        Ok(Request { method: Method::POST, url: auth_url.clone(), headers, body })
    }

    fn refusal(&self, response: &Response, json: &Value) -> TokenError {
        let title = json.get("title").and_then(Value::as_str).unwrap_or_default();
        let said = [response.status.to_string(), title.chars().take(100).collect(), words(json)];
        let said: Vec<&str> = said.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
        let message = said
            .join(": ")
            .replace(self.credentials.client_secret.expose_secret(), "…")
            .replace(&self.credentials.client_id, "…");
        match response.status.as_u16() {
            429 | 500.. => TokenError::Transient {
                retry_after: retry::retry_after(&response.headers, self.clock.now()),
                message: format!("the auth server answered {message}"),
            },
            401 | 403 => TokenError::Misconfigured(format!(
                "CLIENT_ID, CLIENT_SECRET, AUTH_ITEM_ID, AUTH_ITEM_TYPE or the role {} is not accepted: the auth server answered {message}",
                self.role
            )),
            _ => TokenError::Misconfigured(format!("AUTH_URL: expected 200, the auth server answered {message}")),
        }
    }
}

/// A JWT's `exp`. Its signature is the resource server's to check.
fn expiry(token: &str) -> Option<Timestamp> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
    let exp = serde_json::from_slice::<Value>(&payload).ok()?.get("exp")?.as_number()?.as_f64()?;
    Timestamp::UNIX_EPOCH.checked_add(SignedDuration::try_from_secs_f64(exp).ok()?).ok()
}
