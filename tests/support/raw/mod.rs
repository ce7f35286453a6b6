//! AMQP 0-9-1 by hand: frames as bytes, so that a test can send what no client library would. Blocking, with a deadline on every read.

mod wire;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub use wire::*;

/// What is waited for before "nothing came" is the answer.
const SILENCE: Duration = Duration::from_secs(10);

/// A frame as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub channel: u16,
    pub payload: Vec<u8>,
}

impl Frame {
    /// Class and method, when it is a method frame.
    pub fn method(&self) -> Option<(u16, u16)> {
        let id = |at: usize| Some(u16::from_be_bytes([*self.payload.get(at)?, *self.payload.get(at + 1)?]));
        if self.kind == METHOD { Some((id(0)?, id(2)?)) } else { None }
    }

    /// A reader of the arguments after class and method.
    pub fn arguments(&self) -> Reader<'_> {
        Reader(&self.payload[4..])
    }
}

/// What a peer said, or that it said nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Frame(Frame),
    /// The socket was closed.
    End,
    /// Nothing came for a long time.
    Silence,
}

/// A socket that speaks frames.
pub struct Raw {
    socket: TcpStream,
    received: Vec<u8>,
}

impl Raw {
    /// Connects and says nothing.
    pub fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(SILENCE)).unwrap();
        socket.set_write_timeout(Some(SILENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self {
            socket,
            received: Vec::new(),
        }
    }

    /// What the broker says of itself before the login.
    pub fn product(address: SocketAddr) -> String {
        let mut raw = Self::connect(address);
        raw.send(PROTOCOL_HEADER);
        String::from_utf8_lossy(&raw.expect(10, 10).payload).into_owned()
    }

    /// Whether it is the real RabbitMQ: by its platform, because Stoa has RabbitMQ's name where clients look at that.
    pub fn is_rabbitmq(address: SocketAddr) -> bool {
        Self::product(address).contains("Erlang")
    }

    /// Logs in as guest and opens the vhost `/` with what the broker offers.
    pub fn login(address: SocketAddr) -> Self {
        Self::login_tuned(address, None)
    }

    /// The same with another frame_max than the one that was offered.
    pub fn login_tuned(address: SocketAddr, frame_max: Option<u32>) -> Self {
        let mut raw = Self::connect(address);
        raw.send(PROTOCOL_HEADER);
        raw.expect(10, 10);
        raw.send(&start_ok("PLAIN", b"\0guest\0guest", true));
        let tune = raw.expect(10, 30);
        let mut offer = tune.arguments();
        let (channel_max, offered, _) = (offer.u16(), offer.u32(), offer.u16());
        raw.send(&tune_ok(channel_max, frame_max.unwrap_or(offered), 0));
        raw.send(&connection_open("/"));
        raw.expect(10, 41);
        raw
    }

    /// Opens a channel.
    pub fn open(&mut self, channel: u16) {
        self.send(&method(channel, 20, 10, |a| a.short("")));
        self.expect(20, 11);
    }

    /// Sends bytes. That the peer has closed is found out when reading.
    pub fn send(&mut self, bytes: &[u8]) {
        match self.socket.write_all(bytes) {
            Ok(()) => {}
            Err(e) if matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {}
            Err(e) => panic!("cannot send: {e}"),
        }
    }

    /// Calls a method and waits for its answer, which must be the next frame.
    pub fn call(&mut self, request: &[u8], class: u16, answer: u16) -> Frame {
        self.send(request);
        self.expect(class, answer)
    }

    /// The next frame, which must be this method.
    pub fn expect(&mut self, class: u16, method: u16) -> Frame {
        match self.next() {
            Event::Frame(frame) if frame.method() == Some((class, method)) => frame,
            other => panic!("expected method {class}.{method}, got {other:?}"),
        }
    }

    /// What comes next; heartbeats are passed over.
    pub fn next(&mut self) -> Event {
        loop {
            match self.next_or_heartbeat() {
                Event::Frame(frame) if frame.kind == HEARTBEAT => {}
                other => return other,
            }
        }
    }

    /// What comes next, be it a heartbeat.
    pub fn next_or_heartbeat(&mut self) -> Event {
        loop {
            if let Some(frame) = self.take_frame() {
                return Event::Frame(frame);
            }
            match self.receive() {
                Received::Some => {}
                Received::End => return Event::End,
                Received::Silence => return Event::Silence,
            }
        }
    }

    /// The next `count` octets as they are, or fewer when the peer closes before.
    pub fn octets(&mut self, count: usize) -> Vec<u8> {
        while self.received.len() < count && matches!(self.receive(), Received::Some) {}
        self.received.drain(..count.min(self.received.len())).collect()
    }

    /// Reads until the peer closes. False: it did not.
    pub fn ends(&mut self) -> bool {
        loop {
            match self.next() {
                Event::Frame(_) => {}
                Event::End => return true,
                Event::Silence => return false,
            }
        }
    }

    fn take_frame(&mut self) -> Option<Frame> {
        let head = self.received.first_chunk::<7>()?;
        let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
        let (kind, channel) = (head[0], u16::from_be_bytes([head[1], head[2]]));
        if self.received.len() < size + 8 {
            return None;
        }
        assert_eq!(
            self.received[size + 7],
            FRAME_END,
            "a frame without frame end, kind {kind}, channel {channel}, size {size}"
        );
        let payload = self.received[7..size + 7].to_vec();
        self.received.drain(..size + 8);
        Some(Frame { kind, channel, payload })
    }

    fn receive(&mut self) -> Received {
        let mut chunk = [0; 65536];
        match self.socket.read(&mut chunk) {
            Ok(0) => Received::End,
            Ok(n) => {
                self.received.extend_from_slice(&chunk[..n]);
                Received::Some
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Received::Silence,
            Err(_) => Received::End,
        }
    }
}

enum Received {
    Some,
    End,
    Silence,
}
