//! An answer looked at from outside: its head, and when which bytes of it came.
//!
//! Promise: nothing is decoded, followed or tried again. The client's token goes to its own server
//! only, whatever address is probed.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use futures_core::Stream;
use futures_util::StreamExt as _;
use reqwest::{Url, header};

use crate::{Client, ClientBuilder, ClientError};

/// How long a head may take.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// How much of a piece is kept, in bytes; more is only counted.
const PIECE_BYTES_MAX: usize = 64 << 10;

type Pieces = Pin<Box<dyn Stream<Item = Result<Vec<u8>, reqwest::Error>> + Send>>;

/// An answer, and the bytes of it as they come.
pub struct Probe {
    /// The HTTP status.
    pub status: u16,
    /// Names in lower case and values, as they came.
    pub headers: Vec<(String, String)>,
    /// How long the head took.
    pub head_after: Duration,
    asked: Instant,
    pieces: Pieces,
}

/// Bytes that came at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// How long after the request.
    pub after: Duration,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Client {
    /// Asks for an address as a browser or a stream's reader would, and hands out the answer as it comes.
    ///
    /// # Errors
    ///
    /// When it is no address, nobody answers, or no head comes in time.
    pub async fn probe(&self, url: &str, accept: &str) -> Result<Probe, ClientError> {
        let bad = |cause: String| ClientError::BadUrl { url: url.to_owned(), cause };
        let address = Url::parse(url).map_err(|error| bad(error.to_string()))?;
        let stranger;
        let client = if self.is_at(&address) {
            self
        } else {
            stranger = ClientBuilder::clone(self.recipe()).url(url).without_identity().build()?;
            &stranger
        };
        let request = client
            .http()
            .get(address)
            .header(header::ACCEPT, accept)
            // What a browser says: a proxy that compresses does it now.
            .header(header::ACCEPT_ENCODING, "gzip, deflate, br");
        let asked = Instant::now();
        let answer = match tokio::time::timeout(HEAD_TIME, request.send()).await {
            Ok(answer) => answer.map_err(|error| ClientError::from_transport(url, error))?,
            Err(_) => {
                let cause = format!("no head came within {} s", HEAD_TIME.as_secs());
                return Err(ClientError::Broken { url: url.to_owned(), cause });
            }
        };
        let text = |value: &header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Ok(Probe {
            status: answer.status().as_u16(),
            headers: answer.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            head_after: asked.elapsed(),
            asked,
            pieces: Box::pin(answer.bytes_stream().map(|piece| Ok(piece?.to_vec()))),
        })
    }
}

impl Probe {
    /// A header's value; of several the first.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(there, _)| there == name).map(|(_, value)| value.as_str())
    }

    /// The next bytes, if any come within this time; at the end, or when the connection breaks, there are none.
    pub async fn next(&mut self, within: Duration) -> Option<Piece> {
        let next = tokio::time::timeout(within, self.pieces.next()).await;
        let mut bytes = next.ok()??.ok()?;
        bytes.truncate(PIECE_BYTES_MAX);
        Some(Piece { after: self.asked.elapsed(), bytes })
    }
}
