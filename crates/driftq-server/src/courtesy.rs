//! What is no request still gets a whole answer.
//!
//! Promise: where the HTTP library would answer by itself with a bare head (garbage, too many headers), or not at all
//! (half a head that stays one), the client gets the JSON error body and a request id, and time to read them. Answers of
//! ours pass untouched: they are known by their request id.

use crate::gate::made_id;
use crate::problem::Problem;
use http::StatusCode;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

/// The longest bare head that the library writes, bytes.
const BARE_MAX: usize = 512;
/// How such a head begins.
const REFUSED: &[u8] = b"HTTP/1.1 4";
/// How it ends.
const HEAD_END: &[u8] = b"\r\n\r\n";
/// How long a refused sender is read on, so that it gets to see the answer.
const LINGER: Duration = Duration::from_secs(5);
/// How long nothing may come of it.
const LINGER_IDLE: Duration = Duration::from_millis(250);
/// How long the answer to half a request may take to leave.
const FAREWELL: Duration = Duration::from_secs(5);

/// A connection whose bare refusals are made whole.
pub(crate) struct Courtesy<S> {
    inner: S,
    /// Bytes that were read.
    heard: u64,
    /// A whole answer that takes the place of a bare one.
    whole: Option<Whole>,
}

struct Whole {
    answer: Vec<u8>,
    written: usize,
    /// Bytes of the bare answer.
    stands_for: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Courtesy<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, heard: 0, whole: None }
    }

    /// Whether anything was ever said on it.
    pub(crate) fn has_heard(&self) -> bool {
        self.heard > 0
    }

    /// Answers half a request whose time is over.
    pub(crate) async fn refuse_half(&mut self) {
        let answer = refusal(StatusCode::REQUEST_TIMEOUT);
        let said = async {
            self.inner.write_all(&answer).await?;
            self.inner.shutdown().await
        };
        // Whoever does not read it has gone away.
        let _unread = tokio::time::timeout(FAREWELL, said).await;
    }

    /// Reads on for a moment: closing at once would take the answer away from a sender that is still busy.
    pub(crate) async fn linger(&mut self) {
        let mut rest = [0; 4 * 1024];
        let reading = async {
            while let Ok(Ok(1..)) = tokio::time::timeout(LINGER_IDLE, self.inner.read(&mut rest)).await {}
        };
        let _over = tokio::time::timeout(LINGER, reading).await;
    }

    fn poll_whole(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        while let Some(whole) = &mut self.whole {
            let left = whole.answer.get(whole.written..).unwrap_or_default();
            if left.is_empty() {
                let stands_for = whole.stands_for;
                self.whole = None;
                return Poll::Ready(Ok(stands_for));
            }
            match ready!(Pin::new(&mut self.inner).poll_write(context, left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => whole.written += written,
            }
        }
        Poll::Ready(Ok(0))
    }
}

/// Where in these bytes a bare refusal begins, with its status, if they end with one.
fn bare(bytes: &[u8]) -> Option<(usize, StatusCode)> {
    if !bytes.ends_with(HEAD_END) {
        return None;
    }
    let from = bytes.len().saturating_sub(BARE_MAX);
    let tail = bytes.get(from..)?;
    let at = tail.windows(REFUSED.len()).rposition(|piece| piece == REFUSED)?;
    let head = std::str::from_utf8(tail.get(at..)?).ok()?;
    let is_bare = !head.contains("x-request-id") && head.contains("content-length: 0");
    let status = StatusCode::from_bytes(head.get(9..12)?.as_bytes()).ok()?;
    is_bare.then_some((from + at, status))
}

fn refusal(status: StatusCode) -> Vec<u8> {
    let message = match status {
        StatusCode::REQUEST_TIMEOUT => "the request's head did not arrive in time",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            "the headers are too many or too long; at most 64 of them and 32 KiB are read"
        }
        StatusCode::URI_TOO_LONG => "the URL is too long; at most 8 KiB are read",
        _ => "this is not a request in HTTP/1.1",
    };
    let body = Problem::invalid(message).with_status(status).bytes();
    let mut answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: {}\r\n\
         x-request-id: {}\r\nconnection: close\r\n\r\n",
        body.len(),
        made_id(),
    )
    .into_bytes();
    answer.extend_from_slice(&body);
    answer
}

impl<S: AsyncRead + Unpin> AsyncRead for Courtesy<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        self.heard += buffer.filled().len().saturating_sub(before) as u64;
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Courtesy<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.whole.is_some() {
            return self.poll_whole(context);
        }
        match bare(bytes) {
            None => Pin::new(&mut self.inner).poll_write(context, bytes),
            Some((0, status)) => {
                self.whole = Some(Whole { answer: refusal(status), written: 0, stands_for: bytes.len() });
                self.poll_whole(context)
            }
            // What is ours before it goes out first.
            Some((at, _)) => Pin::new(&mut self.inner).poll_write(context, bytes.get(..at).unwrap_or(bytes)),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A bare head comes alone.
        match pieces {
            [only] => self.poll_write(context, only),
            _ if self.whole.is_some() => self.poll_whole(context),
            _ => Pin::new(&mut self.inner).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_refusal_is_made_whole() {
        let head =
            b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        assert_eq!(bare(head), Some((0, status)));
        let behind = [b"0\r\n\r\n".as_slice(), head].concat();
        assert_eq!(bare(&behind), Some((5, status)), "behind the end of an answer of ours");
        for ours in [
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nx-request-id: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}",
            "5\r\nHTTP/1.1 4\r\n0\r\n\r\n",
            "",
        ] {
            assert_eq!(bare(ours.as_bytes()), None, "{ours}");
        }
    }
}
