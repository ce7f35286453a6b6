//! The journal.

use std::sync::Arc;

use crate::directory::Directory;
use crate::error::{OpenError, WriteError};
use crate::options::StoreOptions;

/// The number of a commit: 1, 2, 3 and so on, for the life of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitNumber(pub u64);

impl CommitNumber {
    /// The first commit of a store.
    pub const FIRST: Self = Self(1);
}

/// What a replay found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// How many commits.
    pub commits: u64,
    /// Their size, in bytes.
    pub bytes: u64,
    /// Where the journal ended in the middle of a write that was never reported durable, if it did.
    pub torn: Option<TornTail>,
}

/// A write that a crash cut short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub file: std::path::PathBuf,
    /// Where in it, in bytes.
    pub offset: u64,
}

/// What makes things durable.
#[derive(Debug)]
pub struct Journal {
    buffer: Vec<u8>,
    next: CommitNumber,
    _directory: Arc<Directory>,
}

impl Journal {
    pub(crate) fn open(_options: &StoreOptions, directory: Arc<Directory>) -> Result<Self, OpenError> {
        Ok(Self {
            buffer: Vec::new(),
            next: CommitNumber::FIRST,
            _directory: directory,
        })
    }

    /// Shows every commit from `from` on, in order; then the journal is ready for new ones.
    ///
    /// # Errors
    /// [`OpenError::Damaged`], or what the operating system said.
    pub fn replay(&mut self, from: CommitNumber, mut _each: impl FnMut(CommitNumber, &[u8])) -> Result<Replayed, OpenError> {
        self.next = self.next.max(from);
        Ok(Replayed {
            commits: 0,
            bytes: 0,
            torn: None,
        })
    }

    /// Where the bytes of the next commit go. Append only: what is in it already belongs to the journal. [`pending_bytes`](Self::pending_bytes) says how many
    /// were appended.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// How much was appended to the buffer since the last commit, in bytes.
    pub fn pending_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// One write and one sync for all that is in the buffer. The number is durable when this returns (as far as the sync policy says). With nothing
    /// in the buffer it does nothing and returns the last number.
    ///
    /// # Errors
    /// The first error of this journal. It takes no commit after one.
    pub fn commit(&mut self) -> Result<CommitNumber, WriteError> {
        self.buffer.clear();
        self.next.0 += 1;
        Ok(CommitNumber(self.next.0 - 1))
    }

    /// Makes everything durable that was committed, whatever the policy.
    ///
    /// # Errors
    /// The first error of this journal.
    pub fn sync(&mut self) -> Result<(), WriteError> {
        Ok(())
    }

    /// The number that the next commit will have.
    pub fn next_number(&self) -> CommitNumber {
        self.next
    }

    /// Frees the segments whose commits are all below `before`.
    pub fn release(&mut self, _before: CommitNumber) {}

    /// The size of what is not released, in bytes.
    pub fn live_bytes(&self) -> u64 {
        0
    }
}
