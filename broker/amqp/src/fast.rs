//! The few methods that travel by the million, hand-tuned. Nothing here that the general codec does not do as well, only slower; the tests hold
//! one against the other.

use crate::frame::{self, FrameKind, OVERHEAD, payload_max, payload_max_accepted};
use crate::{ShortStr, basic};

/// A `basic.publish` with its whole content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// The channel it came on.
    pub channel: u16,
    /// To which exchange.
    pub exchange: ShortStr<'a>,
    /// What the exchange routes by.
    pub routing_key: ShortStr<'a>,
    /// Both of them as on the wire, length octets included.
    pub envelope: &'a [u8],
    /// To be returned if it reaches no queue.
    pub mandatory: bool,
    /// To be returned if it reaches no consumer at once.
    pub immediate: bool,
    /// The payload of the header frame; its class is basic and its size is the body's. The properties were not looked into.
    pub header: &'a [u8],
    /// The content.
    pub body: &'a [u8],
}

/// The publish at the front of `buf`, and how many octets it takes there, if it lies there whole: a method frame, a header frame, and no or
/// exactly one body frame, all on one channel other than 0, with their frame ends and sizes right.
///
/// `None` says nothing but "not the fast way": more octets are needed, or it is another frame, or there are several body frames, or something
/// is malformed. The general way finds out which, and names errors.
#[inline]
#[must_use]
pub fn publish(buf: &[u8], frame_max: u32) -> Option<(Publish<'_>, usize)> {
    // Frame head, class 60, method 40, reserved.
    let (&[1, c0, c1, s0, s1, s2, s3, 0, 60, 0, 40, _, _], rest) = buf.split_first_chunk::<13>()? else {
        return None;
    };
    let limit = payload_max_accepted(frame_max);
    let method_size = u32::from_be_bytes([s0, s1, s2, s3]);
    let (fields, rest) = payload(rest, method_size.checked_sub(6)?)?;
    let (&exchange_size, strings) = fields.split_first()?;
    let (exchange, strings) = strings.split_at_checked(usize::from(exchange_size))?;
    let (&key_size, strings) = strings.split_first()?;
    let (routing_key, bits) = strings.split_at_checked(usize::from(key_size))?;
    let &[bits] = bits else {
        return None;
    };
    let (envelope, _) = fields.split_at_checked(2 + exchange.len() + routing_key.len())?;

    let (&[2, h0, h1, s0, s1, s2, s3], rest) = rest.split_first_chunk::<7>()? else {
        return None;
    };
    let header_size = u32::from_be_bytes([s0, s1, s2, s3]);
    let (header, rest) = payload(rest, header_size)?;
    let (&[0, 60, 0, 0, b0, b1, b2, b3, b4, b5, b6, b7], _) = header.split_first_chunk::<12>()? else {
        return None;
    };
    let body_size = u64::from_be_bytes([b0, b1, b2, b3, b4, b5, b6, b7]);

    let (body, rest) = if body_size == 0 {
        (&[][..], rest)
    } else {
        let (&[3, d0, d1, s0, s1, s2, s3], rest) = rest.split_first_chunk::<7>()? else {
            return None;
        };
        let size = u32::from_be_bytes([s0, s1, s2, s3]);
        if u64::from(size) != body_size || size > limit || [d0, d1] != [c0, c1] {
            return None;
        }
        payload(rest, size)?
    };
    if method_size > limit || header_size > limit || [h0, h1] != [c0, c1] || [c0, c1] == [0, 0] {
        return None;
    }
    let publish = Publish {
        channel: u16::from_be_bytes([c0, c1]),
        exchange: ShortStr::of_checked(exchange),
        routing_key: ShortStr::of_checked(routing_key),
        envelope,
        mandatory: bits & 1 != 0,
        immediate: bits & 2 != 0,
        header,
        body,
    };
    Some((publish, buf.len() - rest.len()))
}

/// The rest of a payload and what lies behind its frame end.
#[inline]
fn payload(buf: &[u8], size: u32) -> Option<(&[u8], &[u8])> {
    let (payload, rest) = buf.split_at_checked(size as usize)?;
    let (&end, rest) = rest.split_first()?;
    (end == frame::END).then_some((payload, rest))
}

/// Appends `basic.deliver` with its content: method frame, header frame, and body frames of at most `frame_max` octets (0: no limit).
///
/// `consumer_tag` comes without, `envelope` (exchange and routing key) with its length octets.
///
/// # Panics
/// If the consumer tag is longer than 255 octets.
#[inline]
#[allow(clippy::too_many_arguments)] // They lie in different places when a delivery is written; a struct would be built only to be taken apart.
pub fn write_deliver(
    out: &mut Vec<u8>,
    channel: u16,
    consumer_tag: &[u8],
    delivery_tag: u64,
    redelivered: bool,
    envelope: &[u8],
    header: &[u8],
    body: &[u8],
    frame_max: u32,
) {
    assert!(consumer_tag.len() <= ShortStr::SIZE_MAX, "a consumer tag is a short string");
    let size = 4 + 1 + consumer_tag.len() + 9 + envelope.len();
    reserve(out, size, header, body, frame_max);
    method_head(out, channel, size, basic::Deliver::ID);
    out.push(consumer_tag.len() as u8);
    out.extend_from_slice(consumer_tag);
    out.extend_from_slice(&tag_and_bit(delivery_tag, redelivered));
    out.extend_from_slice(envelope);
    out.push(frame::END);
    content(out, channel, header, body, frame_max);
}

/// Appends `basic.get-ok` with its content; see [`write_deliver`].
#[allow(clippy::too_many_arguments)] // As above.
pub fn write_get_ok(
    out: &mut Vec<u8>,
    channel: u16,
    delivery_tag: u64,
    redelivered: bool,
    envelope: &[u8],
    message_count: u32,
    header: &[u8],
    body: &[u8],
    frame_max: u32,
) {
    let size = 4 + 9 + envelope.len() + 4;
    reserve(out, size, header, body, frame_max);
    method_head(out, channel, size, basic::GetOk::ID);
    out.extend_from_slice(&tag_and_bit(delivery_tag, redelivered));
    out.extend_from_slice(envelope);
    out.extend_from_slice(&message_count.to_be_bytes());
    out.push(frame::END);
    content(out, channel, header, body, frame_max);
}

/// Appends `basic.return` with its content; see [`write_deliver`]. A text too long for a short string is cut.
#[allow(clippy::too_many_arguments)] // As above.
pub fn write_return(out: &mut Vec<u8>, channel: u16, code: u16, text: &str, envelope: &[u8], header: &[u8], body: &[u8], frame_max: u32) {
    let text = ShortStr::truncated(text);
    let size = 4 + 2 + 1 + text.len() + envelope.len();
    reserve(out, size, header, body, frame_max);
    method_head(out, channel, size, basic::Return::ID);
    out.extend_from_slice(&code.to_be_bytes());
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(envelope);
    out.push(frame::END);
    content(out, channel, header, body, frame_max);
}

/// Appends `basic.ack`.
#[inline]
pub fn write_ack(out: &mut Vec<u8>, channel: u16, delivery_tag: u64, multiple: bool) {
    settlement(out, channel, 80, delivery_tag, u8::from(multiple));
}

/// Appends `basic.nack`, without `requeue`: as the server tells a publisher.
#[inline]
pub fn write_nack(out: &mut Vec<u8>, channel: u16, delivery_tag: u64, multiple: bool) {
    settlement(out, channel, 120, delivery_tag, u8::from(multiple));
}

#[inline]
fn settlement(out: &mut Vec<u8>, channel: u16, method: u8, delivery_tag: u64, bits: u8) {
    let [c0, c1] = channel.to_be_bytes();
    let [t0, t1, t2, t3, t4, t5, t6, t7] = delivery_tag.to_be_bytes();
    out.extend_from_slice(&[
        1,
        c0,
        c1,
        0,
        0,
        0,
        13,
        0,
        60,
        0,
        method,
        t0,
        t1,
        t2,
        t3,
        t4,
        t5,
        t6,
        t7,
        bits,
        frame::END,
    ]);
}

#[inline]
fn tag_and_bit(tag: u64, bit: bool) -> [u8; 9] {
    let [t0, t1, t2, t3, t4, t5, t6, t7] = tag.to_be_bytes();
    [t0, t1, t2, t3, t4, t5, t6, t7, u8::from(bit)]
}

#[inline]
fn reserve(out: &mut Vec<u8>, method_size: usize, header: &[u8], body: &[u8], frame_max: u32) {
    let pieces = if body.is_empty() {
        0
    } else {
        1 + body.len() / payload_max(frame_max) as usize
    };
    out.reserve(method_size + header.len() + body.len() + (2 + pieces) * OVERHEAD);
}

#[inline]
fn method_head(out: &mut Vec<u8>, channel: u16, size: usize, (class, method): (u16, u16)) {
    let [c0, c1] = channel.to_be_bytes();
    let [s0, s1, s2, s3] = (size as u32).to_be_bytes();
    let ([k0, k1], [m0, m1]) = (class.to_be_bytes(), method.to_be_bytes());
    out.extend_from_slice(&[FrameKind::Method as u8, c0, c1, s0, s1, s2, s3, k0, k1, m0, m1]);
}

#[inline]
fn frame_head(kind: FrameKind, channel: u16, size: usize) -> [u8; 7] {
    let [c0, c1] = channel.to_be_bytes();
    let [s0, s1, s2, s3] = (size as u32).to_be_bytes();
    [kind as u8, c0, c1, s0, s1, s2, s3]
}

/// Appends the header frame and the body frames.
#[inline]
fn content(out: &mut Vec<u8>, channel: u16, header: &[u8], body: &[u8], frame_max: u32) {
    out.extend_from_slice(&frame_head(FrameKind::Header, channel, header.len()));
    out.extend_from_slice(header);
    out.push(frame::END);
    for piece in body.chunks(payload_max(frame_max) as usize) {
        out.extend_from_slice(&frame_head(FrameKind::Body, channel, piece.len()));
        out.extend_from_slice(piece);
        out.push(frame::END);
    }
}
