//! TLS: who vouches for a server.
//!
//! Promise: an `https` server is believed by its certificate alone: by the given authorities, or else by the system's.
//! Cryptography is ring's, for the whole process, unless the process has chosen another before.

use crate::ClientError;
use reqwest::{Certificate, ClientBuilder, Url};
use std::path::Path;

/// Prepares a connection pool for this server.
pub(crate) fn prepare(
    http: ClientBuilder,
    url: &Url,
    authorities: Option<&Path>,
) -> Result<ClientBuilder, ClientError> {
    // Somebody else's choice stands.
    let _chosen_before = rustls::crypto::ring::default_provider().install_default();
    match authorities {
        // The system's certificates are read only where they are needed.
        None if url.scheme() == "https" => Ok(http),
        None => Ok(http.tls_certs_only([])),
        Some(path) => Ok(http.tls_certs_only(read(path)?)),
    }
}

fn read(path: &Path) -> Result<Vec<Certificate>, ClientError> {
    let unusable = |cause: String| ClientError::BadCertificate { file: path.display().to_string(), cause };
    let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| unusable(error.to_string()))?;
    if certificates.is_empty() {
        return Err(unusable("it holds no certificate in PEM".to_owned()));
    }
    Ok(certificates)
}
