//! A way to a server on which answers get lost: the server did what it was asked, and nobody hears of it.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// The way; it ends with the process.
pub(crate) struct Lossy {
    pub(crate) url: String,
    lost: Arc<AtomicUsize>,
}

impl Lossy {
    /// A way to this server that loses the answers to so many requests with this target.
    pub(crate) fn to(server: &str, target: &'static str, losses: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let lost = Arc::new(AtomicUsize::new(0));
        let (server, counted) = (server.trim_start_matches("http://").to_owned(), Arc::clone(&lost));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let request = request(&client);
                let answer = forward(&server, &request);
                if request.starts_with(target.as_bytes()) && counted.load(Ordering::SeqCst) < losses {
                    counted.fetch_add(1, Ordering::SeqCst);
                } else {
                    // A client that has given up reads nothing.
                    drop((&client).write_all(&answer));
                }
            }
        });
        Self { url, lost }
    }

    /// How many answers were lost.
    pub(crate) fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }
}

/// A whole request, which asks for the connection to be closed after it.
fn request(client: &TcpStream) -> Vec<u8> {
    let mut reader = BufReader::new(client);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        let read = reader.read_line(&mut line).expect("the client sends text");
        if read == 0 || line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().expect("it is a number");
        }
        head += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the client sends it whole");
    [head.as_bytes(), b"connection: close\r\n\r\n", &body].concat()
}

fn forward(server: &str, request: &[u8]) -> Vec<u8> {
    let mut server = TcpStream::connect(server).expect("the server is there");
    server.write_all(request).expect("it reads");
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).expect("it answers");
    answer
}
