//! The AMQP 0-9-1 wire: frames, methods, tables, properties, reply codes. Bytes in, values out; no I/O.
//!
//! What is decoded borrows from the buffer that was read into; what is kept longer is copied by whoever keeps it. Whatever a peer sends ends in
//! a value or in a [`WireError`] that knows its [`ReplyCode`], never in a panic.
//!
//! | to | use |
//! |---|---|
//! | cut the read buffer into frames | [`frame::next_frame`] |
//! | read and write methods | [`Method`], [`method`] |
//! | read and write content headers and properties | [`content`] |
//! | change a header field of an encoded content header | [`content::edit`] |
//! | read and write argument tables | [`RawTable`], [`Table`], [`Value`] |
//! | walk a table without building it | [`RawTable::iter`], [`RawValue`] |
//! | do so millions of times a second for messages | [`fast`] |

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod content;
mod equality;
mod error;
pub mod fast;
pub mod frame;
pub mod method;
mod raw;
mod reply;
mod short;
mod table;
#[cfg(test)]
mod testing;
mod value;
mod wire;

pub use error::{Fault, TableFault, WireError};
pub use method::{Method, access, basic, channel, confirm, connection, exchange, queue, tx};
pub use raw::{RawArray, RawElements, RawFields, RawValue};
pub use reply::ReplyCode;
pub use short::{ShortStr, ShortString, TooLong};
pub use table::{EncodedTable, RawTable, Table};
pub use value::Value;
