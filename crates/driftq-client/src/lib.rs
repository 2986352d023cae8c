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

mod client;
mod consume;
mod dead_letters;
mod error;
mod events;
mod lines;
mod messages;
mod retry;
mod runs;
mod tls;
mod topics;

pub use client::{Client, ClientBuilder, DEFAULT_URL, json};
pub use consume::ConsumeStream;
pub use dead_letters::DeadLetterId;
pub use driftq_api as api;
pub use error::{ClientError, Refusal};
pub use events::{EventStream, EventsFrom, TimelineItem};
pub use retry::Retry;
