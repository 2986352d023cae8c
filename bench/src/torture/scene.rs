//! What all actors share: the ledger, the server of the moment, and what they should be doing.

use std::{
    future::Future,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use driftq_client::{Client, ClientError};
use tokio::sync::watch;

use super::ledger::{Fact, Ledger};

/// How long somebody waits before the same server is asked again.
const PAUSE: Duration = Duration::from_millis(5);

/// One start of the server.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) number: u64,
    pub(crate) client: Client,
}

/// What the actors should be doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    /// Everything, mistakes included.
    Load,
    /// Only finish what is there.
    Drain,
    /// Stop.
    End,
}

/// How a question ended that was asked until somebody answered.
#[derive(Debug)]
pub(crate) enum Outcome<T> {
    Answered(T),
    /// Nothing was changed.
    Refused(u16),
    /// Once or not at all.
    Unknown,
}

/// What all actors share.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) ledger: Ledger,
    pub(crate) seed: u64,
    pub(crate) lives: watch::Sender<Option<Life>>,
    pub(crate) mode: watch::Sender<Mode>,
    numbers: AtomicU64,
}

impl Scene {
    pub(crate) fn new(ledger: Ledger, seed: u64) -> Self {
        Self {
            ledger,
            seed,
            lives: watch::Sender::new(None),
            mode: watch::Sender::new(Mode::Load),
            numbers: AtomicU64::new(1),
        }
    }

    /// A number nobody else has.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn mode(&self) -> Mode {
        *self.mode.borrow()
    }

    pub(crate) fn note(&self, fact: Fact) {
        self.ledger.note(fact);
    }

    /// Waits for the end.
    pub(crate) async fn ended(&self) {
        let mut mode = self.mode.subscribe();
        // The sender lives as long as `self`.
        let _gone = mode.wait_for(|mode| *mode == Mode::End).await;
    }

    /// Sleeps, but not beyond the end.
    pub(crate) async fn rest(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.ended() => {}
        }
    }

    /// The server of the moment, as soon as there is one; `None` at the end.
    pub(crate) async fn life(&self) -> Option<Life> {
        let mut lives = self.lives.subscribe();
        tokio::select! {
            biased;
            () = self.ended() => None,
            life = lives.wait_for(Option::is_some) => life.ok().and_then(|life| life.clone()),
        }
    }

    /// Waits a moment before somebody asks a server again that failed.
    pub(crate) async fn pause(&self) {
        self.rest(PAUSE).await;
    }

    /// Asks up to `tries` times, over restarts; `before` is called before each try.
    pub(crate) async fn ask<T, F>(
        &self,
        tries: u32,
        before: impl Fn(),
        call: impl Fn(Client) -> F,
    ) -> Outcome<T>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        for _ in 0..tries {
            let Some(life) = self.life().await else { return Outcome::Unknown };
            before();
            let answer = tokio::select! {
                answer = call(life.client) => answer,
                () = self.ended() => return Outcome::Unknown,
            };
            match answer {
                Ok(answer) => return Outcome::Answered(answer),
                Err(ClientError::Refused(refusal)) if refusal.status < 500 && !refusal.retryable => {
                    return Outcome::Refused(refusal.status);
                }
                Err(error @ ClientError::Unreadable { .. }) => {
                    self.note(Fact::Stuck { what: format!("an answer cannot be read: {error}") });
                    return Outcome::Unknown;
                }
                Err(_) => self.pause().await,
            }
        }
        Outcome::Unknown
    }
}
