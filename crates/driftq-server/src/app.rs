//! What every handler shares: the way to the engine, the limits in force, the counters.
//!
//! Promise: a handler that asks for the [`Engine`] runs only once recovery is done, and its commands stay within what the
//! request's token may see.

use crate::access::{Access, Caller, Signer};
use crate::config::Config;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::server::ServerError;
use crate::shelf::Names;
use crate::tls::Certificate;
use axum::extract::FromRequestParts;
use driftq_engine::{Broker, Clock as _, HandClock, SystemClock};
use driftq_log::Progress;
use http::request::Parts;
use std::sync::{Arc, OnceLock};
use tokio::time::Instant;

/// Shared by all handlers; clones are cheap and equal.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

pub(crate) struct Shared {
    /// The limits and options in force.
    pub(crate) config: Config,
    /// Whether what is stored survives the process.
    pub(crate) wal_enabled: bool,
    /// The counters.
    pub(crate) metrics: Metrics,
    /// Topic names already looked up.
    pub(crate) names: Names,
    /// Who may do what.
    pub(crate) access: Access,
    /// The certificate, where the server speaks TLS.
    pub(crate) certificate: Option<Arc<Certificate>>,
    /// How far the recovery has come.
    pub(crate) progress: Progress,
    /// The clock of a server for tests.
    pub(crate) hand_clock: Option<HandClock>,
    engine: OnceLock<Broker>,
    started: Instant,
}

impl App {
    pub(crate) fn new(config: Config) -> Result<Self, ServerError> {
        let wal_enabled = !config.memory;
        let access = Access::open(config.token_file.as_deref())?;
        let certificate = Certificate::open(config.tls_cert.as_deref(), config.tls_key.as_deref())?;
        let hand_clock = config.dev_clock.then(HandClock::new);
        Ok(Self(Arc::new(Shared {
            config,
            wal_enabled,
            metrics: Metrics::default(),
            names: Names::default(),
            access,
            certificate,
            hand_clock,
            progress: Progress::default(),
            engine: OnceLock::new(),
            started: Instant::now(),
        })))
    }

    /// The time by which tokens end, epoch milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        let wall = self.0.hand_clock.as_ref().map(HandClock::wall);
        wall.unwrap_or_else(|| SystemClock::new().wall()).0
    }

    /// How long this process has been at it.
    pub(crate) fn uptime_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// From now on handlers reach the engine.
    pub(crate) fn open(&self, broker: Broker, signer: Signer) {
        self.0.access.sign_with(signer);
        // A second call could only come from a second start, which there is not.
        let _opened_before = self.0.engine.set(broker);
    }

    /// The engine, once recovery is done.
    pub(crate) fn broker(&self) -> Option<&Broker> {
        self.0.engine.get()
    }
}

impl std::ops::Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// The engine, for handlers that need it.
pub(crate) struct Engine(pub(crate) Broker);

impl FromRequestParts<App> for Engine {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let broker = app.broker().ok_or_else(|| {
            Problem::unavailable("the broker is reading its log; retry shortly", "recovering")
        })?;
        let caller = parts.extensions.get::<Caller>();
        Ok(Self(caller.map_or_else(|| broker.clone(), |caller| broker.within(Arc::clone(&caller.scope)))))
    }
}
