//! Where the journal stands: the segment that is written, those before it that still count, and the way of a commit into them.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::CommitNumber;
use super::buffer::{Aligned, CommitBuffer};
use super::disk::Disk;
use super::entry::{Checks, HEADER_BYTES, Header};
use super::flusher::Flusher;
use super::prepare::Preparer;
use super::replay::Found;
use super::segment::Used;
use crate::error::{OpenError, WriteError};
use crate::options::SyncPolicy;

/// How the journal writes.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) segment_bytes: u64,
    pub(super) spare_segments_max: usize,
    pub(super) sync: SyncPolicy,
    /// Whether a thread makes segments ahead of time.
    pub(super) ahead: bool,
}

/// A journal that was replayed.
#[derive(Debug)]
pub(super) struct Writer {
    settings: Settings,
    checks: Checks,
    block_bytes: u64,
    preparer: Preparer,
    flusher: Option<Flusher>,
    closed: VecDeque<Used>,
    current: Used,
    generation: u64,
    next: u64,
    /// The last commit that is durable.
    synced: Arc<AtomicU64>,
}

impl Writer {
    /// Goes on behind what a replay found: makes that durable, whatever state the last process left it in, and does away with what must not be
    /// found again.
    pub(super) fn new(
        found: Found,
        disk: Arc<dyn Disk>,
        checks: Checks,
        settings: Settings,
        poison: &Arc<OnceLock<WriteError>>,
    ) -> Result<Self, OpenError> {
        let folder = disk.path("");
        let mut closed = found.used;
        make_durable(&closed, found.unsynced)?;
        let block_bytes = disk.block_bytes();
        let preparer = Preparer::new(
            Arc::clone(&disk),
            settings.segment_bytes,
            settings.spare_segments_max,
            found.spare,
            found.next_id,
            settings.ahead,
        )
        .map_err(OpenError::io("start a thread for", &folder))?;
        let current = match closed.pop_back() {
            Some(last) if last.offset % block_bytes == 0 => last,
            other => {
                closed.extend(other);
                Used::fresh(preparer.take().map_err(OpenError::io("make a segment in", &folder))?)
            }
        };
        // After the current one is there: a journal without segments is taken for a lost one.
        for segment in &found.stale {
            disk.remove(&segment.name).map_err(OpenError::io("delete", &segment.path))?;
        }
        let synced = Arc::new(AtomicU64::new(found.next - 1));
        let flusher = match settings.sync {
            SyncPolicy::Interval(interval) => {
                let started = Flusher::start(interval, Arc::clone(&synced), Arc::clone(poison));
                Some(started.map_err(OpenError::io("start a thread for", &folder))?)
            }
            SyncPolicy::Always | SyncPolicy::Never => None,
        };
        let mut writer = Self {
            settings,
            checks,
            block_bytes,
            preparer,
            flusher,
            closed,
            current,
            generation: found.generation,
            next: found.next,
            synced,
        };
        writer
            .mark()
            .map_err(|error| OpenError::io("begin", &folder)(io::Error::other(error)))?;
        Ok(writer)
    }

    pub(super) fn next(&self) -> CommitNumber {
        CommitNumber(self.next)
    }

    /// Writes what is in the buffer, as one entry or, if it is larger than a segment, as one in each of several, and syncs as the policy says.
    pub(super) fn commit(&mut self, buffer: &mut CommitBuffer) -> Result<CommitNumber, WriteError> {
        let payload_bytes = buffer.payload_bytes();
        let part_bytes = (self.settings.segment_bytes - self.block_bytes) as usize;
        let parts = payload_bytes.div_ceil(part_bytes);
        let Ok(parts) = u16::try_from(parts) else {
            return Err(WriteError::TooLarge {
                bytes: payload_bytes,
                bytes_max: part_bytes * usize::from(u16::MAX),
            });
        };
        buffer.seal();
        let number = self.next;
        for part in 0..parts {
            let from = usize::from(part) * part_bytes;
            let bytes = part_bytes.min(payload_bytes - from);
            let span_bytes = ((HEADER_BYTES + bytes) as u64).next_multiple_of(self.block_bytes);
            if self.current.room() < span_bytes {
                self.turn()?;
            }
            let header = Header {
                payload_bytes: bytes as u32,
                span_bytes: span_bytes as u32,
                part,
                parts,
                number,
                generation: self.generation,
                synced: self.synced.load(Ordering::Relaxed),
            };
            let whole = if part + 1 == parts { number } else { number - 1 };
            self.write(buffer.entry(&self.checks, &header, from), number, whole)?;
        }
        if self.settings.sync == SyncPolicy::Always {
            self.current.sync()?;
            self.synced.store(number, Ordering::Relaxed);
        }
        self.next += 1;
        Ok(CommitNumber(number))
    }

    /// Says, durably, that the journal goes on or ends here, and that everything before is durable: damage to it will not be taken for a write that a crash
    /// cut short.
    pub(super) fn mark(&mut self) -> Result<(), WriteError> {
        self.sync()?;
        if self.current.room() < self.block_bytes {
            self.turn()?;
        }
        let header = Header {
            payload_bytes: 0,
            span_bytes: self.block_bytes as u32,
            part: 0,
            parts: 0,
            number: self.next,
            generation: self.generation,
            synced: self.next - 1,
        };
        let mut entry = Aligned::zeros(self.block_bytes as usize);
        entry.get_mut()[..HEADER_BYTES].copy_from_slice(&self.checks.encode(&header, b""));
        self.write(entry.get(), self.next - 1, self.next - 1)?;
        self.current.sync()
    }

    /// `whole` is the last commit that is whole with this entry.
    fn write(&mut self, entry: &[u8], number: u64, whole: u64) -> Result<(), WriteError> {
        let current = &mut self.current;
        let written = current.segment.file.write_at(current.offset, entry);
        written.map_err(current.segment.failed("write"))?;
        current.offset += entry.len() as u64;
        current.last = number;
        current.dirty = true;
        if let Some(flusher) = &self.flusher {
            flusher.written(&current.segment, whole);
        }
        Ok(())
    }

    /// Goes on in the next segment.
    fn turn(&mut self) -> Result<(), WriteError> {
        if self.settings.sync == SyncPolicy::Always {
            // Only a commit of several parts leaves something unsynced behind.
            self.current.sync()?;
        }
        let segment = self.preparer.take().map_err(self.current.segment.failed("find room behind"))?;
        self.generation += 1;
        self.closed.push_back(std::mem::replace(&mut self.current, Used::fresh(segment)));
        Ok(())
    }

    /// Makes durable what was committed.
    pub(super) fn sync(&mut self) -> Result<(), WriteError> {
        self.closed.iter_mut().try_for_each(Used::sync)?;
        self.current.sync()?;
        self.synced.fetch_max(self.next - 1, Ordering::Relaxed);
        Ok(())
    }

    /// Hands back the segments whose commits are all below `before`.
    pub(super) fn release(&mut self, before: CommitNumber) {
        let released = self.closed.iter().take_while(|used| used.last < before.0).count();
        if released > 0 {
            self.preparer.recycle(self.closed.drain(..released).map(|used| used.segment));
        }
    }

    /// The size of what is written and not released, in bytes.
    pub(super) fn live_bytes(&self) -> u64 {
        self.closed.iter().map(|used| used.segment.file.bytes()).sum::<u64>() + self.current.offset
    }
}

/// Makes durable what a replay found, from the first commit on of which nothing says that it was.
fn make_durable(used: &VecDeque<Used>, unsynced: Option<(usize, u64)>) -> Result<(), OpenError> {
    let (index, mut from) = unsynced.unwrap_or((used.len(), 0));
    for used in used.range(index..) {
        used.rewrite(from).map_err(OpenError::io("write", &used.segment.path))?;
        from = 0;
    }
    Ok(())
}
