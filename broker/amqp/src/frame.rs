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

/// The header of 0-9 without the 1, which some clients of 0-9-1 send as well (Perl's Net::AMQP). RabbitMQ takes it for the same.
pub const PROTOCOL_HEADER_0_9: [u8; 8] = *b"AMQP\x01\x01\x00\x09";

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use crate::{Method, ReplyCode};
    use proptest::prelude::*;

    #[test]
    fn what_is_no_frame_is_a_frame_error() {
        let cases: &[(&[u8], u32, WireError)] = &[
            (b"A", 0, WireError::FrameType(b'A')),
            (b"\x00\0\0\0\0\0\0\xce", 0, WireError::FrameType(0)),
            (b"\x04\0\0\0\0\0\0\xce", 0, WireError::FrameType(4)),
            (b"\x01\0\0\0\0\0\x01x\xcd", 0, WireError::FrameEnd(0xcd)),
            (
                b"\x01\0\0\0\0\x10\x01",
                4096,
                WireError::FrameTooLarge {
                    size: 4105,
                    frame_max: 4096,
                },
            ),
            (
                b"\x01\0\0\xff\xff\xff\xff",
                4096,
                WireError::FrameTooLarge {
                    size: (1 << 32) + 7,
                    frame_max: 4096,
                },
            ),
            (b"\x08\0\0\0\0\0\x01", 0, WireError::HeartbeatPayload(1)),
        ];
        for &(octets, frame_max, error) in cases {
            assert_eq!(next_frame(octets, frame_max), Err(error));
            assert_eq!((error.code(), error.class_method()), (ReplyCode::FrameError, (0, 0)));
        }
    }

    #[test]
    fn the_limit_counts_the_overhead_and_tolerates_clients_that_do_not() {
        let frame = |size: usize| testing::frame(3, 1, &vec![0; size]);
        for (size, frame_max, taken) in [(4088, 4096, true), (4096, 4096, true), (4097, 4096, false), (70_000, 0, true)] {
            assert_eq!(
                next_frame(&frame(size), frame_max).is_ok(),
                taken,
                "{size} octets, limit {frame_max}"
            );
        }
        assert_eq!(
            [payload_max(4096), payload_max(0), payload_max(8), payload_max(1)],
            [4088, u32::MAX, 1, 1]
        );
    }

    #[test]
    fn a_heartbeat_is_eight_octets() {
        let mut out = Vec::new();
        write_heartbeat(&mut out);
        let heartbeat = Frame {
            kind: FrameKind::Heartbeat,
            channel: 0,
            payload: &[],
        };
        assert_eq!(next_frame(&out, 4096), Ok(Some((heartbeat, 8))));
    }

    /// Cuts a buffer into frames and decodes all that is in them; returns how many octets were good.
    fn walk(octets: &[u8], frame_max: u32) -> usize {
        let mut rest = octets;
        while let Ok(Some((frame, used))) = next_frame(rest, frame_max) {
            let outcome = match frame.kind {
                FrameKind::Method => Method::decode(frame.payload).map(drop),
                FrameKind::Header => {
                    crate::content::ContentHeader::decode(frame.payload).and_then(|h| crate::content::validate(h.properties))
                }
                FrameKind::Body | FrameKind::Heartbeat => Ok(()),
            };
            if let Err(error) = outcome {
                assert!(error.code().is_hard() && !error.to_string().is_empty());
                break;
            }
            if let Some((_, whole)) = crate::fast::publish(rest, frame_max) {
                assert!(whole <= rest.len());
            }
            rest = &rest[used..];
        }
        octets.len() - rest.len()
    }

    proptest! {
        #[test]
        fn a_frame_reads_back_and_a_part_of_it_wants_more(channel: u16, payload in proptest::collection::vec(any::<u8>(), 0..300), more in proptest::collection::vec(any::<u8>(), 0..9)) {
            let mut out = Vec::new();
            write_frame(FrameKind::Body, channel, &payload, &mut out);
            prop_assert_eq!(&out, &testing::frame(3, channel, &payload));
            for end in 0..out.len() {
                prop_assert_eq!(next_frame(&out[..end], 0), Ok(None));
            }
            let whole = out.len();
            out.extend(more);
            let frame = Frame { kind: FrameKind::Body, channel, payload: &payload };
            prop_assert_eq!(next_frame(&out, 0), Ok(Some((frame, whole))));
        }

        #[test]
        fn good_streams_are_read_to_their_end(stream in testing::stream()) {
            prop_assert_eq!(walk(&stream, 0), stream.len());
        }

        /// Invariant 10.
        #[test]
        fn mutated_streams_never_panic(
            stream in testing::stream(),
            mutations in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
            cut in any::<proptest::sample::Index>(),
        ) {
            let mut stream = stream;
            for (at, octet) in mutations {
                let at = at.index(stream.len());
                stream[at] = octet;
            }
            walk(&stream, 4096);
            walk(&stream[..cut.index(stream.len())], 0);
        }

        /// Invariant 10.
        #[test]
        fn any_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..300), head in proptest::sample::select(&[1u8, 2, 3, 8][..])) {
            walk(&octets, 4096);
            walk(&testing::frame(head, 1, &octets), 0);
        }
    }
}
