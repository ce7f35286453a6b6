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

impl<'a> Publish<'a> {
    /// Property flags and list, as [`crate::content`] takes them.
    #[inline]
    #[must_use]
    pub fn properties(&self) -> &'a [u8] {
        self.header.get(12..).unwrap_or_default()
    }
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
    let piece_max = payload_max(frame_max) as usize;
    // Dividing costs more than all the rest of this.
    let pieces = if body.len() <= piece_max {
        1
    } else {
        body.len().div_ceil(piece_max)
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

/// The end of a frame and the head of the next one, written at once.
#[inline]
fn end_and_head(kind: FrameKind, channel: u16, size: usize) -> [u8; OVERHEAD] {
    let [c0, c1] = channel.to_be_bytes();
    let [s0, s1, s2, s3] = (size as u32).to_be_bytes();
    [frame::END, kind as u8, c0, c1, s0, s1, s2, s3]
}

/// Ends the method frame, and appends the header frame and the body frames.
#[inline]
fn content(out: &mut Vec<u8>, channel: u16, header: &[u8], body: &[u8], frame_max: u32) {
    out.extend_from_slice(&end_and_head(FrameKind::Header, channel, header.len()));
    out.extend_from_slice(header);
    for piece in body.chunks(payload_max(frame_max) as usize) {
        out.extend_from_slice(&end_and_head(FrameKind::Body, channel, piece.len()));
        out.extend_from_slice(piece);
    }
    out.push(frame::END);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::next_frame;
    use crate::{Method, content, testing};
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// All frames of a buffer, payloads of body frames joined.
    fn frames(mut rest: &[u8], frame_max: u32) -> (Vec<frame::Frame<'_>>, Vec<u8>) {
        let (mut frames, mut body) = (Vec::new(), Vec::new());
        while let Some((frame, used)) = next_frame(rest, 0).expect("frames") {
            assert!(frame_max == 0 || used <= frame_max as usize || frame.kind != FrameKind::Body);
            match frame.kind {
                FrameKind::Body => body.extend_from_slice(frame.payload),
                _ => frames.push(frame),
            }
            rest = &rest[used..];
        }
        assert!(rest.is_empty());
        (frames, body)
    }

    /// What the general way makes of the frames at the front, if they are a whole publish in two or three of them.
    fn generally(buf: &[u8], frame_max: u32) -> Option<(Publish<'_>, usize)> {
        let (first, a) = next_frame(buf, frame_max).ok()??;
        let (second, b) = next_frame(&buf[a..], frame_max).ok()??;
        if first.kind != FrameKind::Method || second.kind != FrameKind::Header || second.channel != first.channel || first.channel == 0 {
            return None;
        }
        let Ok(Method::BasicPublish(method)) = Method::decode(first.payload) else {
            return None;
        };
        let header = content::ContentHeader::decode(second.payload).ok()?;
        if header.class != content::CLASS_BASIC {
            return None;
        }
        let (body, c) = if header.body_size == 0 {
            (&[][..], 0)
        } else {
            let (third, c) = next_frame(&buf[a + b..], frame_max).ok()??;
            let whole = third.kind == FrameKind::Body && third.channel == first.channel && third.payload.len() as u64 == header.body_size;
            (whole.then_some(third.payload)?, c)
        };
        let publish = Publish {
            channel: first.channel,
            exchange: method.exchange,
            routing_key: method.routing_key,
            envelope: &first.payload[6..first.payload.len() - 1],
            mandatory: method.mandatory,
            immediate: method.immediate,
            header: second.payload,
            body,
        };
        Some((publish, a + b + c))
    }

    #[test]
    fn what_is_not_whole_or_not_right_is_left_to_the_general_way() {
        let method = b"\0\x3c\0\x28\0\0\x02ex\x03key\x01";
        let header = b"\0\x3c\0\0\0\0\0\0\0\0\0\x04\x10\0\x02";
        let good = |channel| {
            [
                testing::frame(1, channel, method),
                testing::frame(2, channel, header),
                testing::frame(3, channel, b"body"),
            ]
        };
        assert!(publish(&good(1).concat(), 4096).is_some());
        let wrong: [(&str, Vec<u8>); 9] = [
            ("nothing", Vec::new()),
            ("channel 0", good(0).concat()),
            ("header of another channel", [&good(1)[0][..], &good(2)[1], &good(1)[2]].concat()),
            ("body of another channel", [&good(1)[0][..], &good(1)[1], &good(2)[2]].concat()),
            (
                "body in two frames",
                [
                    &good(1)[..2].concat()[..],
                    &testing::frame(3, 1, b"bo"),
                    &testing::frame(3, 1, b"dy"),
                ]
                .concat(),
            ),
            (
                "body too long",
                [&good(1)[..2].concat()[..], &testing::frame(3, 1, b"bodyx")].concat(),
            ),
            (
                "heartbeat between",
                [&good(1)[0][..], &testing::frame(8, 0, b""), &good(1)[1], &good(1)[2]].concat(),
            ),
            (
                "another method",
                [
                    &testing::frame(1, 1, b"\0\x3c\0\x50\0\0\0\0\0\0\0\x01\0")[..],
                    &good(1)[1],
                    &good(1)[2],
                ]
                .concat(),
            ),
            (
                "octets after the bits",
                [&testing::frame(1, 1, &[&method[..], b"\0"].concat())[..], &good(1)[1], &good(1)[2]].concat(),
            ),
        ];
        for (what, octets) in wrong {
            assert_eq!(publish(&octets, 4096), None, "{what}");
        }
        let large = [
            good(1)[0].clone(),
            testing::frame(2, 1, b"\0\x3c\0\0\0\0\0\0\0\0\x10\x01\0\0"),
            testing::frame(3, 1, &[0; 4097]),
        ]
        .concat();
        assert_eq!(publish(&large, 4096), None, "a frame beyond the limit");
        assert!(publish(&large, 4097).is_some() && publish(&large, 0).is_some());
    }

    proptest! {
        #[test]
        fn a_publish_is_read_as_the_general_way_reads_it(
            (octets, [_, header, body]) in testing::publish(7),
            more in vec(any::<u8>(), 0..12),
            mutations in vec((any::<proptest::sample::Index>(), any::<u8>()), 0..3),
        ) {
            let whole = octets.len();
            for end in 0..whole {
                prop_assert_eq!(publish(&octets[..end], 0), None);
            }
            let mut octets = [octets, more].concat();
            let (read, used) = publish(&octets, 4096).expect("a publish");
            prop_assert_eq!((read.header, read.body, used), (&header[..], &body[..], whole));
            prop_assert_eq!(read.properties(), &header[12..]);
            prop_assert_eq!(publish(&octets, 4096), generally(&octets, 4096));
            for (at, octet) in mutations {
                let at = at.index(whole);
                octets[at] = octet;
                prop_assert_eq!(publish(&octets, 4096), generally(&octets, 4096));
            }
        }

        #[test]
        fn contents_are_written_as_the_general_way_reads_them(
            channel: u16, tag in testing::octets(), delivery_tag: u64, bit: bool, exchange in testing::octets(), key in testing::octets(),
            text in ".{0,300}", number: u32, header in vec(any::<u8>(), 0..40), body in vec(any::<u8>(), 0..300), frame_max in prop_oneof![Just(0u32), 9..400u32],
        ) {
            let envelope = [&[exchange.len() as u8][..], &exchange, &[key.len() as u8], &key].concat();
            let [tag, exchange, routing_key] = [&tag, &exchange, &key].map(|octets| ShortStr::new(octets).expect("short"));
            let expected = [
                Method::from(basic::Deliver { consumer_tag: tag, delivery_tag, redelivered: bit, exchange, routing_key }),
                basic::GetOk { delivery_tag, redelivered: bit, exchange, routing_key, message_count: number }.into(),
                basic::Return { reply_code: number as u16, reply_text: ShortStr::truncated(&text), exchange, routing_key }.into(),
            ];
            let mut written = [Vec::new(), Vec::new(), Vec::new()];
            write_deliver(&mut written[0], channel, tag.as_bytes(), delivery_tag, bit, &envelope, &header, &body, frame_max);
            write_get_ok(&mut written[1], channel, delivery_tag, bit, &envelope, number, &header, &body, frame_max);
            write_return(&mut written[2], channel, number as u16, &text, &envelope, &header, &body, frame_max);
            for (method, octets) in expected.into_iter().zip(&written) {
                let (frames, joined) = frames(octets, frame_max);
                prop_assert_eq!(frames.len(), 2);
                prop_assert_eq!(Method::decode(frames[0].payload), Ok(method));
                prop_assert_eq!((frames[1].kind, frames[1].payload), (FrameKind::Header, &header[..]));
                prop_assert!(frames.iter().all(|frame| frame.channel == channel));
                prop_assert_eq!(&joined, &body);
            }
        }

        #[test]
        fn settlements_are_written_as_the_general_way_writes_them(channel: u16, delivery_tag: u64, multiple: bool) {
            let (mut fast, mut general) = (Vec::new(), Vec::new());
            write_ack(&mut fast, channel, delivery_tag, multiple);
            write_nack(&mut fast, channel, delivery_tag, multiple);
            Method::from(basic::Ack { delivery_tag, multiple }).write_frame(channel, &mut general);
            Method::from(basic::Nack { delivery_tag, multiple, requeue: false }).write_frame(channel, &mut general);
            prop_assert_eq!(fast, general);
        }
    }
}
