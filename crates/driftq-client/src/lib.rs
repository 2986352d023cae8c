//! The Rust client of DriftQ: requests, streams that outlive a broken connection, and retries.
//!
//! Promise: a request is sent again only when that cannot do the thing twice, never more often
//! than its [`Retry`] allows, and never sooner than the server asked. A timeline is read without a
//! gap and without a repeat. Nothing here knows how the server works inside.
//!
//! ```no_run
//! # async fn example() -> Result<(), driftq_client::ClientError> {
//! use driftq_client::{Client, api::ProduceRequest, json};
//!
//! let client = Client::from_env()?;
//! let produced = client
//!     .produce(ProduceRequest {
//!         topic: Some("orders".into()),
//!         value: Some(json(&"hello")?),
//!         ..ProduceRequest::default()
//!     })
//!     .await?;
//! println!("offset {}", produced.offset);
//! # Ok(())
//! # }
//! ```
//!
//! Where to go on: a [`Worker`] runs workflows and handlers; [`Client::start`] starts a run and gives a
//! [`RunHandle`] to follow it; [`Client::deliveries`] is a stream of messages with typed values;
//! [`Client::dead_letters`], [`Client::fingerprints`] and [`Client::start_redrive_job`] mend what failed. The
//! programs in `examples/` do all of that and run in the tests.

mod broker_events;
mod client;
mod consume;
mod dead_letters;
mod delivery;
mod error;
mod events;
mod groups;
mod lines;
mod messages;
mod probe;
mod redrive_jobs;
mod retry;
mod run_handle;
mod runs;
mod tls;
mod topics;
mod worker;

pub use client::{Client, ClientBuilder, DEFAULT_URL, json};
pub use consume::ConsumeStream;
pub use dead_letters::DeadLetterId;
pub use delivery::{Deliveries, Delivery, DeliveryError};
pub use driftq_api as api;
pub use error::{ClientError, Refusal};
pub use events::{EventStream, EventsFrom, TimelineItem};
pub use probe::{Piece, Probe};
pub use retry::Retry;
pub use run_handle::{RunError, RunHandle};
pub use worker::{LeaseLost, WorkError, Worker, WorkerError, WorkflowRun};
