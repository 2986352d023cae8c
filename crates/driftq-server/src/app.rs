//! What every handler shares: the way to the engine, the limits in force, the counters.
//!
//! Promise: a handler that asks for the [`Engine`] runs only once recovery is done.

use crate::config::Config;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::shelf::Names;
use axum::extract::FromRequestParts;
use driftq_engine::Broker;
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
    engine: OnceLock<Broker>,
    started: Instant,
}

impl App {
    pub(crate) fn new(config: Config) -> Self {
        let wal_enabled = !config.memory;
        Self(Arc::new(Shared {
            config,
            wal_enabled,
            metrics: Metrics::default(),
            names: Names::default(),
            engine: OnceLock::new(),
            started: Instant::now(),
        }))
    }

    /// How long this process has been at it.
    pub(crate) fn uptime_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// From now on handlers reach the engine.
    pub(crate) fn open(&self, broker: Broker) {
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

    async fn from_request_parts(_: &mut Parts, app: &App) -> Result<Self, Problem> {
        let broker = app.broker().cloned();
        broker
            .map(Self)
            .ok_or_else(|| Problem::unavailable("the broker is reading its log; retry shortly", "recovering"))
    }
}
