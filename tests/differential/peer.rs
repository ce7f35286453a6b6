//! A raw client that writes down what it sees, in words that are the same on every broker: names, times and the like are replaced.

use std::net::SocketAddr;

use crate::support::raw::{self, Event, Frame, Raw, Reader, Writer};
use crate::support::unique;

/// A connection with channel 1 open, names that nobody else uses, and what was seen.
pub struct Peer {
    pub address: SocketAddr,
    pub raw: Raw,
    pub seen: Vec<String>,
    /// What stands for `$q`, `$d`, `$x`, `$y`: two queues and two exchanges.
    names: [(&'static str, String); 4],
}

impl Peer {
    pub fn new(address: SocketAddr) -> Self {
        let mut raw = Raw::login(address);
        raw.open(1);
        let names = [("$q", "q"), ("$d", "d"), ("$x", "x"), ("$y", "y")].map(|(sign, stem)| (sign, unique(stem)));
        Self {
            address,
            raw,
            seen: Vec::new(),
            names,
        }
    }

    /// Replaces the signs by the names.
    pub fn name(&self, text: &str) -> String {
        self.names
            .iter()
            .fold(text.into(), |text: String, (sign, name)| text.replace(sign, name))
    }

    /// Writes down a note of its own.
    pub fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        let text = self.names.iter().fold(text, |text, (sign, name)| text.replace(name, sign));
        self.seen.push(text);
    }

    /// Sends, and writes down the next method (with its content).
    pub fn call(&mut self, request: &[u8]) {
        self.raw.send(request);
        self.see(1);
    }

    /// Writes down so many methods, as they come.
    pub fn see(&mut self, count: usize) {
        for _ in 0..count {
            match self.raw.next() {
                Event::Frame(frame) => {
                    let text = self.describe(&frame);
                    self.note(text);
                }
                Event::End => self.note("the end"),
                Event::Silence => self.note("nothing"),
            }
        }
    }

    /// Declares a queue without writing it down. Flags: passive, durable, exclusive, auto-delete, no-wait.
    pub fn queue(&mut self, name: &str, arguments: Writer) {
        let name = self.name(name);
        let declare = raw::method(1, 50, 10, |a| a.u16(0).short(&name).bits(&[false; 5]).table(&arguments.0));
        self.raw.call(&declare, 50, 11);
    }

    pub fn exchange(&mut self, name: &str, kind: &str, arguments: Writer) {
        let name = self.name(name);
        let declare = raw::method(1, 40, 10, |a| {
            a.u16(0).short(&name).short(kind).bits(&[false; 5]).table(&arguments.0)
        });
        self.raw.call(&declare, 40, 11);
    }

    pub fn bind(&mut self, queue: &str, exchange: &str, key: &str) {
        let (queue, exchange, key) = (self.name(queue), self.name(exchange), self.name(key));
        let bind = raw::method(1, 50, 20, |a| a.u16(0).short(&queue).short(&exchange).short(&key).u8(0).table(b""));
        self.raw.call(&bind, 50, 21);
    }

    pub fn publish(&mut self, exchange: &str, key: &str, body: &str) {
        self.publish_with(exchange, key, body, false, 0, Writer::default());
    }

    /// Publishes with properties as they are encoded: their flags, and the values in the order of the flags.
    pub fn publish_with(&mut self, exchange: &str, key: &str, body: &str, mandatory: bool, flags: u16, properties: Writer) {
        let (exchange, key) = (self.name(exchange), self.name(key));
        let mut header = Writer::default().u16(60).u16(0).u64(body.len() as u64).u16(flags);
        header.0.extend(properties.0);
        self.raw.send(&raw::publish(1, &exchange, &key, &[mandatory, false]));
        self.raw.send(&raw::frame(raw::HEADER, 1, &header.0));
        if !body.is_empty() {
            self.raw.send(&raw::frame(raw::BODY, 1, body.as_bytes()));
        }
    }

    /// Everything that was sent before has been carried out when it returns, wherever it went: queues are asked for their counts.
    pub fn settle(&mut self, queue: &str, ready: u32) {
        let name = self.name(queue);
        let passive = raw::queue_declare(1, &name, [true, false, false, false, false]);
        for _ in 0..500 {
            let counts = self.raw.call(&passive, 50, 11);
            let mut arguments = counts.arguments();
            arguments.short();
            if arguments.u32() == ready {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        self.note(format!("{queue} never had {ready} messages"));
    }

    pub fn get(&mut self, queue: &str, no_ack: bool) {
        let queue = self.name(queue);
        self.call(&raw::method(1, 60, 70, |a| a.u16(0).short(&queue).bits(&[no_ack])));
    }

    pub fn consume(&mut self, queue: &str, tag: &str, no_ack: bool, arguments: Writer) {
        let queue = self.name(queue);
        let flags = [false, no_ack, false, false];
        self.call(&raw::method(1, 60, 20, |a| {
            a.u16(0).short(&queue).short(tag).bits(&flags).table(&arguments.0)
        }));
    }

    pub fn qos(&mut self, count: u16, global: bool) {
        self.raw
            .call(&raw::method(1, 60, 10, |a| a.u32(0).u16(count).bits(&[global])), 60, 11);
    }

    pub fn ack(&mut self, tag: u64, multiple: bool) {
        self.raw.send(&raw::method(1, 60, 80, |a| a.u64(tag).bits(&[multiple])));
    }

    pub fn nack(&mut self, tag: u64, multiple: bool, requeue: bool) {
        self.raw.send(&raw::method(1, 60, 120, |a| a.u64(tag).bits(&[multiple, requeue])));
    }

    pub fn counts(&mut self, queue: &str) {
        let queue = self.name(queue);
        self.call(&raw::queue_declare(1, &queue, [true, false, false, false, false]));
    }

    fn describe(&mut self, frame: &Frame) -> String {
        let mut a = frame.arguments();
        match frame.method().unwrap_or_default() {
            (10, 50) => format!("connection.close {} {}", a.u16(), a.short()),
            (20, 40) => format!("channel.close {} {} {}.{}", a.u16(), a.short(), a.u16(), a.u16()),
            (50, 11) => format!("declare-ok {} messages {} consumers {}", a.short(), a.u32(), a.u32()),
            (50, 31) => format!("purge-ok {}", a.u32()),
            (50, 41) => format!("delete-ok {}", a.u32()),
            (60, 21) => format!("consume-ok {}", a.short()),
            (60, 30) => format!("cancel {}", a.short()),
            (60, 31) => format!("cancel-ok {}", a.short()),
            (60, 72) => "get-empty".into(),
            // whether one answer is for several is the broker's choice, from moment to moment
            (60, 80) => format!("ack {}", a.u64()),
            (60, 120) => format!("nack {}", a.u64()),
            (60, 50) => {
                let returned = format!("return {} {} exchange '{}' key '{}'", a.u16(), a.short(), a.short(), a.short());
                self.with_content(returned)
            }
            (60, 60) => {
                let (tag, number, redelivered) = (a.short(), a.u64(), a.u8());
                let delivered = format!(
                    "deliver {tag} {number} redelivered {redelivered} exchange '{}' key '{}'",
                    a.short(),
                    a.short()
                );
                self.with_content(delivered)
            }
            (60, 71) => {
                let (number, redelivered) = (a.u64(), a.u8());
                let got = format!(
                    "get-ok {number} redelivered {redelivered} exchange '{}' key '{}' left {}",
                    a.short(),
                    a.short(),
                    a.u32()
                );
                self.with_content(got)
            }
            (class, method) => format!("{class}.{method}"),
        }
    }

    /// Reads the content that follows.
    fn with_content(&mut self, method: String) -> String {
        let Event::Frame(header) = self.raw.next() else {
            return format!("{method} without content");
        };
        let mut a = Reader(&header.payload);
        let (_, _, size, flags) = (a.u16(), a.u16(), a.u64(), a.u16());
        let properties = describe_properties(flags, &mut a);
        let mut body = Vec::new();
        while (body.len() as u64) < size
            && let Event::Frame(piece) = self.raw.next()
        {
            body.extend(piece.payload);
        }
        format!("{method}{properties} body '{}'", String::from_utf8_lossy(&body))
    }
}

/// The properties that are there, each with a space before it.
fn describe_properties(flags: u16, a: &mut Reader<'_>) -> String {
    const SHORT: &str = "short";
    let known = [
        ("content-type", SHORT),
        ("content-encoding", SHORT),
        ("headers", "table"),
        ("delivery-mode", "octet"),
        ("priority", "octet"),
        ("correlation-id", SHORT),
        ("reply-to", SHORT),
        ("expiration", SHORT),
        ("message-id", SHORT),
        ("timestamp", "long"),
        ("type", SHORT),
        ("user-id", SHORT),
        ("app-id", SHORT),
        ("cluster-id", SHORT),
    ];
    let mut text = String::new();
    for (place, (name, kind)) in known.into_iter().enumerate() {
        if flags & (0x8000 >> place) == 0 {
            continue;
        }
        let value = match kind {
            "table" => describe_table(a),
            "octet" => a.u8().to_string(),
            "long" => a.u64().to_string(),
            _ => a.short(),
        };
        text.push_str(&format!(" {name} {value}"));
    }
    text
}

fn describe_table(a: &mut Reader<'_>) -> String {
    let size = a.u32() as usize;
    let (mut inner, rest) = (Reader(&a.0[..size]), &a.0[size..]);
    a.0 = rest;
    let mut entries = Vec::new();
    while !inner.0.is_empty() {
        let name = inner.short();
        entries.push(format!("{name}={}", describe_value(&mut inner)));
    }
    format!("{{{}}}", entries.join(", "))
}

/// A value with its type's letter.
fn describe_value(a: &mut Reader<'_>) -> String {
    let kind = a.u8() as char;
    let value = match kind {
        't' | 'b' | 'B' => a.u8().to_string(),
        's' | 'u' => a.u16().to_string(),
        'I' | 'i' | 'f' => a.u32().to_string(),
        'l' | 'L' | 'd' => a.u64().to_string(),
        'T' => {
            a.u64();
            "time".into()
        }
        'S' | 'x' => {
            let size = a.u32() as usize;
            let (text, rest) = a.0.split_at(size);
            a.0 = rest;
            String::from_utf8_lossy(text).into_owned()
        }
        'F' => describe_table(a),
        'A' => {
            let size = a.u32() as usize;
            let (mut inner, rest) = (Reader(&a.0[..size]), &a.0[size..]);
            a.0 = rest;
            let mut values = Vec::new();
            while !inner.0.is_empty() {
                values.push(describe_value(&mut inner));
            }
            format!("[{}]", values.join(", "))
        }
        _ => String::new(),
    };
    format!("{kind}:{value}")
}

/// Entries of a field table.
pub fn table() -> Writer {
    Writer::default()
}

impl Writer {
    pub fn text(self, name: &str, value: &str) -> Self {
        self.short(name).u8(b'S').long(value.as_bytes())
    }

    pub fn int(self, name: &str, value: u32) -> Self {
        self.short(name).u8(b'I').u32(value)
    }

    pub fn truth(self, name: &str, value: bool) -> Self {
        self.short(name).u8(b't').u8(value.into())
    }
}
