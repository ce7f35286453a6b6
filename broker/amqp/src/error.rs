//! What can be wrong with octets from a peer, and which reply code answers it.
//!
//! The codes are RabbitMQ's where it has an answer. Where it lets its reader crash (malformed tables and properties, unknown methods), they are
//! the specification's: 502, 540, 503.

use crate::method;
use crate::{ReplyCode, Table};

/// What is wrong with one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The octets end inside of it.
    #[error("{wanted} octets were expected, {left} are left")]
    CutShort {
        /// How many octets it needs.
        wanted: usize,
        /// How many there are.
        left: usize,
    },
    /// A name that is not text.
    #[error("a name that is not UTF-8")]
    NotUtf8,
    /// Octets follow the last field.
    #[error("{0} octets too many")]
    Trailing(usize),
    /// A table that is there as a whole is malformed inside.
    #[error("table: {0}")]
    Table(#[from] TableFault),
}

/// What is wrong inside of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableFault {
    /// The table ends inside of a field.
    #[error("{wanted} octets were expected, {left} are left")]
    CutShort {
        /// How many octets the field needs.
        wanted: usize,
        /// How many there are.
        left: usize,
    },
    /// A field is of a type that RabbitMQ's errata do not list.
    #[error("unknown field type {0:#04x}")]
    FieldType(u8),
    /// Tables and arrays are nested deeper than [`Table::DEPTH_MAX`].
    #[error("nested deeper than {max}", max = Table::DEPTH_MAX)]
    TooDeep,
}

/// What a peer sent is not AMQP 0-9-1. All of these are its mistakes, and close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A frame begins with an octet that is no frame type.
    #[error("unknown frame type {0}")]
    FrameType(u8),
    /// A frame is larger than was negotiated, and than RabbitMQ tolerates.
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
    HeartbeatPayload(u32),
    /// A method or content header frame too short to say what it is.
    #[error("a payload of {size} octets is no {what}")]
    PayloadTooShort {
        /// What the payload should be.
        what: &'static str,
        /// How long it is.
        size: usize,
    },
    /// There is no such class.
    #[error("unknown class {class}, method {method}")]
    UnknownClass {
        /// The class that was named.
        class: u16,
        /// The method that was named.
        method: u16,
    },
    /// The class has no such method.
    #[error("unknown method {method} of class {class}")]
    UnknownMethod {
        /// The class.
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
        /// The field's name.
        field: &'static str,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A content header with a weight, which AMQP 0-9-1 sets to 0.
    #[error("content header with a weight of {0}, expected 0")]
    Weight(u16),
    /// A content header announces more property flags than class basic has.
    #[error("content header with unknown property flags {0:#06x}")]
    PropertyFlags(u16),
    /// A property in a content header cannot be decoded.
    #[error("content header, property {property}: {fault}")]
    Property {
        /// The property's name in the specification.
        property: &'static str,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A table that stands alone cannot be decoded.
    #[error("table: {0}")]
    Table(#[from] TableFault),
}

impl WireError {
    /// The reply code to close the connection with.
    #[must_use]
    pub fn code(&self) -> ReplyCode {
        match self {
            Self::FrameType(_)
            | Self::FrameTooLarge { .. }
            | Self::FrameEnd(_)
            | Self::HeartbeatPayload(_)
            | Self::PayloadTooShort { .. } => ReplyCode::FrameError,
            Self::Field {
                fault: Fault::Table(_), ..
            } => ReplyCode::SyntaxError,
            Self::Field { .. } => ReplyCode::FrameError,
            Self::Property { .. } | Self::PropertyFlags(_) | Self::Table(_) => ReplyCode::SyntaxError,
            Self::UnknownClass { .. } => ReplyCode::CommandInvalid,
            Self::UnknownMethod { .. } => ReplyCode::NotImplemented,
            Self::Weight(_) => ReplyCode::UnexpectedFrame,
        }
    }

    /// The class and method to name in `connection.close`; zeros if no method is to blame. For a content header it is `basic.publish`: no other
    /// method brings one to a server.
    #[must_use]
    pub fn class_method(&self) -> (u16, u16) {
        match *self {
            Self::UnknownClass { class, method } | Self::UnknownMethod { class, method } | Self::Field { class, method, .. } => {
                (class, method)
            }
            Self::Weight(_) | Self::PropertyFlags(_) | Self::Property { .. } => method::basic::Publish::ID,
            Self::FrameType(_)
            | Self::FrameTooLarge { .. }
            | Self::FrameEnd(_)
            | Self::HeartbeatPayload(_)
            | Self::PayloadTooShort { .. }
            | Self::Table(_) => (0, 0),
        }
    }
}
