//! The encoding of frames and of the methods that tests send again and again.

pub const METHOD: u8 = 1;
pub const HEADER: u8 = 2;
pub const BODY: u8 = 3;
pub const HEARTBEAT: u8 = 8;
pub const FRAME_END: u8 = 0xCE;
pub const PROTOCOL_HEADER: &[u8; 8] = b"AMQP\x00\x00\x09\x01";

/// Arguments of a method as they are written down.
#[derive(Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    pub fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub fn u16(mut self, value: u16) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub fn short(mut self, value: &str) -> Self {
        self.0.push(u8::try_from(value.len()).unwrap());
        self.0.extend_from_slice(value.as_bytes());
        self
    }

    pub fn long(self, value: &[u8]) -> Self {
        let mut writer = self.u32(u32::try_from(value.len()).unwrap());
        writer.0.extend_from_slice(value);
        writer
    }

    /// Consecutive bits, the first in the lowest place.
    pub fn bits(self, bits: &[bool]) -> Self {
        let octet = bits.iter().rev().fold(0, |octet, bit| octet << 1 | u8::from(*bit));
        self.u8(octet)
    }

    /// A field table with the given content, already encoded.
    pub fn table(self, content: &[u8]) -> Self {
        self.long(content)
    }
}

/// Arguments of a method as they are read.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    pub fn u8(&mut self) -> u8 {
        self.take(1)[0]
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.take(2).try_into().unwrap())
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take(4).try_into().unwrap())
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.take(8).try_into().unwrap())
    }

    pub fn short(&mut self) -> String {
        let length = self.u8().into();
        String::from_utf8_lossy(self.take(length)).into_owned()
    }
}

/// A frame of any kind.
pub fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Writer(vec![kind]).u16(channel).long(payload).0;
    bytes.push(FRAME_END);
    bytes
}

/// A method frame.
pub fn method(channel: u16, class: u16, method: u16, arguments: impl FnOnce(Writer) -> Writer) -> Vec<u8> {
    frame(METHOD, channel, &arguments(Writer::default().u16(class).u16(method)).0)
}

/// A content header frame of the class basic, without properties.
pub fn header(channel: u16, body_size: u64) -> Vec<u8> {
    frame(HEADER, channel, &Writer::default().u16(60).u16(0).u64(body_size).u16(0).0)
}

/// The same of a persistent message: property flags and `delivery-mode` 2.
pub fn persistent_header(channel: u16, body_size: u64) -> Vec<u8> {
    frame(
        HEADER,
        channel,
        &Writer::default().u16(60).u16(0).u64(body_size).u16(1 << 12).u8(2).0,
    )
}

pub fn start_ok(mechanism: &str, response: &[u8], wants_close: bool) -> Vec<u8> {
    let mut properties = Vec::new();
    if wants_close {
        let capabilities = Writer::default().short("authentication_failure_close").u8(b't').u8(1).0;
        properties = Writer::default().short("capabilities").u8(b'F').table(&capabilities).0;
    }
    method(0, 10, 11, |a| a.table(&properties).short(mechanism).long(response).short("en_US"))
}

pub fn tune_ok(channel_max: u16, frame_max: u32, heartbeat: u16) -> Vec<u8> {
    method(0, 10, 31, |a| a.u16(channel_max).u32(frame_max).u16(heartbeat))
}

pub fn connection_open(vhost: &str) -> Vec<u8> {
    method(0, 10, 40, |a| a.short(vhost).short("").bits(&[false]))
}

pub fn publish(channel: u16, exchange: &str, routing_key: &str, flags: &[bool]) -> Vec<u8> {
    method(channel, 60, 40, |a| a.u16(0).short(exchange).short(routing_key).bits(flags))
}

/// Flags: passive, durable, exclusive, auto-delete, no-wait.
pub fn queue_declare(channel: u16, name: &str, flags: [bool; 5]) -> Vec<u8> {
    method(channel, 50, 10, |a| a.u16(0).short(name).bits(&flags).table(b""))
}

/// Flags: passive, durable, auto-delete, internal, no-wait.
pub fn exchange_declare(channel: u16, name: &str, kind: &str, flags: [bool; 5]) -> Vec<u8> {
    method(channel, 40, 10, |a| a.u16(0).short(name).short(kind).bits(&flags).table(b""))
}

/// Flags: no-local, no-ack, exclusive, no-wait.
pub fn consume(channel: u16, queue: &str, tag: &str, flags: [bool; 4]) -> Vec<u8> {
    method(channel, 60, 20, |a| a.u16(0).short(queue).short(tag).bits(&flags).table(b""))
}
