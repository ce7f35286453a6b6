//! Contents (AMQP 0-9-1, section 4.2.6): the header frame's payload, and the properties of class basic in it.

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
                    n => Err(malformed("the last", Fault::Trailing(n))),
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
