//! TLS: a server with a certificate of its own.

use crate::harness::{Broker, PATIENCE, http};
use driftq_server::{Config, Server, ServerError, healthcheck};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use reqwest::Certificate;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    /// A certificate for this machine, and its key.
    fn new() -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        files.renew();
        files
    }

    fn cert(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    fn renew(&self) {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        std::fs::write(self.cert(), cert.pem()).unwrap();
        std::fs::write(self.key(), signing_key.serialize_pem()).unwrap();
    }

    fn config(&self) -> Config {
        Config { tls_cert: Some(self.cert()), tls_key: Some(self.key()), ..Config::in_memory() }
    }

    /// A client that believes this certificate alone.
    fn client(&self) -> reqwest::Client {
        let certificate = Certificate::from_pem(&std::fs::read(self.cert()).unwrap()).unwrap();
        http().https_only(true).tls_certs_only([certificate]).build().unwrap()
    }
}

async fn is_served(client: &reqwest::Client, addr: SocketAddr) -> bool {
    let answer = client.get(format!("https://{addr}/v1/topics")).send().await;
    answer.is_ok_and(|answer| answer.status().as_u16() == 200)
}

#[tokio::test]
async fn a_server_with_a_certificate_speaks_tls_and_nothing_else() {
    let files = Files::new();
    let broker = Broker::with(files.config()).await;
    let client = files.client();
    let answer = client.get(format!("https://{}/v1/livez", broker.addr)).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_11));
    assert!(!is_served(&Files::new().client(), broker.addr).await, "another certificate vouches for nothing");
    assert!(
        broker.request(reqwest::Method::GET, "/v1/livez").send().await.is_err(),
        "plain text is not read"
    );
    assert!(is_served(&client, broker.addr).await, "and harms nobody");
}

#[tokio::test]
async fn a_changed_certificate_is_taken_over_and_a_broken_one_is_not() {
    let files = Files::new();
    let broker = Broker::with(files.config()).await;
    let old_certificate = std::fs::read(files.cert()).unwrap();
    assert!(is_served(&files.client(), broker.addr).await);
    std::fs::write(files.cert(), "no certificate").unwrap();
    // Looked at and refused: what comes after it is taken.
    files.renew();
    let (new, begun) = (files.client(), Instant::now());
    while !is_served(&new, broker.addr).await {
        assert!(begun.elapsed() < PATIENCE, "the new certificate does not come into force");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A connection that is open stays as it is; a new one is not believed any more.
    assert!(!is_served(&old_again(&old_certificate), broker.addr).await);
}

fn old_again(pem: &[u8]) -> reqwest::Client {
    http().tls_certs_only([Certificate::from_pem(pem).unwrap()]).build().unwrap()
}

#[tokio::test]
async fn a_silent_client_holds_up_nobody() {
    let files = Files::new();
    let broker = Broker::with(files.config()).await;
    let mut silent = TcpStream::connect(broker.addr).await.unwrap();
    silent.write_all(&[22, 3, 1]).await.unwrap();
    assert!(is_served(&files.client(), broker.addr).await);
    // Garbage is no handshake: the connection ends.
    let mut garbage = TcpStream::connect(broker.addr).await.unwrap();
    garbage.write_all(b"GET /v1/livez HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _reset = tokio::time::timeout(PATIENCE, garbage.read_to_end(&mut answer)).await.unwrap();
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn a_health_check_believes_its_own_certificate_alone() {
    let (files, others) = (Files::new(), Files::new());
    let broker = Broker::with(files.config()).await;
    let addr = broker.addr.to_string();
    let check = async |cert: Option<PathBuf>| {
        let addr = addr.clone();
        tokio::task::spawn_blocking(move || healthcheck::run(&addr, cert.as_deref())).await.unwrap()
    };
    assert!(check(Some(files.cert())).await.unwrap());
    assert!(check(Some(others.cert())).await.is_err());
    assert!(!check(None).await.unwrap_or(false));
}

#[tokio::test]
async fn files_that_do_not_fit_stop_the_start() {
    let (files, others) = (Files::new(), Files::new());
    let refused = async |config: Config| match Server::start(config).await {
        Err(ServerError::Tls(error)) => error.to_string(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it starts"),
    };
    assert!(refused(Config { tls_key: None, ..files.config() }).await.contains("--tls-key"));
    let said = refused(Config { tls_key: Some(others.key()), ..files.config() }).await;
    assert!(said.contains("cert.pem") && said.contains("cannot be used"), "{said}");
    assert!(refused(Config { tls_key: Some(files.cert()), ..files.config() }).await.contains("private key"));
    let missing = Config { tls_cert: Some("nowhere.pem".into()), ..files.config() };
    assert!(refused(missing).await.contains("nowhere.pem cannot be read"));
}
