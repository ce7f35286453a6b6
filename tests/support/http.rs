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
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP answer: {answer}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let head = head.to_lowercase();
    let body = if head.contains("transfer-encoding: chunked") {
        dechunk(body)
    } else {
        body.to_owned()
    };
    Response { status, head, body }
}

/// The parts of an answer that was sent as it was made: each with its length in front, in hexadecimal.
fn dechunk(mut parts: &str) -> String {
    let mut body = String::new();
    loop {
        let (length, rest) = parts.split_once("\r\n").unwrap_or_else(|| panic!("no length of a part: {parts}"));
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return body;
        }
        body.push_str(&rest[..length]);
        parts = rest[length..].strip_prefix("\r\n").unwrap();
    }
}
