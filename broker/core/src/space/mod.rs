//! The shared data space: tuples and templates, and the search for the one by the other, both ways. Pure: no I/O, no clock, no randomness. It
//! keeps no message and decides nothing about delivery; a shard does.
//!
//! | to | use |
//! |---|---|
//! | read the tuple of a message when it is published, or one that is looked at | [`Tuple::of_message`] |
//! | read a template from an argument (`x-template`, `x-filter`) or from HTTP | [`Template::from_amqp`], [`Template::from_json`] |
//! | compare the two | [`Template::matches`]; [`Template::matches_headers`] for the headers of any message |
//!
//! Errors are [`Malformed`]: on AMQP a channel error 406 whose text it is, in HTTP 400.

mod body;
mod error;
pub mod limits;
mod number;
mod owned;
mod template;
mod tuple;
mod value;

pub use body::Format;
pub use error::{Malformed, Subject};
pub use number::Decimal;
pub use owned::Owned;
pub use template::Template;
pub use tuple::{Tuple, X_TUPLE};
pub use value::{Array, Fields, Kind, Value};
