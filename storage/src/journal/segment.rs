//! Segments: files of one size, each with a run of entries, and what the journal remembers of those it is done with.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::buffer::Aligned;
use super::disk::{Disk, DiskFile};
use super::reader::READ_ALIGNMENT;
use crate::error::WriteError;

/// A file of the journal.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) name: String,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) path: PathBuf,
}

impl Segment {
    pub(super) fn open(disk: &dyn Disk, id: u64) -> io::Result<Self> {
        let name = name(id);
        let file = disk.open(&name)?;
        let path = disk.path(&name);
        Ok(Self { name, file, path })
    }

    pub(super) fn create(disk: &dyn Disk, id: u64, bytes: u64) -> io::Result<Self> {
        let name = name(id);
        let file = disk.create(&name, bytes)?;
        let path = disk.path(&name);
        Ok(Self { name, file, path })
    }

    pub(super) fn sync(&self) -> Result<(), WriteError> {
        self.file.sync().map_err(self.failed("sync"))
    }

    pub(super) fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> WriteError {
        let file = self.path.clone();
        move |error| WriteError::Failed {
            action,
            file,
            error: Arc::new(error),
        }
    }
}

const SUFFIX: &str = ".segment";

/// The name of a segment.
pub(super) fn name(id: u64) -> String {
    format!("{id:08}{SUFFIX}")
}

/// The number in a segment's name; `None` for a file that is none.
pub(super) fn id(name: &str) -> Option<u64> {
    name.strip_suffix(SUFFIX)?.parse().ok()
}

/// A segment that is being written, or was: until its commits are released.
#[derive(Debug)]
pub(super) struct Used {
    pub(super) segment: Segment,
    /// How far it is written.
    pub(super) offset: u64,
    /// The last commit that has a part in it.
    pub(super) last: u64,
    /// Whether something was written since it was last synced by the journal itself.
    pub(super) dirty: bool,
}

impl Used {
    /// A segment from its beginning. What an earlier use left in it has lower generations.
    pub(super) fn fresh(segment: Segment) -> Self {
        Self {
            segment,
            offset: 0,
            last: 0,
            dirty: false,
        }
    }

    /// What fits behind what is written, in bytes.
    pub(super) fn room(&self) -> u64 {
        self.segment.file.bytes().saturating_sub(self.offset)
    }

    pub(super) fn sync(&mut self) -> Result<(), WriteError> {
        if self.dirty {
            self.segment.sync()?;
            self.dirty = false;
        }
        Ok(())
    }

    /// Writes again what another process wrote from `from` on, and waits until it is durable. A sync alone might pass it over: after one that failed, the
    /// operating system may take for written what never was.
    pub(super) fn rewrite(&self, from: u64) -> io::Result<()> {
        let file = &*self.segment.file;
        let mut piece = Aligned::zeros(1 << 20);
        let mut at = from / READ_ALIGNMENT * READ_ALIGNMENT;
        let end = self.offset.next_multiple_of(READ_ALIGNMENT).min(file.bytes());
        while at < end {
            let bytes = (end - at).min(piece.len() as u64) as usize;
            let piece = &mut piece.get_mut()[..bytes];
            file.read_at(at, piece)?;
            file.write_at(at, piece)?;
            at += bytes as u64;
        }
        file.sync()
    }
}
