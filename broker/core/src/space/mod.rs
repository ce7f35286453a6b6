//! The shared data space: tuples and templates, and the search for the one by the other, both ways. Pure: no I/O, no clock, no randomness. It
//! keeps no message and decides nothing about delivery; a shard does.
//!
//! | to | use |
//! |---|---|
//! | read the tuple of a message when it is published, or one that is looked at | [`Tuple::of_message`] |
//! | read a template from an argument (`x-template`, `x-filter`) or from HTTP | [`Template::from_amqp`], [`Template::from_json`] |
//! | compare the two | [`Template::matches`]; [`Template::matches_headers`] for the headers of any message |
//! | find stored tuples by a template | [`TupleIndex`], [`Search`] |
//! | find those who wait for a tuple like one that arrives | [`Waiters`] |
//!
//! ## How a shard is meant to use it
//!
//! A space has one [`TupleIndex`] and one [`Waiters`]. A tuple is known by its message's [`Sequence`](crate::ids::Sequence).
//!
//! - **out**: [`Tuple::of_message`]; an error refuses the publish. [`Digest::read`] into a digest that is kept. [`Waiters::arrived`]: the readers get
//!   copies; if there is a taker it gets the tuple, and [`TupleIndex::insert`] is followed by [`TupleIndex::hold`] until the taker settles it.
//! - **in, rd, and their forms that do not wait**: a [`Search`]; each [`Step::Candidate`] is compared with the template ([`Template::matches`]), be the message in
//!   memory or on disk. A tuple that is taken is [held](TupleIndex::hold). After [`Step::End`] the template is [added](Waiters::add) to those who wait.
//!   Whoever reads from disk in between adds it *before* the search, so that nothing arrives or comes back unseen, and removes it when the search finds something.
//! - **ack** of a take, expiry, deletion: [`TupleIndex::remove`]. **nack, or the holder is gone**: [`TupleIndex::give_back`], then [`Waiters::arrived`] as for a new one.
//! - **count, rd-all, take-many**: a search to its end. `x-wait-held`: [`TupleIndex::next_held`].
//! - **restart**: what [`TupleIndex::entry`] made of each tuple is written beside its chunk ([`Entry::octets`]) and read back by [`Entry::first_of`] into
//!   [`TupleIndex::insert`], after the indexes were [declared](TupleIndex::declare); the tuples themselves are not read.
//!
//! Errors are [`Malformed`]: on AMQP a channel error 406 whose text it is, in HTTP 400.

mod body;
mod declaration;
mod digest;
mod error;
mod hash;
mod index;
mod key;
pub mod limits;
mod number;
mod owned;
mod template;
#[cfg(test)]
mod testing;
mod tuple;
mod value;
mod waiters;

pub use body::Format;
pub use declaration::{Declaration, Field, key_fields};
pub use digest::Digest;
pub use error::{Malformed, Subject};
pub use index::{ENTRY_OCTETS_MAX, Entry, EntryBuf, IndexFull, IndexLimits, LEAVES_MAX, Search, Step, TupleIndex};
pub use number::Decimal;
pub use owned::Owned;
pub use template::Template;
pub use tuple::{Tuple, X_TUPLE};
pub use value::{Array, Fields, Kind, Value};
pub use waiters::{Intent, WaiterId, WaiterLimits, Waiters, WaitersFull};
