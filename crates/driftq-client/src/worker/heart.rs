//! The heartbeats: a thread that renews every lease of a worker.
//!
//! Promise: it has its own event loop and its own connections, so a handler that blocks the
//! worker's threads loses no lease. It never settles a message. It calls a lease lost only when the
//! server says so: leases outlive a restart of the server, and so does the renewing.

use std::{sync::Arc, thread::JoinHandle, time::Duration};

use driftq_api::ErrorCode;
use tokio::{runtime, task::AbortHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    WorkerError,
    hold::{AWAY, Hold},
};
use crate::{Client, ClientError, delivery::extend_request};

/// A lease is renewed when a third of it is gone: two renewals may fail before it is over.
const RENEWALS_PER_LEASE: u32 = 3;

/// The thread; it ends when this is dropped, and leases are left as they are.
pub(super) struct Heart {
    loop_: runtime::Handle,
    client: Client,
    lease: Duration,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// One lease that is renewed until this is dropped.
pub(super) struct Renewal(AbortHandle);

impl Heart {
    /// Starts the thread.
    pub(super) fn start(client: &Client, lease: Duration) -> Result<Self, WorkerError> {
        let client = client.twin(lease / RENEWALS_PER_LEASE)?;
        let events =
            runtime::Builder::new_current_thread().enable_all().build().map_err(WorkerError::Thread)?;
        let (loop_, stop) = (events.handle().clone(), CancellationToken::new());
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("driftq-heartbeat".to_owned())
            .spawn(move || events.block_on(stopped.cancelled()))
            .map_err(WorkerError::Thread)?;
        Ok(Self { loop_, client, lease, stop, thread: Some(thread) })
    }

    /// Keeps this message's lease from now on.
    pub(super) fn watch(&self, hold: Arc<Hold>) -> Renewal {
        let renewing = renew(self.client.clone(), hold, self.lease);
        Renewal(self.loop_.spawn(renewing).abort_handle())
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // It waits for nothing but the stop; a panic of it was told already.
            drop(thread.join());
        }
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn renew(client: Client, hold: Arc<Hold>, lease: Duration) {
    let request = extend_request(&hold.item, lease);
    let interval = lease / RENEWALS_PER_LEASE;
    let (mut failures, mut wait) = (0_u32, interval);
    loop {
        sleep(wait).await;
        match client.extend(&request).await {
            Ok(_) => (failures, wait) = (0, interval),
            Err(error) if is_lost(&error) => return hold.lose(&error),
            Err(error) => {
                failures = failures.saturating_add(1);
                tracing::debug!("the lease of {} could not be renewed: {error}", hold.name());
                wait = AWAY.wait(failures, &error, fastrand::f64()).unwrap_or(interval).min(interval);
            }
        }
    }
}

/// What the server answers about a lease that is not ours, or about a message that is gone.
fn is_lost(error: &ClientError) -> bool {
    matches!(
        error.code(),
        Some(
            ErrorCode::FailedPrecondition
                | ErrorCode::InvalidArgument
                | ErrorCode::NotFound
                | ErrorCode::Expired
        )
    )
}
