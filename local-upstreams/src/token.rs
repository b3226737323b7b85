//! Access tokens: JWTs signed with a key that everybody can read here, so good for development only.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::Uuid;

const DEVELOPMENT_KEY: &[u8] = b"local-upstreams development key";
const RESOURCE_SERVER_PREFIX: &str = "rs:";

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// The user.
    pub(crate) sub: Uuid,
    pub(crate) role: String,
    /// What the token is for: `rs:` and a resource server, or `ri:` and another item.
    pub(crate) iid: String,
    /// When it ends, in seconds since 1970.
    pub(crate) exp: i64,
    pub(crate) iat: i64,
    /// Makes two tokens of one second differ.
    pub(crate) jti: Uuid,
    /// A delegate's principal: whose delegate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) did: Option<Uuid>,
    /// And in which role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) drl: Option<String>,
}

/// Why a token is not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    Malformed,
    Expired,
}

impl Claims {
    /// The `iid` of an item.
    pub(crate) fn iid_of(item_type: &str, item_id: &str) -> String {
        let prefix = if item_type == "resource_server" { RESOURCE_SERVER_PREFIX } else { "ri:" };
        format!("{prefix}{item_id}")
    }

    /// Whether the token is for the resource server as a whole.
    pub(crate) fn is_rs_token(&self) -> bool {
        self.iid.starts_with(RESOURCE_SERVER_PREFIX)
    }

    /// The token as text.
    pub(crate) fn sign(&self) -> serde_json::Result<String> {
        let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"HS256"}"#);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(serde_json::to_vec(self)?));
        let signature = mac(&signed).map(|mac| mac.finalize().into_bytes()).unwrap_or_default();
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Checks a token's form and signature, then its end against `now` in seconds since 1970.
    pub(crate) fn verify(token: &str, now: i64) -> Result<Self, Invalid> {
        let (signed, signature) = token.rsplit_once('.').ok_or(Invalid::Malformed)?;
        let (_, payload) = signed.split_once('.').ok_or(Invalid::Malformed)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Invalid::Malformed)?;
        let mac = mac(signed).ok_or(Invalid::Malformed)?;
        mac.verify_slice(&signature).map_err(|_| Invalid::Malformed)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| Invalid::Malformed)?;
        let claims: Self = serde_json::from_slice(&payload).map_err(|_| Invalid::Malformed)?;
        if claims.exp <= now { Err(Invalid::Expired) } else { Ok(claims) }
    }
}

fn mac(signed: &str) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(DEVELOPMENT_KEY).ok()?;
    mac.update(signed.as_bytes());
    Some(mac)
}

/// The machine's clock, in seconds since 1970.
#[allow(clippy::disallowed_methods, reason = "tokens expire by the machine's clock, as their reader sees it")]
pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            sub: Uuid::from_u128(1),
            role: "admin".to_owned(),
            iid: Claims::iid_of("resource_server", "localhost"),
            exp: 100,
            iat: 50,
            jti: Uuid::from_u128(2),
            did: None,
            drl: None,
        }
    }

    #[test]
    fn a_token_reads_back_until_it_ends() {
        let token = claims().sign().unwrap();
        assert_eq!(token.split('.').count(), 3);
        assert_eq!(Claims::verify(&token, 99), Ok(claims()));
        assert_eq!(Claims::verify(&token, 100), Err(Invalid::Expired));
    }

    #[test]
    fn a_changed_token_is_refused() {
        let token = claims().sign().unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let forged = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&Claims { exp: 1000, ..claims() }).unwrap());
        let header = signed.split_once('.').unwrap().0;
        for bad in [format!("{header}.{forged}.{signature}"), format!("{signed}."), signed.to_owned(), String::new()] {
            assert_eq!(Claims::verify(&bad, 1), Err(Invalid::Malformed), "{bad}");
        }
    }
}
