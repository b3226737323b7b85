//! Servers whose certificates come from an authority of one's own.

use std::path::PathBuf;

use e2e::authority::Authority;
use e2e::{Get, Metering};

use super::Trail;
use crate::storage::Storage;

/// The URL that the function would have of `name`.
fn url_of(metering: &Metering, name: &str) -> String {
    metering.environment().into_iter().find(|(own, _)| own == name).unwrap().1
}

/// A function that reaches S3 and the resource server by TLS, and is told to trust what is in `file`.
async fn trail(authority: &Authority, file: Option<PathBuf>) -> Trail {
    let storage = Storage::moto().await;
    let endpoint = authority.in_front_of(storage.endpoint()).await.unwrap();
    let metering = Metering::start().await.unwrap();
    let mut more = vec![("AWS_ENDPOINT_URL", endpoint)];
    for name in ["AUTH_URL", "PROCESS_API_URL"] {
        more.push((name, authority.in_front_of(&url_of(&metering, name)).await.unwrap()));
    }
    if let Some(file) = file {
        more.push(("SSL_CERT_FILE", file.display().to_string()));
    }
    Trail::of(storage, metering, more).await
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_where_it_is_named() {
    let authority = Authority::new().unwrap();
    let trail = trail(&authority, Some(authority.file())).await;
    let gets = Get::many(0..20);
    trail.log("log", &gets).await;
    let tally = trail.tally(&trail.event(&["log"])).await;
    assert_eq!(tally["delivered"], 20, "{tally}");
    trail.has_exactly(&gets).await;
}

#[tokio::test]
async fn an_authority_that_nobody_named_is_told() {
    let trail = trail(&Authority::new().unwrap(), None).await;
    trail.log("log", &Get::many(0..2)).await;
    let message = trail.failure(&trail.event(&["log"])).await;
    assert!(message.contains("certificate"), "{message}");
    assert!(message.contains("SSL_CERT_FILE"), "{message}");
    trail.has_exactly(&[]).await;
}

#[tokio::test]
async fn a_file_without_certificates_is_told() {
    let authority = Authority::new().unwrap();
    let trail = trail(&authority, Some(authority.file().with_extension("absent"))).await;
    let error = trail.function.invoke(&trail.event(&["log"])).await.unwrap_err();
    assert!(error.message.contains("SSL_CERT_FILE") || trail.function.log().contains("SSL_CERT_FILE"), "{error:?}");
    trail.has_exactly(&[]).await;
}
