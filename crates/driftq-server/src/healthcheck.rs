//! Asking a running server whether it is well.

use crate::server::addresses;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long a healthy server may take.
const TIME: Duration = Duration::from_secs(4);
/// Bytes of the answer that are looked at.
const ANSWER_MAX: u64 = 4 * 1024;

/// Whether the server at this address answers that it is well.
///
/// # Errors
///
/// Why it could not be asked.
pub fn run(addr: &str) -> io::Result<bool> {
    let mut last = io::Error::other(format!("{addr} is no address"));
    for address in addresses(addr)? {
        match ask(reachable(address)) {
            Ok(is_well) => return Ok(is_well),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Every interface is reached by the local one.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    address
}

fn ask(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, TIME)?;
    stream.set_read_timeout(Some(TIME))?;
    stream.set_write_timeout(Some(TIME))?;
    write!(stream, "GET /v1/healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_MAX).read_to_string(&mut answer)?;
    Ok(answer.split_whitespace().nth(1) == Some("200"))
}
