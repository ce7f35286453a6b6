//! The durable store: a journal with group commit, and RocksDB behind it for what stays.
//!
//! It knows bytes and keys, not AMQP. A data directory holds
//!
//! ```text
//! stoa.lock   held by the one process that has the directory open, with its process id inside
//! FORMAT      the version of everything below, and the store's identity
//! journal/    segments, written over and recycled; what was committed and is not in the tables yet
//! tables/     RocksDB, its own log off: what stays
//! ```
//! The way of a write: append to [`Journal::buffer`], [`Journal::commit`], and it is durable. What outlives the journal goes to the
//! [`Tables`], with the [position](Batch::set_position) up to which they are complete; after a [`Tables::flush`] the journal
//! [releases](Journal::release) what lies before. The way back: [`Store::open`], [`Tables::position`], [`Journal::replay`] from there.

mod directory;
mod error;
mod journal;
mod options;
mod tables;

use std::sync::Arc;

use directory::Directory;

pub use error::{OpenError, TableError, WriteError};
pub use journal::{CommitNumber, Journal, Replayed, TornTail};
pub use options::{StoreOptions, SyncPolicy};
pub use tables::{Batch, Family, Tables};

/// An open data directory. The two parts go their own ways (the journal to the thread that commits, the tables to whoever reads); the
/// directory stays locked until both are dropped.
#[derive(Debug)]
pub struct Store {
    /// What makes things durable. It must be [replayed](Journal::replay) before the first commit.
    pub journal: Journal,
    /// What stays.
    pub tables: Tables,
}

impl Store {
    /// Opens the store in `options.dir`, and makes one there if the directory is missing or empty.
    ///
    /// # Errors
    /// Each of [`OpenError`]; nothing was changed in a directory that is refused.
    pub fn open(options: &StoreOptions) -> Result<Self, OpenError> {
        let directory = Arc::new(Directory::open(&options.dir)?);
        let tables = Tables::open(options, Arc::clone(&directory))?;
        let journal = Journal::open(options, directory)?;
        Ok(Self { journal, tables })
    }
}
