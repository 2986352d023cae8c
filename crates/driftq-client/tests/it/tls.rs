//! TLS: whose certificate is believed, and what is said of one that is not.

use std::{path::PathBuf, sync::Arc};

use driftq_client::{Client, ClientError, Retry};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\nconnection: close\r\n\r\n{\"status\":\"ok\"}";

/// A certificate with its key, in PEM.
struct Pair {
    certificate: String,
    key: String,
}

/// What `openssl req -x509` makes: self-signed, and an authority by its own word.
fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> Pair {
    let mut params = CertificateParams::new(["localhost".to_owned()]).expect("it is a name");
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    change(&mut params);
    let key = KeyPair::generate().expect("there is randomness");
    let certificate = params.self_signed(&key).expect("it can be signed");
    Pair { certificate: certificate.pem(), key: key.serialize_pem() }
}

/// A server over TLS; its address says `localhost`.
async fn serve(pair: &Pair) -> String {
    let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).expect("it is PEM");
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("it is PEM");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("they fit");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that believes nothing ends the handshake.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4096];
            drop(stream.read(&mut request).await);
            drop(stream.write_all(ANSWER).await);
            drop(stream.shutdown().await);
        }
    });
    format!("https://localhost:{port}")
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().expect("there is room"))
    }

    fn file(&self, text: &str) -> PathBuf {
        let path = self.0.path().join("ca.pem");
        std::fs::write(&path, text).expect("there is room");
        path
    }
}

async fn asked(url: &str, believed: &str) -> Result<String, ClientError> {
    let folder = Folder::new();
    let client = Client::builder().url(url).ca_certificate(folder.file(believed)).request_retry(Retry::NEVER);
    client.build().expect("it is a certificate").health().await.map(|health| health.status)
}

async fn refused(url: &str, believed: &str) -> String {
    let error = asked(url, believed).await.expect_err("it is not believed");
    assert!(matches!(error, ClientError::Untrusted { .. }) && !error.retryable(), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn a_self_signed_certificate_vouches_for_itself_also_if_it_calls_itself_an_authority() {
    for is_ca in [IsCa::Ca(BasicConstraints::Unconstrained), IsCa::NoCa, IsCa::ExplicitNoCa] {
        let pair = self_signed(|params| params.is_ca = is_ca);
        let url = serve(&pair).await;
        let other = self_signed(|_| ()).certificate;
        for believed in [pair.certificate.clone(), other + &pair.certificate] {
            assert_eq!(asked(&url, &believed).await.expect("it is believed"), "ok", "{is_ca:?}");
        }
    }
}

#[tokio::test]
async fn an_authority_vouches_for_those_it_signed() {
    let mut params = CertificateParams::new([]).expect("no name is fine");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("there is randomness"));
    let authority = authority.expect("it can be signed");
    let mut params = CertificateParams::new(["localhost".to_owned()]).expect("it is a name");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().expect("there is randomness");
    let certificate = params.signed_by(&key, &authority).expect("it can be signed").pem();
    let url = serve(&Pair { certificate, key: key.serialize_pem() }).await;
    assert_eq!(asked(&url, &authority.pem()).await.expect("it is believed"), "ok");
}

#[tokio::test]
async fn a_certificate_that_is_not_believed_says_why_and_what_helps() {
    let url = serve(&self_signed(|_| ())).await;
    let another = refused(&url, &self_signed(|_| ()).certificate).await;
    let way_out = "is not trusted; name it with --ca-cert FILE or DRIFTQ_CA_CERT";
    assert_eq!(another, format!("the certificate of {url} {way_out}"));

    let pair = self_signed(|params| params.is_ca = IsCa::NoCa);
    let url = serve(&pair).await;
    let way_out = "is not trusted; name its authority with --ca-cert FILE or DRIFTQ_CA_CERT";
    let unknown = refused(
        &url,
        &self_signed(|params| {
            params.distinguished_name.push(DnType::CommonName, "somebody");
        })
        .certificate,
    )
    .await;
    assert_eq!(unknown, format!("the certificate of {url} {way_out}"));

    let old = self_signed(|params| params.not_after = date_time_ymd(2001, 1, 1));
    let url = serve(&old).await;
    assert!(refused(&url, &old.certificate).await.ends_with(": it has expired; renew it"));

    let pair = self_signed(|_| ());
    let by_number = serve(&pair).await.replace("localhost", "127.0.0.1");
    assert!(refused(&by_number, &pair.certificate).await.contains(": it is for another name"));
}

#[tokio::test]
async fn a_name_that_nobody_has_is_no_server_that_is_down() {
    let client = Client::builder().url("http://nobody.invalid:8080").request_retry(Retry::NEVER).build();
    let error = client.expect("it is an address").health().await.expect_err("nobody has the name");
    assert!(matches!(error, ClientError::UnknownHost { .. }) && error.retryable(), "{error:?}");
    assert!(error.to_string().starts_with("cannot find host nobody.invalid;"), "{error}");
}
