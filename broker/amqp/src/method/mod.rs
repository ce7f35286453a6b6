//! Methods: every one of AMQP 0-9-1 and of RabbitMQ's extensions. What they mean is not said here.
//!
//! `table.rs` lists them; the macro in `macros.rs` turns a line of it such as
//!
//! ```text
//! 10 "queue.declare" QueueDeclare(Declare<'a>) {
//!     [u16] queue: ShortStr<'a> = "...", passive: bool = "...",
//! }
//! ```
//!
//! into the struct `queue::Declare` and the variant `Method::QueueDeclare`. Fields in brackets are reserved: they are on the wire (written as
//! zeros, ignored when read) and not in the struct. Consecutive `bool`s share octets, as the specification has it. Short strings must be UTF-8,
//! as RabbitMQ wants them, but `ShortStr<'a> as Octets` may be anything.

mod macros;
mod table;
#[cfg(test)]
mod tests;

pub use table::{Method, access, basic, channel, confirm, connection, exchange, name_of, queue, tx};

#[cfg(test)]
pub(crate) use table::layout_of;

use crate::WireError;
use crate::frame::{FrameKind, framed};
use crate::wire::{Reader, Writer};

impl<'a> Method<'a> {
    /// Reads the payload of a method frame.
    ///
    /// # Errors
    /// If it is cut short, names no known method, or holds a malformed field or more octets than the method has.
    #[inline]
    pub fn decode(payload: &'a [u8]) -> Result<Self, WireError> {
        let Some((&[c0, c1, m0, m1], fields)) = payload.split_first_chunk::<4>() else {
            return Err(WireError::PayloadTooShort {
                what: "method",
                size: payload.len(),
            });
        };
        Self::read(u16::from_be_bytes([c0, c1]), u16::from_be_bytes([m0, m1]), &mut Reader::new(fields))
    }

    /// Appends the payload of a method frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (class, method) = self.id();
        let mut writer = Writer::new(out);
        writer.put(&class.to_be_bytes());
        writer.put(&method.to_be_bytes());
        self.write(&mut writer);
    }

    /// Appends a whole method frame.
    pub fn write_frame(&self, channel: u16, out: &mut Vec<u8>) {
        framed(FrameKind::Method, channel, out, |out| self.encode(out));
    }

    /// Whether a content header and body follow it.
    #[must_use]
    pub fn has_content(&self) -> bool {
        matches!(
            self,
            Self::BasicPublish(_) | Self::BasicReturn(_) | Self::BasicDeliver(_) | Self::BasicGetOk(_)
        )
    }
}
