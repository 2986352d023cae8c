//! TLS: the server's own certificate, by rustls.
//!
//! Promise: a handshake has its time and nobody else waits for it; changed files are taken over without a restart, as a
//! whole or not at all. HTTP/1.1 only.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, crypto};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio_rustls::TlsAcceptor;

/// How long a handshake may take.
pub(crate) const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// Why a certificate is not used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// Where.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file holds no such thing.
    #[error("{path} holds no {what} in PEM")]
    Missing {
        /// Where.
        path: String,
        /// What it should hold.
        what: &'static str,
    },
    /// Certificate and key are not of one kind, or not of one another.
    #[error("the certificate {path} and its key cannot be used: {source}")]
    Unusable {
        /// Where.
        path: String,
        /// What is wrong with them.
        source: rustls::Error,
    },
    /// One without the other.
    #[error("--tls-cert and --tls-key belong together; give both or neither")]
    Half,
}

/// The certificate in force.
#[derive(Debug)]
pub(crate) struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Current {
    /// The bytes that were looked at last, good or not.
    seen: (Vec<u8>, Vec<u8>),
    certified: Arc<CertifiedKey>,
}

impl Certificate {
    /// Reads the certificate and its key, if they are asked for.
    pub(crate) fn open(cert: Option<&Path>, key: Option<&Path>) -> Result<Option<Arc<Self>>, TlsError> {
        let (cert, key) = match (cert, key) {
            (None, None) => return Ok(None),
            (Some(cert), Some(key)) => (cert.to_owned(), key.to_owned()),
            (Some(_), None) | (None, Some(_)) => return Err(TlsError::Half),
        };
        let seen = (read(&cert)?, read(&key)?);
        let certified = certified(&cert, &key, &seen)?;
        Ok(Some(Arc::new(Self { cert, key, current: RwLock::new(Current { seen, certified }) })))
    }

    /// Takes changed files over; `None` when nothing has changed.
    pub(crate) fn reload(&self) -> Option<Result<(), TlsError>> {
        let seen = match (read(&self.cert), read(&self.key)) {
            (Ok(cert), Ok(key)) => (cert, key),
            // Told once, until they can be read again.
            (Err(error), _) | (_, Err(error)) => {
                return self.note((Vec::new(), Vec::new())).then_some(Err(error));
            }
        };
        if !self.note(seen.clone()) {
            return None;
        }
        let taken = certified(&self.cert, &self.key, &seen).map(|certified| {
            self.current.write().unwrap_or_else(PoisonError::into_inner).certified = certified;
        });
        Some(taken)
    }

    /// Notes what was looked at last; answers whether it is something else than before.
    fn note(&self, seen: (Vec<u8>, Vec<u8>)) -> bool {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = current.seen != seen;
        current.seen = seen;
        is_new
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).certified))
    }
}

/// What takes connections in.
pub(crate) fn acceptor(certificate: Arc<Certificate>) -> TlsAcceptor {
    let builder = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()));
    let builder =
        builder.with_safe_default_protocol_versions().expect("the provider speaks the default versions");
    let mut config = builder.with_no_client_auth().with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// The certificate that a server with this file shows first.
pub(crate) fn first_certificate(path: &Path) -> Result<CertificateDer<'static>, TlsError> {
    chain(path, &read(path)?)?.into_iter().next().ok_or_else(|| missing(path, CERTIFICATE))
}

const CERTIFICATE: &str = "certificate";
const KEY: &str = "private key";

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Unreadable { path: path.display().to_string(), source })
}

fn missing(path: &Path, what: &'static str) -> TlsError {
    TlsError::Missing { path: path.display().to_string(), what }
}

fn chain(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| missing(path, CERTIFICATE))
}

fn certified(cert: &Path, key: &Path, pem: &(Vec<u8>, Vec<u8>)) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = chain(cert, &pem.0)?;
    let key = PrivateKeyDer::from_pem_slice(&pem.1).map_err(|_| missing(key, KEY))?;
    let certified = CertifiedKey::from_der(chain, key, &crypto::ring::default_provider());
    let unusable = |source| TlsError::Unusable { path: cert.display().to_string(), source };
    certified.map(Arc::new).map_err(unusable)
}
