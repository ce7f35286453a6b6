//! The way through the entries that follow each other: from one to the next, and from segment to segment.

use std::collections::VecDeque;

use super::CommitNumber;
use super::entry::{Checks, Header};
use super::reader::Reader;
use super::replay::Start;
use crate::error::OpenError;

/// Where the entries that follow each other end.
#[derive(Debug)]
pub(super) struct End {
    /// In which of the segments.
    pub(super) index: usize,
    /// Behind the last whole commit, in bytes.
    pub(super) offset: u64,
    /// Where the next entry was looked for: later than that if parts of a commit were found, and not all.
    pub(super) missed: (usize, u64),
    /// Of the last entry.
    pub(super) generation: u64,
    /// Whether the beginning of another commit is there.
    pub(super) torn: bool,
}

/// The way through the entries.
pub(super) struct Walk {
    from: u64,
    /// The number of the next commit; 0 before the first.
    pub(super) expected: u64,
    generation: u64,
    /// A commit of several parts that are not all there yet.
    pending: Option<Pending>,
    /// Of each segment: the last commit in it (0 while that is not whole), and where its last whole one ends.
    pub(super) lasts: Vec<(u64, u64)>,
    /// The last commit that some entry says was durable.
    synced: u64,
    /// The entries of commits after that one, and the marks before those.
    pub(super) unsynced: VecDeque<Place>,
    pub(super) commits: u64,
    pub(super) bytes: u64,
}

pub(super) struct Place {
    number: u64,
    pub(super) index: usize,
    pub(super) offset: u64,
}

struct Pending {
    /// Where it begins.
    index: usize,
    offset: u64,
    last: Header,
    payload: Vec<u8>,
}

impl Walk {
    pub(super) fn new(from: CommitNumber) -> Self {
        Self {
            from: from.0,
            expected: 0,
            generation: 0,
            pending: None,
            lasts: Vec::new(),
            synced: 0,
            unsynced: VecDeque::new(),
            commits: 0,
            bytes: 0,
        }
    }

    /// Follows the entries from the beginning of a segment, and says where they end.
    pub(super) fn run(
        &mut self,
        checks: &Checks,
        starts: &[Start],
        begin: usize,
        each: &mut dyn FnMut(CommitNumber, &[u8]),
    ) -> Result<End, OpenError> {
        let (mut index, mut offset) = (begin, 0);
        let mut reader = Reader::new(checks, starts[index].segment.clone());
        self.lasts.push((0, 0));
        loop {
            let header = reader.header(offset)?.filter(|header| self.follows(header));
            let payload = match &header {
                Some(header) => reader.payload(offset, header)?,
                None => None,
            };
            if let (Some(header), Some(payload)) = (header, payload) {
                self.take(header, payload, index, offset, each);
                offset += u64::from(header.span_bytes);
                self.reached(self.expected - 1, offset);
                continue;
            }
            match starts.get(index + 1) {
                Some(next) if next.header.generation > self.generation && self.follows(&next.header) => {
                    (index, offset) = (index + 1, 0);
                    reader = Reader::new(checks, next.segment.clone());
                    self.lasts.push((0, 0));
                }
                _ => break,
            }
        }
        let header = reader.header(offset)?;
        let torn = self.pending.is_some() || header.is_some_and(|header| self.follows(&header));
        let missed = (index, offset);
        if let Some(pending) = self.pending.take() {
            self.unsynced.retain(|place| place.number < pending.last.number);
            self.lasts.truncate(pending.index - begin + 1);
            (index, offset) = (pending.index, pending.offset);
        }
        Ok(End {
            index,
            offset,
            missed,
            generation: self.generation,
            torn,
        })
    }

    /// Whether an intact entry is the one that comes next.
    fn follows(&self, header: &Header) -> bool {
        if header.generation < self.generation {
            return false;
        }
        if self.pending.as_ref().is_some_and(|pending| header.continues(&pending.last)) {
            return true;
        }
        if self.expected == 0 {
            // The first one may be the rest of a commit whose beginning was released.
            return (header.number, header.part) <= (self.from, 0);
        }
        // Below what is wanted there may be gaps: the tables were flushed, and then the power went before the journal was synced.
        let after_gap = header.number > self.expected && header.number <= self.from;
        header.part == 0 && (header.number == self.expected || after_gap)
    }

    fn take(&mut self, header: Header, payload: &[u8], index: usize, offset: u64, each: &mut dyn FnMut(CommitNumber, &[u8])) {
        let first = self.expected == 0;
        let number = header.number;
        (self.generation, self.expected) = (header.generation, number);
        self.synced = self.synced.max(header.synced);
        self.unsynced.push_back(Place { number, index, offset });
        while self.unsynced.front().is_some_and(|place| place.number <= self.synced) {
            self.unsynced.pop_front();
        }
        if header.is_mark() {
            self.pending = None;
            return;
        }
        if header.parts == 1 {
            self.pending = None;
            self.show(number, payload, each);
            return;
        }
        if header.part == 0 || first {
            self.pending = Some(Pending {
                index,
                offset,
                last: header,
                payload: Vec::new(),
            });
        }
        if let Some(pending) = &mut self.pending {
            pending.last = header;
            pending.payload.extend_from_slice(payload);
            if header.part + 1 == header.parts {
                let payload = std::mem::take(&mut pending.payload);
                self.pending = None;
                self.show(number, &payload, each);
            }
        }
    }

    /// Everything up to here in the last of the segments is whole, and so are the parts in those before it.
    fn reached(&mut self, number: u64, offset: u64) {
        if self.pending.is_some() {
            return;
        }
        for last in self.lasts.iter_mut().rev().take_while(|(last, _)| *last == 0) {
            *last = (number, u64::MAX);
        }
        if let Some(last) = self.lasts.last_mut() {
            *last = (number, offset);
        }
    }

    fn show(&mut self, number: u64, payload: &[u8], each: &mut dyn FnMut(CommitNumber, &[u8])) {
        self.expected = number + 1;
        if number >= self.from {
            self.commits += 1;
            self.bytes += payload.len() as u64;
            each(CommitNumber(number), payload);
        }
    }
}
