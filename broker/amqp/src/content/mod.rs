//! Contents (AMQP 0-9-1, section 4.2.6): the header frame's payload, and the properties of class basic in it.

mod edit;

pub use edit::{CHANGES_MAX, Change, edit};

use crate::wire::{Domain, Reader, Writer, read_as};
use crate::{Fault, RawTable, ShortStr, WireError};

/// The class whose contents are messages.
pub const CLASS_BASIC: u16 = 60;

/// The payload of a content header frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentHeader<'a> {
    /// The class of the method that it follows.
    pub class: u16,
    /// How many octets the body frames carry together.
    pub body_size: u64,
    /// Property flags and list, not looked into.
    pub properties: &'a [u8],
}

impl<'a> ContentHeader<'a> {
    /// Reads the payload of a header frame. The properties are not looked into.
    ///
    /// # Errors
    /// 501 if it is cut short, 505 if its weight is not 0.
    #[inline]
    pub fn decode(payload: &'a [u8]) -> Result<Self, WireError> {
        let Some((&[c0, c1, w0, w1, ref size @ ..], properties)) = payload.split_first_chunk::<12>() else {
            return Err(WireError::PayloadTooShort {
                what: "content header",
                size: payload.len(),
            });
        };
        let weight = u16::from_be_bytes([w0, w1]);
        if weight != 0 {
            return Err(WireError::Weight(weight));
        }
        Ok(Self {
            class: u16::from_be_bytes([c0, c1]),
            body_size: u64::from_be_bytes(*size),
            properties,
        })
    }

    /// Appends the payload of a header frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.class.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&self.body_size.to_be_bytes());
        out.extend_from_slice(self.properties);
    }
}

macro_rules! properties {
    ($($(#[$doc:meta])* $bit:literal $name:literal $field:ident: $ty:ty $(as $domain:ident)?,)*) => {
        /// The properties of a message (class basic).
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Properties<'a> {
            $($(#[$doc])* pub $field: Option<$ty>,)*
        }

        impl<'a> Properties<'a> {
            /// Reads property flags and list.
            ///
            /// # Errors
            /// 502 if a property is malformed, unknown or followed by more octets.
            pub fn decode(properties: &'a [u8]) -> Result<Self, WireError> {
                let reader = &mut Reader::new(properties);
                let flags = flags(reader)?;
                let properties = Self {
                    $($field: if flags & 1 << $bit == 0 {
                        None
                    } else {
                        Some(read_as!(reader, $ty $(, $domain)?).map_err(|fault| malformed($name, fault))?)
                    },)*
                };
                match reader.rest().len() {
                    0 => Ok(properties),
                    n => Err(malformed("(end)", Fault::Trailing(n))),
                }
            }

            /// Appends property flags and list.
            pub fn encode(&self, out: &mut Vec<u8>) {
                let flags: u16 = 0 $(| u16::from(self.$field.is_some()) << $bit)*;
                out.extend_from_slice(&flags.to_be_bytes());
                let mut writer = Writer::new(out);
                $(if let Some(value) = &self.$field {
                    value.write(&mut writer);
                })*
            }
        }
    };
}

properties! {
    /// MIME type of the body.
    15 "content-type" content_type: ShortStr<'a> as Octets,
    /// MIME encoding of the body.
    14 "content-encoding" content_encoding: ShortStr<'a> as Octets,
    /// What applications and headers exchanges make of it.
    13 "headers" headers: RawTable<'a>,
    /// 1 transient, 2 persistent.
    12 "delivery-mode" delivery_mode: u8,
    /// 0 to 9 by the specification, 0 to 255 in RabbitMQ.
    11 "priority" priority: u8,
    /// To which request this is the response.
    10 "correlation-id" correlation_id: ShortStr<'a> as Octets,
    /// Where the response is to go.
    9 "reply-to" reply_to: ShortStr<'a> as Octets,
    /// Time to live in ms, as decimal digits (RabbitMQ).
    8 "expiration" expiration: ShortStr<'a> as Octets,
    /// The application's name for the message.
    7 "message-id" message_id: ShortStr<'a> as Octets,
    /// Seconds since 1970 UTC.
    6 "timestamp" timestamp: u64,
    /// The property `type`: the application's kind of message.
    5 "type" kind: ShortStr<'a> as Octets,
    /// Who published it; verified by the broker.
    4 "user-id" user_id: ShortStr<'a> as Octets,
    /// Which application published it.
    3 "app-id" app_id: ShortStr<'a> as Octets,
    /// Deprecated, carried along.
    2 "cluster-id" cluster_id: ShortStr<'a> as Octets,
}

#[cold]
fn malformed(property: &'static str, fault: Fault) -> WireError {
    WireError::Property { property, fault }
}

/// Reads the flags. Bit 0 would announce more of them, for properties that class basic does not have; bit 1 means nothing.
fn flags(reader: &mut Reader<'_>) -> Result<u16, WireError> {
    let flags = reader.u16().map_err(|fault| malformed("flags", fault.into()))?;
    if flags & 1 != 0 {
        return Err(WireError::PropertyFlags(flags));
    }
    Ok(flags)
}

/// The two properties that queues need of every message. Skips what lies before them without building it, and looks no further.
///
/// # Errors
/// As [`Properties::decode`], for what lies before.
#[inline]
pub fn delivery_mode_and_priority(properties: &[u8]) -> Result<(Option<u8>, Option<u8>), WireError> {
    const DELIVERY_MODE: u16 = 1 << 12;
    const PRIORITY: u16 = 1 << 11;
    let mut reader = Reader::new(properties);
    let flags = flags(&mut reader)?;
    if flags & (DELIVERY_MODE | PRIORITY) == 0 {
        return Ok((None, None));
    }
    for (flag, name) in [(1 << 15, "content-type"), (1 << 14, "content-encoding")] {
        if flags & flag != 0 {
            reader.short().map_err(|fault| malformed(name, fault.into()))?;
        }
    }
    if flags & 1 << 13 != 0 {
        reader.long().map_err(|fault| malformed("headers", fault.into()))?;
    }
    let mut octet = |flag, name| {
        if flags & flag == 0 {
            return Ok(None);
        }
        reader.u8().map(Some).map_err(|fault| malformed(name, fault.into()))
    };
    Ok((octet(DELIVERY_MODE, "delivery-mode")?, octet(PRIORITY, "priority")?))
}

/// Whether the whole list is well-formed.
///
/// # Errors
/// As [`Properties::decode`].
pub fn validate(properties: &[u8]) -> Result<(), WireError> {
    Properties::decode(properties).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use crate::{ReplyCode, Table};
    use amq_protocol::frame::parsing::parse_content_header;
    use amq_protocol::frame::{AMQPContentHeader, AMQPFrame, WriteContext, gen_frame};
    use proptest::prelude::*;

    fn encoded(properties: &Properties<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        properties.encode(&mut out);
        out
    }

    fn their_payload(header: AMQPContentHeader) -> Vec<u8> {
        let frame = AMQPFrame::Header(1, header);
        let (frame, _) = gen_frame::<Vec<u8>>(&frame)(WriteContext::from(Vec::new()))
            .expect("frame")
            .into_inner();
        frame[7..frame.len() - 1].to_vec()
    }

    #[test]
    fn properties_have_their_places() {
        let headers: Table = [("a", 1)].into_iter().collect();
        let headers = headers.encoded();
        let ours = Properties {
            content_type: Some(ShortStr::literal("ct")),
            content_encoding: Some(ShortStr::literal("ce")),
            headers: Some(headers.raw()),
            delivery_mode: Some(2),
            priority: Some(9),
            correlation_id: Some(ShortStr::literal("ci")),
            reply_to: Some(ShortStr::literal("rt")),
            expiration: Some(ShortStr::literal("ex")),
            message_id: Some(ShortStr::literal("mi")),
            timestamp: Some(1 << 33),
            kind: Some(ShortStr::literal("ty")),
            user_id: Some(ShortStr::literal("ui")),
            app_id: Some(ShortStr::literal("ai")),
            cluster_id: Some(ShortStr::literal("cl")),
        };
        let mut their_headers = amq_protocol::types::FieldTable::default();
        their_headers.insert("a".into(), amq_protocol::types::AMQPValue::LongInt(1));
        let theirs = amq_protocol::protocol::BasicProperties::default()
            .with_content_type("ct".into())
            .with_content_encoding("ce".into())
            .with_headers(their_headers)
            .with_delivery_mode(2)
            .with_priority(9)
            .with_correlation_id("ci".into())
            .with_reply_to("rt".into())
            .with_expiration("ex".into())
            .with_message_id("mi".into())
            .with_timestamp(1 << 33)
            .with_type("ty".into())
            .with_user_id("ui".into())
            .with_app_id("ai".into())
            .with_cluster_id("cl".into());
        let payload = their_payload(AMQPContentHeader {
            class_id: CLASS_BASIC,
            body_size: 77,
            properties: theirs,
        });
        let header = ContentHeader::decode(&payload).expect("a header");
        assert_eq!((header.class, header.body_size), (CLASS_BASIC, 77));
        assert_eq!(Properties::decode(header.properties), Ok(ours));
        assert_eq!(encoded(&ours), header.properties);
    }

    #[test]
    fn what_is_malformed_is_an_error() {
        use ReplyCode::{FrameError, SyntaxError, UnexpectedFrame};
        let cases: &[(&[u8], ReplyCode, &str)] = &[
            (
                b"\0\x3c\0\0\0\0\0\0\0\0\0",
                FrameError,
                "a payload of 11 octets is no content header",
            ),
            (
                b"\0\x3c\0\x01\0\0\0\0\0\0\0\0\0\0",
                UnexpectedFrame,
                "content header with a weight of 1, expected 0",
            ),
            (
                b"\0\x3c\0\0\0\0\0\0\0\0\0\0\0",
                SyntaxError,
                "content header, property flags: 2 octets were expected, 1 are left",
            ),
            (
                b"\0\x3c\0\0\0\0\0\0\0\0\0\0\0\x01",
                SyntaxError,
                "content header with unknown property flags 0x0001",
            ),
            (
                b"\0\x3c\0\0\0\0\0\0\0\0\0\0\x10\0",
                SyntaxError,
                "content header, property delivery-mode: 1 octets were expected, 0 are left",
            ),
            (
                b"\0\x3c\0\0\0\0\0\0\0\0\0\0\x20\0\0\0\0\x02\x01a",
                SyntaxError,
                "content header, property headers: table: 1 octets were expected, 0 are left",
            ),
            (
                b"\0\x3c\0\0\0\0\0\0\0\0\0\0\0\0\0",
                SyntaxError,
                "content header, property (end): 1 octets too many",
            ),
        ];
        for &(payload, code, text) in cases {
            let error = ContentHeader::decode(payload)
                .and_then(|header| validate(header.properties))
                .expect_err("malformed");
            assert_eq!((error.code(), error.to_string().as_str()), (code, text));
        }
    }

    proptest! {
        #[test]
        fn headers_read_and_write_what_was_laid_out(payload in testing::header(12)) {
            let header = ContentHeader::decode(&payload).expect("a header");
            let mut again = Vec::new();
            header.encode(&mut again);
            prop_assert_eq!(&again, &payload);
            let properties = Properties::decode(header.properties).expect("properties");
            prop_assert_eq!(encoded(&properties), header.properties);
            prop_assert_eq!(delivery_mode_and_priority(header.properties), Ok((properties.delivery_mode, properties.priority)));
            if let Ok((rest, theirs)) = parse_content_header(&payload[..]) {
                prop_assert!(rest.is_empty());
                prop_assert_eq!(their_payload(theirs), payload);
            } else {
                prop_assert!(std::str::from_utf8(&payload).is_err());
            }
        }

        #[test]
        fn any_octets_are_properties_or_an_error(octets in proptest::collection::vec(any::<u8>(), 0..120)) {
            let whole = Properties::decode(&octets);
            let two = delivery_mode_and_priority(&octets);
            if let Ok(properties) = whole {
                prop_assert_eq!(two, Ok((properties.delivery_mode, properties.priority)));
            }
        }

        #[test]
        fn every_cut_is_an_error(properties in testing::properties()) {
            for end in 0..properties.len() {
                prop_assert!(validate(&properties[..end]).is_err());
            }
        }
    }
}
