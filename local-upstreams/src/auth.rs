//! The auth server's token endpoint.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::Shared;
use crate::ogc::refusal::problem;
use crate::token::{Claims, now};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenRequest {
    item_id: String,
    item_type: String,
    role: String,
}

/// `POST /auth/v1/token`: headers `clientId`, `clientSecret`, body `{"itemId","itemType","role"}`.
pub(crate) async fn token(State(app): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(user) = client_user(&app, &headers) else {
        return problem(
            StatusCode::UNAUTHORIZED,
            "urn:dx:as:InvalidAuthenticationCredentials",
            "Not authenticated",
            "Invalid clientId or clientSecret",
        );
    };
    let request: TokenRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return bad_input(&error.to_string()),
    };
    if !matches!(request.role.as_str(), "admin" | "provider" | "consumer" | "delegate") {
        return bad_input("role: expected admin, provider, consumer or delegate");
    }
    match claims(user, &request, app.config.token_seconds).sign() {
        Ok(token) => Json(json!({
            "type": "urn:dx:as:Success",
            "title": "Token created",
            "results": { "accessToken": token, "server": request.item_id },
        }))
        .into_response(),
        Err(error) => bad_input(&error.to_string()),
    }
}

fn client_user(app: &Shared, headers: &HeaderMap) -> Option<Uuid> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    app.config.user_of(text("clientId")?, text("clientSecret")?)
}

fn claims(user: Uuid, request: &TokenRequest, seconds: u32) -> Claims {
    let delegate = request.role == "delegate";
    let iat = now();
    Claims {
        sub: user,
        role: request.role.clone(),
        iid: Claims::iid_of(&request.item_type, &request.item_id),
        exp: iat + i64::from(seconds),
        iat,
        jti: Uuid::new_v4(),
        did: delegate.then_some(user),
        drl: delegate.then(|| "provider".to_owned()),
    }
}

fn bad_input(detail: &str) -> Response {
    problem(StatusCode::BAD_REQUEST, "urn:dx:as:InvalidInput", "Invalid request body", detail)
}
