//! What can be wrong with octets from a peer, and which reply code answers it.

use crate::ReplyCode;
use crate::method;

/// What is wrong with one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The octets end inside of it.
    #[error("{wanted} octets were expected, {left} are left")]
    CutShort {
        /// How many octets the field needs.
        wanted: usize,
        /// How many there are.
        left: usize,
    },
    /// A table holds a value of a type that RabbitMQ's errata do not list.
    #[error("unknown type {0:#04x} of a table field")]
    FieldType(u8),
    /// Tables and arrays are nested deeper than [`crate::Table::DEPTH_MAX`].
    #[error("tables and arrays nested deeper than {max}", max = crate::Table::DEPTH_MAX)]
    TooDeep,
    /// A short string that RabbitMQ takes only as text.
    #[error("a short string that is not UTF-8")]
    NotUtf8,
    /// Octets follow the last field.
    #[error("{0} octets too many")]
    Trailing(usize),
}

/// What a peer sent is not AMQP 0-9-1. All of these are its mistakes, and close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A frame begins with an octet that is no frame type.
    #[error("unknown frame type {0}")]
    FrameType(u8),
    /// A frame is larger than was negotiated.
    #[error("a frame of {size} octets, where {frame_max} is the limit")]
    FrameTooLarge {
        /// The whole frame, with its 8 octets of overhead.
        size: u64,
        /// The limit, likewise.
        frame_max: u32,
    },
    /// The octet after the payload is not the frame end 206.
    #[error("a frame ends with octet {0}, expected 206")]
    FrameEnd(u8),
    /// A heartbeat that carries something.
    #[error("a heartbeat with a payload of {0} octets")]
    HeartbeatPayload(usize),
    /// A method or content header frame too short to say what it is.
    #[error("a frame whose payload of {size} octets cannot hold a {what}")]
    PayloadTooShort {
        /// What the payload should be.
        what: &'static str,
        /// How long it is.
        size: usize,
    },
    /// No such class, or no such method of it.
    #[error("unknown method {{{class},{method}}}")]
    UnknownMethod {
        /// The class that was named.
        class: u16,
        /// The method that was named.
        method: u16,
    },
    /// A field of a method cannot be decoded.
    #[error("{}, field {field}: {fault}", method::name_of(*class, *method).unwrap_or("unknown method"))]
    Field {
        /// The method's class.
        class: u16,
        /// The method.
        method: u16,
        /// The field's name in the specification.
        field: &'static str,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A property in a content header cannot be decoded.
    #[error("content header, property {property}: {fault}")]
    Property {
        /// The property's name in the specification.
        property: &'static str,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A content header names properties that the class does not have.
    #[error("content header with unknown property flags {0:#06x}")]
    PropertyFlags(u16),
    /// A content header with a weight, which AMQP 0-9-1 sets to 0.
    #[error("content header with a weight of {0}, expected 0")]
    Weight(u16),
    /// A table that stands alone cannot be decoded.
    #[error("table: {0}")]
    Table(Fault),
}

impl WireError {
    /// The reply code to close the connection with, which is RabbitMQ's.
    #[must_use]
    pub fn code(&self) -> ReplyCode {
        match self {
            Self::FrameType(_)
            | Self::FrameTooLarge { .. }
            | Self::FrameEnd(_)
            | Self::HeartbeatPayload(_)
            | Self::PayloadTooShort { .. } => ReplyCode::FrameError,
            Self::UnknownMethod { .. } => ReplyCode::CommandInvalid,
            Self::Weight(_) => ReplyCode::UnexpectedFrame,
            Self::Field { .. } | Self::Property { .. } | Self::PropertyFlags(_) | Self::Table(_) => ReplyCode::SyntaxError,
        }
    }

    /// The class and method to name in `connection.close`; zeros if no method is to blame.
    #[must_use]
    pub fn class_method(&self) -> (u16, u16) {
        match *self {
            Self::UnknownMethod { class, method } | Self::Field { class, method, .. } => (class, method),
            _ => (0, 0),
        }
    }
}
