//! A certificate authority of one's own, and servers with certificates of it.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::process::Directory;

/// An authority that nobody trusts who is not told to.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    directory: Directory,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// When there is no room for its certificate.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let directory = Directory::new()?;
        std::fs::write(directory.path().join("authority.pem"), params.self_signed(&key)?.pem())?;
        Ok(Self { issuer: Issuer::new(params, key), directory })
    }

    /// Its certificate, for `SSL_CERT_FILE`.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("authority.pem")
    }

    /// Has a server that speaks plain HTTP at `url` be reached by TLS too: answers the URL for that, path included.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn in_front_of(&self, url: &str) -> Result<String> {
        let rest = url.strip_prefix("http://").context("expected an http:// URL")?;
        let (target, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(serve(listener, self.acceptor()?, target.to_owned()));
        Ok(format!("https://{address}{path}"))
    }

    fn acceptor(&self) -> Result<TlsAcceptor> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &self.issuer)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, target: String) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, target) = (acceptor.clone(), target.clone());
        tokio::spawn(async move {
            // A client that does not trust the certificate is one of the tests' cases.
            let mut outside = acceptor.accept(stream).await?;
            let mut inside = TcpStream::connect(target).await?;
            copy_bidirectional(&mut outside, &mut inside).await
        });
    }
}
