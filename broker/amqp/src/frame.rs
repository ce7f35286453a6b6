//! Frames (AMQP 0-9-1, section 4.2.3): cutting a buffer into them. What a payload means is said elsewhere.
//!
//! ```text
//! 0      1         3             7                  size+7 size+8
//! +------+---------+-------------+------------------+-----+
//! | type | channel | payload size| payload          | 206 |
//! |  u8  |   u16   |     u32     |                  |     |
//! +------+---------+-------------+------------------+-----+
//! ```

use crate::WireError;

/// What a client sends first, and what the broker answers if it was something else.
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";

/// The octet that ends every frame.
pub const END: u8 = 206;

/// Octets before the payload.
pub const HEAD: usize = 7;

/// Octets of a frame that are not payload.
pub const OVERHEAD: usize = 8;

/// No peer may refuse frames up to this size, and none larger are sent before the tuning (`frame-min-size`).
pub const SIZE_MIN: u32 = 4096;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// A method.
    Method = 1,
    /// The content header that follows some methods.
    Header = 2,
    /// A piece of a content's body.
    Body = 3,
    /// A sign of life.
    Heartbeat = 8,
}

impl FrameKind {
    fn from_octet(octet: u8) -> Option<Self> {
        match octet {
            1 => Some(Self::Method),
            2 => Some(Self::Header),
            3 => Some(Self::Body),
            8 => Some(Self::Heartbeat),
            _ => None,
        }
    }
}

/// A whole frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it carries.
    pub kind: FrameKind,
    /// For which channel; 0 is the connection itself.
    pub channel: u16,
    /// What lies between the head and the end octet.
    pub payload: &'a [u8],
}

/// The frame at the front of `buf`, and how many octets it takes there. `None`: more octets are needed.
///
/// `frame_max` counts the whole frame, its 8 octets of overhead included; 0 means no limit. As in RabbitMQ, a frame may be 8 octets larger, for
/// clients that count without the overhead.
///
/// # Errors
/// All are frame errors (501): an unknown type, a size beyond the limit (both known from the head alone), another end octet than 206,
/// a heartbeat that carries something.
#[inline]
pub fn next_frame(buf: &[u8], frame_max: u32) -> Result<Option<(Frame<'_>, usize)>, WireError> {
    let Some((&octet, rest)) = buf.split_first() else {
        return Ok(None);
    };
    let kind = FrameKind::from_octet(octet).ok_or(WireError::FrameType(octet))?;
    let Some((&[c0, c1, s0, s1, s2, s3], rest)) = rest.split_first_chunk::<6>() else {
        return Ok(None);
    };
    let size = u32::from_be_bytes([s0, s1, s2, s3]);
    if size > payload_max_accepted(frame_max) {
        let size = u64::from(size) + OVERHEAD as u64;
        return Err(WireError::FrameTooLarge { size, frame_max });
    }
    if kind == FrameKind::Heartbeat && size != 0 {
        return Err(WireError::HeartbeatPayload(size));
    }
    let Some((payload, rest)) = rest.split_at_checked(size as usize) else {
        return Ok(None);
    };
    match rest.first() {
        None => Ok(None),
        Some(&END) => {
            let channel = u16::from_be_bytes([c0, c1]);
            Ok(Some((Frame { kind, channel, payload }, payload.len() + OVERHEAD)))
        }
        Some(&other) => Err(WireError::FrameEnd(other)),
    }
}

/// The largest payload that is accepted.
#[inline]
pub(crate) fn payload_max_accepted(frame_max: u32) -> u32 {
    if frame_max == 0 { u32::MAX } else { frame_max }
}

/// The largest payload that is sent; never 0.
#[inline]
pub(crate) fn payload_max(frame_max: u32) -> u32 {
    if frame_max == 0 {
        u32::MAX
    } else {
        frame_max.saturating_sub(OVERHEAD as u32).max(1)
    }
}

/// Appends a frame around this payload, which the caller has split to fit the limit.
pub fn write_frame(kind: FrameKind, channel: u16, payload: &[u8], out: &mut Vec<u8>) {
    out.reserve(payload.len() + OVERHEAD);
    framed(kind, channel, out, |out| out.extend_from_slice(payload));
}

/// Appends a heartbeat.
pub fn write_heartbeat(out: &mut Vec<u8>) {
    out.extend_from_slice(&[FrameKind::Heartbeat as u8, 0, 0, 0, 0, 0, 0, END]);
}

/// Appends a frame around the payload that `write` appends.
pub(crate) fn framed(kind: FrameKind, channel: u16, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let [c0, c1] = channel.to_be_bytes();
    out.extend_from_slice(&[kind as u8, c0, c1]);
    crate::wire::with_length(out, write);
    out.push(END);
}
