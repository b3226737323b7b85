//! Whom a TLS connection trusts.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore};

use super::SetUpError;

/// The certificate authorities that a server's certificate may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trust {
    /// The web's, which are compiled in: no file is read. Those of AWS are among them.
    #[default]
    Web,
    /// Those that this machine trusts besides the web's, as servers of one's own network often have certificates of one's own. Reading
    /// and parsing them takes milliseconds, once in a process.
    Machine,
    /// Those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, besides the web's: there must be some.
    Named,
}

impl Trust {
    /// TLS by rustls with `ring`.
    ///
    /// # Errors
    /// When no certificate can be read where some were named, or the TLS library refuses its own defaults.
    pub(crate) fn tls(self) -> Result<ClientConfig, SetUpError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| SetUpError(error.to_string()))?
            .with_root_certificates(self.roots()?)
            .with_no_client_auth())
    }

    fn roots(self) -> Result<RootCertStore, SetUpError> {
        if self == Self::Web {
            return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
        }
        let read = READ.get_or_init(read);
        if self == Self::Named && read.added == 0 {
            return Err(SetUpError(
                "SSL_CERT_FILE, SSL_CERT_DIR: expected files of certificates in PEM, but none could be read".to_owned(),
            ));
        }
        Ok(read.roots.clone())
    }
}

/// The web's authorities and those read from this machine.
struct Read {
    roots: RootCertStore,
    added: usize,
}

static READ: OnceLock<Read> = OnceLock::new();

fn read() -> Read {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    // It looks at the variables itself. A machine without a store, or with a certificate in it that cannot be read, still has
    // the web's.
    let (added, _unreadable) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Read { roots, added }
}

/// What to mend where the text of an error says that nobody trusted vouches for a server.
pub(crate) fn remedy(error: &str) -> Option<&'static str> {
    // As `rustls` writes it.
    error.contains("UnknownIssuer").then_some("SSL_CERT_FILE names a file of certificate authorities to trust")
}
