//! Asking a running server whether it is well.
//!
//! Promise: it takes its own server's word alone: over TLS, whoever answers must show the certificate that the server
//! was started with, whatever name it is for.

use crate::server::addresses;
use crate::tls;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    crypto,
};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a healthy server may take.
const TIME: Duration = Duration::from_secs(4);
/// Bytes of the answer that are looked at.
const ANSWER_MAX: u64 = 4 * 1024;

/// Whether the server at this address answers that it is well; over TLS if it was started with this certificate.
///
/// # Errors
///
/// Why it could not be asked.
pub fn run(addr: &str, certificate: Option<&Path>) -> io::Result<bool> {
    let tls = certificate.map(only).transpose()?;
    let mut last = io::Error::other(format!("{addr} is no address"));
    for address in addresses(addr)? {
        match ask(reachable(address), tls.clone()) {
            Ok(is_well) => return Ok(is_well),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Every interface is reached by the local one.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    address
}

fn ask(address: SocketAddr, tls: Option<Arc<ClientConfig>>) -> io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, TIME)?;
    stream.set_read_timeout(Some(TIME))?;
    stream.set_write_timeout(Some(TIME))?;
    let Some(tls) = tls else { return exchange(stream, address) };
    let connection = ClientConnection::new(tls, ServerName::IpAddress(address.ip().into()));
    let mut connection = connection.map_err(io::Error::other)?;
    connection.complete_io(&mut stream)?;
    exchange(StreamOwned::new(connection, stream), address)
}

fn exchange(mut stream: impl Read + Write, address: SocketAddr) -> io::Result<bool> {
    write!(stream, "GET /v1/healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    stream.flush()?;
    let mut answer = String::new();
    stream.take(ANSWER_MAX).read_to_string(&mut answer)?;
    Ok(answer.split_whitespace().nth(1) == Some("200"))
}

fn only(certificate: &Path) -> io::Result<Arc<ClientConfig>> {
    let provider = Arc::new(crypto::ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let own = OwnCertificate {
        certificate: tls::first_certificate(certificate).map_err(io::Error::other)?,
        algorithms,
    };
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder =
        builder.map_err(io::Error::other)?.dangerous().with_custom_certificate_verifier(Arc::new(own));
    Ok(Arc::new(builder.with_no_client_auth()))
}

/// Takes one certificate and no other; its key is proved by the handshake's signature as ever.
#[derive(Debug)]
struct OwnCertificate {
    certificate: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for OwnCertificate {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *shown == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::UnknownIssuer.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
