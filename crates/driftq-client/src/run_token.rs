//! Tokens that only read one run, to be handed to a browser.

use std::time::Duration;

use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::{Client, ClientError, client::Repeat};

/// A token that only reads one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunToken {
    /// What is sent as `Authorization: Bearer`, never in an address.
    pub token: String,
    /// The run.
    pub run_id: String,
    /// Until when it is good, epoch milliseconds.
    pub expires_at_ms: u64,
}

#[derive(Serialize)]
struct RunTokenRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
}

impl Client {
    /// Makes a token that only reads this run: `POST /v1/runs/{run_id}/token`.
    ///
    /// # Errors
    ///
    /// `NOT_FOUND` when there is no such run; `INVALID_ARGUMENT` when `ttl` is longer than a token may be good.
    pub async fn run_token(&self, run_id: &str, ttl: Option<Duration>) -> Result<RunToken, ClientError> {
        let ttl_ms = ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        self.call(Method::POST, &["runs", run_id, "token"], &RunTokenRequest { ttl_ms }, Repeat::Harmless)
            .await
    }
}
