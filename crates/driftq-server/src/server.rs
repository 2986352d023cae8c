//! The server: listens, hands connections to the gate, drains, ends.
//!
//! Promise: half a request, a silent client or one that does not read costs a bounded time and a bounded buffer; a drain
//! ends within [`DRAIN_TIME`] and a few seconds, with all that was answered on the disk.

use crate::access::{RELOAD_EVERY, Signer, TokenFileError};
use crate::app::App;
use crate::broker::{self, Started};
use crate::config::Config;
use crate::gate::{Gate, HEADER_BYTES_MAX, HEADERS_MAX, URL_BYTES_MAX};
use crate::operator::Act;
use crate::tls::{self, HANDSHAKE_TIME, TlsError};
use driftq_engine::{Broker, EngineError, HandClock, Recovery};
use driftq_log::Recovered;
use futures_channel::oneshot;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;

/// How long a client may take for its headers, and a connection may be idle.
const HEADER_TIME: Duration = Duration::from_secs(30);
/// How long a client may not read before it is cut off.
const STALL_TIME: Duration = Duration::from_secs(30);
/// Bytes that a connection buffers in each direction, beside one message on its way.
const BUFFER_BYTES: usize = 128 * 1024;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1_024;
/// How long accepting pauses when there is no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long connections get to end when the server drains.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// How long the engine gets to sync and end.
const STOP_TIME: Duration = Duration::from_millis(2_500);

/// Why a server cannot start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}: {source}; choose another address with --addr")]
    Listen {
        /// The address.
        addr: String,
        /// What the system said.
        source: io::Error,
    },
    /// The process cannot hear signals.
    #[error("cannot listen for signals: {source}")]
    Signals {
        /// What the system said.
        source: io::Error,
    },
    /// The file of tokens is not taken.
    #[error(transparent)]
    Tokens(#[from] TokenFileError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The key of run tokens can be neither read nor made.
    #[error("the key of run tokens cannot be used: {source}")]
    Key {
        /// What the system said.
        source: io::Error,
    },
    /// The engine cannot start, or failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The engine is gone without a word.
    #[error("the broker's writer ended unexpectedly; report this")]
    Gone,
    /// The engine did not end in time.
    #[error("the broker did not end in time")]
    Slow,
}

/// A running server.
pub struct Server {
    addr: SocketAddr,
    broker: Broker,
    ended: oneshot::Receiver<Result<(), EngineError>>,
    phase: Arc<watch::Sender<bool>>,
    accepting: JoinHandle<()>,
    _reloading: Background,
    /// What the engine found at its start.
    pub recovery: Recovery,
    /// What opening the log found; `None` in memory.
    pub log: Option<Recovered>,
    /// Where an older data folder was moved to.
    pub moved_to: Option<PathBuf>,
}

impl Server {
    /// Listens and recovers; until that is done, requests are answered 503.
    ///
    /// # Errors
    ///
    /// [`ServerError`] when it cannot listen, or the data cannot be used.
    pub async fn start(config: Config) -> Result<Self, ServerError> {
        let app = App::new(config.clone())?;
        let listener = listen(&config.addr)
            .map_err(|source| ServerError::Listen { addr: config.addr.clone(), source })?;
        let addr = listener
            .local_addr()
            .map_err(|source| ServerError::Listen { addr: config.addr.clone(), source })?;
        let phase = Arc::new(watch::Sender::new(false));
        let accepting = tokio::spawn(accept(listener, app.clone(), Arc::clone(&phase)));
        let clock = app.hand_clock.clone();
        let started = tokio::task::spawn_blocking(move || recover(&config, clock)).await;
        let (Started { engine, log, moved_to }, signer) = match started {
            Ok(Ok(started)) => started,
            Ok(Err(error)) => {
                accepting.abort();
                return Err(error);
            }
            Err(_) => return Err(ServerError::Gone),
        };
        app.open(engine.broker.clone(), signer);
        let reloading = Background(tokio::spawn(reload(app)));
        let (broker, ended, recovery) = (engine.broker, engine.ended, engine.recovery);
        Ok(Self { addr, broker, ended, phase, accepting, _reloading: reloading, recovery, log, moved_to })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `stop` is ready, then drains; or until the engine fails.
    ///
    /// # Errors
    ///
    /// [`ServerError`] when the engine failed, or did not end in time.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), ServerError> {
        tokio::select! {
            () = stop => self.drain().await,
            ended = &mut self.ended => ended.map_err(|_| ServerError::Gone)?.map_err(ServerError::from),
        }
    }

    /// Takes nothing new, lets what runs end, syncs, ends.
    ///
    /// # Errors
    ///
    /// [`ServerError`] when the engine failed, or did not end in time.
    pub async fn drain(mut self) -> Result<(), ServerError> {
        self.broker.drain();
        self.phase.send_replace(true);
        if tokio::time::timeout(DRAIN_TIME, self.phase.closed()).await.is_err() {
            tracing::warn!("some connections did not end in time and are cut");
        }
        self.accepting.abort();
        self.broker.stop();
        let ended = tokio::time::timeout(STOP_TIME, &mut self.ended).await.map_err(|_| ServerError::Slow)?;
        ended.map_err(|_| ServerError::Gone)?.map_err(ServerError::from)
    }
}

/// A task that ends with its owner.
struct Background(JoinHandle<()>);

impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Everything of a start that blocks on the disk.
fn recover(config: &Config, clock: Option<HandClock>) -> Result<(Started, Signer), ServerError> {
    let started = broker::start(config, clock)?;
    let signer = if config.memory { Signer::in_memory() } else { Signer::beside(&config.wal) };
    Ok((started, signer.map_err(|source| ServerError::Key { source })?))
}

/// Takes changed files of tokens and certificates over, for as long as the server runs.
async fn reload(app: App) {
    if !app.access.is_on() && app.certificate.is_none() {
        return;
    }
    loop {
        tokio::time::sleep(RELOAD_EVERY).await;
        match app.certificate.as_ref().and_then(|certificate| certificate.reload()) {
            None => {}
            Some(Ok(())) => tracing::info!("the certificate has changed and is in force"),
            Some(Err(error)) => tracing::error!(%error, "the certificate of before stays in force"),
        }
        match app.access.reload() {
            None => {}
            Some(Ok(tokens)) => {
                tracing::info!(tokens, "the token file has changed and is in force");
                let act = Act::new("tokens.reloaded", serde_json::json!({"tokens": tokens}));
                if let Some(broker) = app.broker()
                    && let Err(error) = broker.tell(act.entry(None, None)).await
                {
                    tracing::warn!(%error, "the change is not in the audit log");
                }
            }
            Some(Err(error)) => tracing::error!(%error, "the tokens of before stay in force"),
        }
    }
}

/// The addresses that a host and port stand for; without a host, every interface.
pub(crate) fn addresses(addr: &str) -> io::Result<Vec<SocketAddr>> {
    if let Some(port) = addr.strip_prefix(':') {
        let port = port.parse().map_err(|_| io::Error::other(format!("{port:?} is no port")))?;
        return Ok(vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()]);
    }
    Ok(addr.to_socket_addrs()?.collect())
}

fn listen(addr: &str) -> io::Result<TcpListener> {
    let mut last = io::Error::other("it stands for no address");
    for address in addresses(addr)? {
        match listen_on(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts connections for ever; at the bound, new ones wait.
async fn accept(listener: TcpListener, app: App, phase: Arc<watch::Sender<bool>>) {
    let gate = Gate::new(app.clone());
    let room = Arc::new(Semaphore::new(app.config.max_connections));
    let tls = app.certificate.clone().map(tls::acceptor);
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (gate, phase, app, tls) = (gate.clone(), phase.subscribe(), app.clone(), tls.clone());
                tokio::spawn(async move {
                    app.metrics.connected();
                    serve(stream, tls, gate, phase).await;
                    app.metrics.disconnected();
                    drop(place);
                });
            }
            Err(error) => {
                // Most often there is no file descriptor left; some will be given back.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection to its end.
async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, gate: Gate, phase: watch::Receiver<bool>) {
    // Without it small answers wait for the client's next acknowledgement; a socket that refuses works all the same.
    let _kept_waiting = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(STALL_TIME));
    let stream = Box::pin(stream);
    let Some(tls) = tls else { return serve_http(stream, gate, phase).await };
    match tokio::time::timeout(HANDSHAKE_TIME, tls.accept(stream)).await {
        Ok(Ok(stream)) => serve_http(stream, gate, phase).await,
        Ok(Err(error)) => tracing::debug!(%error, "a handshake failed"),
        Err(_) => tracing::debug!("a handshake took too long"),
    }
}

async fn serve_http(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    gate: Gate,
    mut phase: watch::Receiver<bool>,
) {
    let service = service_fn(move |request| {
        let gate = gate.clone();
        async move { gate.answer(request).await }
    });
    let is_draining = *phase.borrow_and_update();
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEADER_BYTES_MAX + URL_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES)
        .keep_alive(!is_draining)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        changed = phase.changed(), if !is_draining => {
            if changed.is_ok() {
                connection.as_mut().graceful_shutdown();
            }
            connection.as_mut().await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}
