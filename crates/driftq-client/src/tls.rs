//! TLS: who vouches for a server.
//!
//! Promise: an `https` server is believed by its certificate alone: by the given authorities, or else by the system's.
//! A given certificate also vouches for itself, for its names and its time, if the server shows exactly that one.
//! Cryptography is ring's, for the whole process, unless the process has chosen another before.

use std::{error::Error, io, path::Path, sync::Arc};

use reqwest::{ClientBuilder, Url};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
};

use crate::ClientError;

/// Prepares a connection pool for this server.
pub(crate) fn prepare(
    http: ClientBuilder,
    url: &Url,
    authorities: Option<&Path>,
) -> Result<ClientBuilder, ClientError> {
    // Somebody else's choice stands.
    let _chosen_before = ring::default_provider().install_default();
    match authorities {
        // The system's certificates are read only where they are needed.
        None if url.scheme() == "https" => Ok(http),
        None => Ok(http.tls_certs_only([])),
        Some(path) => Ok(http.tls_backend_preconfigured(believing(path)?)),
    }
}

/// What believes the certificates in a file and no others.
fn believing(path: &Path) -> Result<ClientConfig, ClientError> {
    let unusable = |cause: String| ClientError::BadCertificate { file: path.display().to_string(), cause };
    let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    let given: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(error.to_string()))?;
    if given.is_empty() {
        return Err(unusable("it holds no certificate in PEM".to_owned()));
    }
    let mut roots = RootCertStore::empty();
    for certificate in &given {
        roots.add(certificate.clone()).map_err(|error| unusable(error.to_string()))?;
    }
    let provider = CryptoProvider::get_default().cloned();
    let provider = provider.unwrap_or_else(|| Arc::new(ring::default_provider()));
    let by_authority = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|error| unusable(error.to_string()))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(error.to_string()))?;
    let verifier = Arc::new(Given { given, by_authority });
    Ok(config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Believes what the given certificates vouch for, and each of them itself.
#[derive(Debug)]
struct Given {
    given: Vec<CertificateDer<'static>>,
    by_authority: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Given {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.by_authority.verify_server_cert(shown, intermediates, name, ocsp, now);
        match verified {
            // A self-signed one calls itself an authority, as most tools make it. Its time has been looked at before
            // this was found; its name has not.
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(why)))
                if is_an_authority(&why) && self.given.iter().any(|given| given == shown) =>
            {
                verify_server_name(&ParsedCertificate::try_from(shown)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_authority.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_authority.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_authority.supported_verify_schemes()
    }
}

fn is_an_authority(why: &OtherError) -> bool {
    matches!(why.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// What TLS had against the server, if that is why there is no connection.
pub(crate) fn refusal<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref() {
            return Some(tls);
        }
        // An I/O error passes over what it holds when it is asked for its source.
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = held.map(|held| held as &(dyn Error + 'static)).or_else(|| error.source());
    }
    None
}

/// What is wrong with a certificate, and what helps, as the end of "the certificate of … is not trusted".
pub(crate) fn mistrust(why: &CertificateError) -> String {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            ": it has expired; renew it".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ": its time has not come yet; look at the clocks".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            ": it is for another name; ask for the server by a name in the certificate".to_owned()
        }
        CertificateError::UnknownIssuer => {
            "; name its authority with --ca-cert FILE or DRIFTQ_CA_CERT".to_owned()
        }
        CertificateError::Other(other) if is_an_authority(other) => {
            "; name it with --ca-cert FILE or DRIFTQ_CA_CERT".to_owned()
        }
        other => format!(": {other}"),
    }
}
