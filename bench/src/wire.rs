//! HTTP/1.1 by hand, over one kept connection: as little work a request as possible, the same for every server.
//!
//! Promise: the client's own cost is the same for the bare echo and for driftqd, so it cancels out of a ratio. It reads
//! what these two servers send (a `content-length`, chunks, or no body) and refuses everything else.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::BenchError;

/// Bytes read from a socket at a time.
const READ_BYTES: usize = 64 * 1024;
/// The longest head that is read.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How much of a bad answer is shown.
const SHOWN_BYTES: usize = 300;

/// A kept connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The bytes of the buffer that were used up.
    used: usize,
}

/// An answer.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Bytes(usize),
    Chunks,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, BenchError> {
        let connecting = || BenchError::io(format!("connecting to {address}"));
        let stream = TcpStream::connect(address).await.map_err(connecting())?;
        stream.set_nodelay(true).map_err(connecting())?;
        Ok(Self { stream, buffer: Vec::with_capacity(READ_BYTES), used: 0 })
    }

    /// Sends a whole request, as [`post`] makes it, and reads the whole answer.
    pub(crate) async fn call(&mut self, request: &[u8]) -> Result<Answer<'_>, BenchError> {
        self.stream.write_all(request).await.map_err(BenchError::io("sending a request"))?;
        let (status, length) = self.head().await?;
        let Length::Bytes(length) = length else { return Err(unreadable("it has no length")) };
        while self.buffer.len() - self.used < length {
            self.fill().await?;
        }
        let body = self.used..self.used + length;
        self.used = body.end;
        Ok(Answer { status, body: self.buffer.get(body).unwrap_or_default() })
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer<'_>, BenchError> {
        self.call(get(path, "").as_bytes()).await
    }

    /// As [`Connection::call`], for an answer that has to be a success.
    pub(crate) async fn expect(&mut self, request: &[u8]) -> Result<Answer<'_>, BenchError> {
        let answer = self.call(request).await?;
        if (200..300).contains(&answer.status) { Ok(answer) } else { Err(bad(request, &answer)) }
    }

    /// Asks for an answer without an end, and reads its head.
    pub(crate) async fn stream(mut self, path: &str, headers: &str) -> Result<Lines, BenchError> {
        let request = get(path, headers);
        self.stream.write_all(request.as_bytes()).await.map_err(BenchError::io("sending a request"))?;
        let (status, length) = self.head().await?;
        if status == 200 && length == Length::Chunks {
            return Ok(Lines { connection: self, chunk: 0, line: Vec::new() });
        }
        let shown = self.buffer.get(self.used..).unwrap_or_default();
        Err(bad(request.as_bytes(), &Answer { status, body: shown }))
    }

    async fn head(&mut self) -> Result<(u16, Length), BenchError> {
        loop {
            let rest = self.buffer.get(self.used..).unwrap_or_default();
            if let Some(end) = find(rest, b"\r\n\r\n") {
                let head = rest.get(..end).unwrap_or_default();
                let parsed = parse_head(head).ok_or_else(|| unreadable("its head is not understood"))?;
                self.used += end + 4;
                return Ok(parsed);
            }
            if rest.len() > HEAD_BYTES_MAX {
                return Err(unreadable("its head has no end"));
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), BenchError> {
        self.buffer.drain(..self.used);
        self.used = 0;
        self.buffer.reserve(READ_BYTES);
        let read =
            self.stream.read_buf(&mut self.buffer).await.map_err(BenchError::io("reading an answer"))?;
        if read == 0 { Err(unreadable("the connection was closed")) } else { Ok(()) }
    }
}

/// The lines of an answer in chunks.
pub(crate) struct Lines {
    connection: Connection,
    /// Bytes left of the chunk, its line end included; 0 before a chunk's head.
    chunk: usize,
    line: Vec<u8>,
}

impl Lines {
    /// The next line without its end; an empty one is only a sign of life.
    pub(crate) async fn next(&mut self) -> Result<&[u8], BenchError> {
        self.line.clear();
        loop {
            if self.chunk == 0 {
                self.chunk = self.chunk_head().await?;
            }
            let rest = self.connection.buffer.get(self.connection.used..).unwrap_or_default();
            let ready = rest.get(..self.chunk.saturating_sub(2).min(rest.len())).unwrap_or_default();
            if let Some(end) = ready.iter().position(|byte| *byte == b'\n') {
                self.line.extend_from_slice(ready.get(..end).unwrap_or_default());
                self.use_up(end + 1).await?;
                return Ok(&self.line);
            }
            let taken = ready.len();
            self.line.extend_from_slice(ready);
            self.use_up(taken).await?;
            if self.chunk > 2 {
                self.connection.fill().await?;
            }
        }
    }

    /// Marks payload as read, and its chunk's end when that is reached.
    async fn use_up(&mut self, bytes: usize) -> Result<(), BenchError> {
        self.connection.used += bytes;
        self.chunk -= bytes;
        if self.chunk == 2 {
            while self.connection.buffer.len() - self.connection.used < 2 {
                self.connection.fill().await?;
            }
            self.connection.used += 2;
            self.chunk = 0;
        }
        Ok(())
    }

    async fn chunk_head(&mut self) -> Result<usize, BenchError> {
        loop {
            let rest = self.connection.buffer.get(self.connection.used..).unwrap_or_default();
            if let Some(end) = find(rest, b"\r\n") {
                let text =
                    rest.get(..end).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
                let size =
                    usize::from_str_radix(text.trim(), 16).map_err(|_| unreadable("a chunk has no size"))?;
                self.connection.used += end + 2;
                return if size == 0 { Err(unreadable("the stream ended")) } else { Ok(size + 2) };
            }
            self.connection.fill().await?;
        }
    }
}

/// A whole POST request.
pub(crate) fn post(path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n")
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// The status and how the body ends.
fn parse_head(head: &[u8]) -> Option<(u16, Length)> {
    let text = std::str::from_utf8(head).ok()?;
    let mut lines = text.split("\r\n");
    let status: u16 = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let mut length = Length::Bytes(0);
    for line in lines {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") {
            length = Length::Bytes(value.trim().parse().ok()?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            length = Length::Chunks;
        }
    }
    Some((status, length))
}

fn unreadable(cause: &str) -> BenchError {
    BenchError::Unreadable { request: "a request".to_owned(), cause: cause.to_owned() }
}

fn bad(request: &[u8], answer: &Answer<'_>) -> BenchError {
    let first = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let shown = answer.body.get(..answer.body.len().min(SHOWN_BYTES)).unwrap_or_default();
    BenchError::Answer {
        request: String::from_utf8_lossy(first).into_owned(),
        status: answer.status,
        body: String::from_utf8_lossy(shown).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A server that answers its first connection with these pieces, one write each.
    async fn saying(pieces: &'static [&'static str]) -> Connection {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.expect("somebody connects");
            let mut request = [0; 512];
            let _read = socket.read(&mut request).await.expect("it asks");
            for piece in pieces {
                socket.write_all(piece.as_bytes()).await.expect("it reads");
                socket.flush().await.expect("it reads");
                tokio::task::yield_now().await;
            }
            // Closing before all was read would throw away what the other side has not read yet.
            let _rest = socket.read_to_end(&mut Vec::new()).await;
        });
        Connection::open(address).await.expect("it listens")
    }

    #[tokio::test]
    async fn an_answer_is_read_however_it_is_cut() {
        let mut connection = saying(&[
            "HTTP/1.1 20",
            "4 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-",
            "Length: 3\r\n\r\na",
            "bc",
        ])
        .await;
        assert_eq!(connection.get("/").await.expect("it is an answer").status, 204);
        let answer = connection.get("/").await.expect("it is an answer");
        assert_eq!((answer.status, answer.body), (200, b"abc".as_slice()));
    }

    #[tokio::test]
    async fn lines_are_put_together_over_chunks_and_reads() {
        const HEAD: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let mut lines =
            saying(&[HEAD, "4\r\none\n\r\n8\r\ntw", "o\nthr", "e\r\n3\r", "\ne\n\n\r\n0\r\n\r\n"])
                .await
                .stream("/", "")
                .await
                .expect("it is a stream");
        for wanted in ["one", "two", "three", ""] {
            assert_eq!(lines.next().await.expect("there is a line"), wanted.as_bytes());
        }
        assert!(lines.next().await.is_err(), "the stream has ended");
    }
}
