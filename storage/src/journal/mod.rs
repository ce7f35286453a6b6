//! The journal: what was committed and is not in the tables yet.
//!
//! It is a run of segments that are made once, written over and recycled, so that a commit is one write and one sync to a place that exists. A commit
//! is one entry ([`entry`]), or several if it is larger than a segment. Opening it reads it all ([`replay`]) and tells a write that a crash cut
//! short from damage ([`verdict`]). The first failure to write or to sync is the last thing that it does: nobody knows what the disk holds
//! then, and a sync that is tried again may succeed without having written anything.

mod buffer;
mod disk;
mod entry;
mod flusher;
mod prepare;
mod reader;
mod replay;
mod segment;
mod verdict;
mod walk;
mod writer;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod simulated;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::directory::Directory;
use crate::error::{OpenError, WriteError};
use crate::options::{StoreOptions, SyncPolicy};
use buffer::CommitBuffer;
use disk::{Disk, Folder};
use entry::Checks;
use writer::{Settings, Writer};

/// The number of a commit: 1, 2, 3 and so on, for the life of the store. As a position it means everything before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitNumber(pub u64);

impl CommitNumber {
    /// The first commit of a store.
    pub const FIRST: Self = Self(1);
}

impl fmt::Display for CommitNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a replay found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// How many commits.
    pub commits: u64,
    /// Their size, in bytes.
    pub bytes: u64,
    /// Where the journal ended in writes that were never durable, if that can be told.
    pub torn: Option<TornTail>,
}

/// Writes that a crash cut short. They are gone; nobody was told that they were durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub file: PathBuf,
    /// Where in it, in bytes.
    pub offset: u64,
}

/// What makes things durable. It belongs to one thread at a time: commits are one after the other.
#[derive(Debug)]
pub struct Journal {
    settings: Settings,
    checks: Checks,
    disk: Arc<dyn Disk>,
    buffer: CommitBuffer,
    /// `None` until it was replayed.
    writer: Option<Writer>,
    /// The first error.
    poison: Arc<OnceLock<WriteError>>,
    /// Keeps it locked.
    _directory: Option<Arc<Directory>>,
}

impl Journal {
    pub(crate) fn open(options: &StoreOptions, directory: Arc<Directory>) -> Result<Self, OpenError> {
        let path = directory.journal();
        // Where nobody waits for the disk, the page cache takes a commit in a tenth of the time.
        let direct = options.direct && options.sync == SyncPolicy::Always;
        let disk = Folder::open(path.clone(), direct).map_err(OpenError::io("open", &path))?;
        let settings = Settings {
            segment_bytes: options.segment_bytes_in_range(),
            spare_segments_max: options.spare_segments_max,
            sync: options.sync,
            ahead: true,
        };
        let identity = directory.identity();
        Ok(Self {
            _directory: Some(directory),
            ..Self::on(Arc::new(disk), identity, settings)
        })
    }

    /// A journal on any disk.
    fn on(disk: Arc<dyn Disk>, identity: u64, settings: Settings) -> Self {
        Self {
            settings,
            checks: Checks::new(identity),
            disk,
            buffer: CommitBuffer::new(),
            writer: None,
            poison: Arc::default(),
            _directory: None,
        }
    }

    /// Shows every commit from `from` on, in order; then the journal is ready for new ones. `from` is the [position](crate::Tables::position) of the
    /// tables; the numbers go on behind it even if the journal ends before.
    ///
    /// # Errors
    /// [`OpenError::Damaged`] if something that was durable is not intact; nothing was changed then, but commits before the damage were
    /// shown. Otherwise what the operating system said.
    ///
    /// # Panics
    /// If it was replayed before.
    pub fn replay(&mut self, from: CommitNumber, mut each: impl FnMut(CommitNumber, &[u8])) -> Result<Replayed, OpenError> {
        assert!(self.writer.is_none(), "a journal is replayed once");
        let from = from.max(CommitNumber::FIRST);
        let found = replay::replay(&*self.disk, &self.checks, from, &mut each)?;
        let replayed = found.replayed.clone();
        let mut writer = Writer::new(
            found,
            Arc::clone(&self.disk),
            self.checks.clone(),
            self.settings.clone(),
            &self.poison,
        )?;
        writer.release(from);
        self.writer = Some(writer);
        Ok(replayed)
    }

    /// Shows every commit from `from` on, in order, and leaves the journal as it is: a first look, before the [replay](Self::replay).
    ///
    /// # Errors
    /// As of [`replay`](Self::replay).
    ///
    /// # Panics
    /// After the replay: segments come and go then.
    pub fn scan(&self, from: CommitNumber, mut each: impl FnMut(CommitNumber, &[u8])) -> Result<Replayed, OpenError> {
        assert!(self.writer.is_none(), "a journal is scanned before it is replayed");
        let from = from.max(CommitNumber::FIRST);
        Ok(replay::replay(&*self.disk, &self.checks, from, &mut each)?.replayed)
    }

    /// Where the bytes of the next commit are appended. Nothing but that: what is in it before is the journal's own
    /// ([`pending_bytes`](Self::pending_bytes) says how much was appended).
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.buffer.bytes()
    }

    /// How much was appended to the buffer since the last commit, in bytes.
    pub fn pending_bytes(&self) -> usize {
        self.buffer.payload_bytes()
    }

    /// One write and one sync for all that is in the buffer, which is empty again after it. When this returns, the number is as durable as the
    /// [policy](crate::SyncPolicy) says. With nothing in the buffer it does nothing and returns the number of the last commit.
    ///
    /// # Errors
    /// The first error of this journal: it takes no commit after one. Whether the failed commit is found by the next replay is not known.
    ///
    /// # Panics
    /// If the journal was not replayed, or if the buffer was cleared.
    pub fn commit(&mut self) -> Result<CommitNumber, WriteError> {
        let writer = self.writer.as_mut().expect("a journal is replayed before its first commit");
        let outcome = match self.poison.get() {
            Some(error) => Err(error.clone()),
            None if self.buffer.payload_bytes() == 0 => Ok(CommitNumber(writer.next().0 - 1)),
            None => writer.commit(&mut self.buffer),
        };
        self.buffer.clear();
        outcome.map_err(|error| self.poison.get_or_init(|| error).clone())
    }

    /// Makes durable what was committed, whatever the policy.
    ///
    /// # Errors
    /// The first error of this journal.
    ///
    /// # Panics
    /// If the journal was not replayed.
    pub fn sync(&mut self) -> Result<(), WriteError> {
        let writer = self.writer.as_mut().expect("a journal is replayed before its first commit");
        let outcome = match self.poison.get() {
            Some(error) => Err(error.clone()),
            None => writer.sync(),
        };
        outcome.map_err(|error| self.poison.get_or_init(|| error).clone())
    }

    /// Ends the journal in an orderly way: everything is durable, and damage to the last commit will be found.
    ///
    /// # Errors
    /// The first error of this journal.
    pub fn close(mut self) -> Result<(), WriteError> {
        match (self.poison.get(), &mut self.writer) {
            (Some(error), _) => Err(error.clone()),
            (None, Some(writer)) => writer.mark(),
            (None, None) => Ok(()),
        }
    }

    /// The number of the next commit; as a position, everything that was committed so far.
    ///
    /// # Panics
    /// If the journal was not replayed.
    pub fn next_number(&self) -> CommitNumber {
        self.writer.as_ref().expect("a journal is replayed before its first commit").next()
    }

    /// Takes back the segments whose commits are all below `before`, to write over them. Only after the tables hold those commits, durably.
    pub fn release(&mut self, before: CommitNumber) {
        if let Some(writer) = &mut self.writer {
            writer.release(before);
        }
    }

    /// What the segments that are not released take, in bytes. Releasing brings it below one segment.
    pub fn live_bytes(&self) -> u64 {
        self.writer.as_ref().map_or(0, Writer::live_bytes)
    }
}
