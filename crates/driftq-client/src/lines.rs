//! An answer's body as lines, with a bound on their length and on the silence between them.

use std::{io, pin::Pin, time::Duration};

use futures_core::Stream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use reqwest::Response;
use tokio_util::{
    codec::{FramedRead, LinesCodec, LinesCodecError},
    io::StreamReader,
};

use crate::ClientError;

/// The longest line that is read; a message of the largest size, escaped, with its run's steps.
pub(crate) const LINE_BYTES_MAX: usize = 16 << 20;

/// The longest silence: the server sends something every 15 s, so three of those are missing.
const SILENCE_MAX: Duration = Duration::from_secs(45);

type Body<B> = Pin<Box<dyn Stream<Item = io::Result<B>> + Send>>;

/// The lines of one answer.
pub(crate) struct Lines {
    url: String,
    frames: Pin<Box<dyn Stream<Item = Result<String, LinesCodecError>> + Send>>,
}

impl Lines {
    pub(crate) fn new(url: &str, response: Response) -> Self {
        let body: Body<_> = Box::pin(response.bytes_stream().map_err(io::Error::other));
        let codec = LinesCodec::new_with_max_length(LINE_BYTES_MAX);
        Self { url: url.to_owned(), frames: Box::pin(FramedRead::new(StreamReader::new(body), codec)) }
    }

    /// The next line without its end; `None` when the server ended the answer.
    pub(crate) async fn next(&mut self) -> Result<Option<String>, ClientError> {
        match tokio::time::timeout(SILENCE_MAX, self.frames.next()).await {
            Ok(None) => Ok(None),
            Ok(Some(Ok(line))) => Ok(Some(line)),
            Ok(Some(Err(LinesCodecError::MaxLineLengthExceeded))) => Err(ClientError::Unreadable {
                url: self.url.clone(),
                cause: format!("a line is longer than {LINE_BYTES_MAX} bytes"),
            }),
            Ok(Some(Err(LinesCodecError::Io(error)))) => Err(self.broken(&error.to_string())),
            Err(_) => Err(self.broken(&format!("nothing was heard for {} s", SILENCE_MAX.as_secs()))),
        }
    }

    /// What an end means where more was expected.
    pub(crate) fn broken(&self, cause: &str) -> ClientError {
        ClientError::Broken { url: self.url.clone(), cause: cause.to_owned() }
    }

    /// What a line means that cannot be read.
    pub(crate) fn unreadable(&self, cause: impl std::fmt::Display) -> ClientError {
        ClientError::Unreadable { url: self.url.clone(), cause: cause.to_string() }
    }
}
