//! A little HTTP: one request, one answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::DEADLINE;

/// `guest:guest`, as HTTP's basic authentication writes it.
pub const GUEST: &str = "Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n";

/// An answer.
pub struct Response {
    pub status: u16,
    /// The head, in lower case.
    pub head: String,
    pub body: String,
    /// The body as it came.
    pub octets: Vec<u8>,
}

impl Response {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

pub fn get(address: SocketAddr, path: &str, headers: &str) -> Response {
    send(address, "GET", path, headers, "")
}

/// What `guest` gets as JSON.
pub fn json(address: SocketAddr, path: &str) -> serde_json::Value {
    let response = get(address, path, GUEST);
    assert_eq!(response.status, 200, "{path}: {}", response.body);
    assert!(
        response.head.contains("content-type: application/json"),
        "{path}: {}",
        response.head
    );
    response.json()
}

pub fn send(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Response {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let length = body.len();
    write!(
        socket,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let at = answer.windows(4).position(|octets| octets == b"\r\n\r\n");
    let at = at.unwrap_or_else(|| panic!("no HTTP answer: {}", String::from_utf8_lossy(&answer)));
    let head = String::from_utf8_lossy(&answer[..at]).to_lowercase();
    let mut octets = answer.split_off(at + 4);
    if head.contains("transfer-encoding: chunked") {
        octets = unchunked(&octets);
    }
    Response {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head,
        body: String::from_utf8_lossy(&octets).into_owned(),
        octets,
    }
}

/// What chunks hold; they must end as they should.
fn unchunked(mut chunks: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    loop {
        let end = chunks.windows(2).position(|octets| octets == b"\r\n").expect("a chunk's size");
        let size = usize::from_str_radix(std::str::from_utf8(&chunks[..end]).unwrap(), 16).unwrap();
        chunks = &chunks[end + 2..];
        if size == 0 {
            return octets;
        }
        octets.extend_from_slice(&chunks[..size]);
        chunks = &chunks[size + 2..];
    }
}
