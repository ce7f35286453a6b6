//! Finds the commits of the journal, in order, and where it goes on. It changes nothing.
//!
//! The segments are sorted by the generation of their first entries. From the one that holds the first commit that is wanted, entries follow each
//! other through the segments as long as each is intact and is the one that is expected. Where that ends, the journal ends, unless an intact
//! entry somewhere says that the expected commit was durable: then something is damaged ([`verdict`](super::verdict)).

use std::collections::VecDeque;

use super::CommitNumber;
use super::disk::Disk;
use super::entry::{self, Checks, Header};
use super::reader::Reader;
use super::segment::{self, Segment, Used};
use super::verdict::{self, End};
use crate::error::OpenError;
use crate::options::SEGMENT_UNIT_BYTES;

/// What the journal's files are, after a replay.
#[derive(Debug)]
pub(super) struct Found {
    /// Those with commits that were wanted, in order. The last one is where it goes on.
    pub(super) used: VecDeque<Used>,
    /// Those that may be written over.
    pub(super) spare: Vec<Segment>,
    /// Those that must not be found again: they hold writes that were never durable, behind a gap.
    pub(super) stale: Vec<Segment>,
    /// Where the first commit begins that is not known to be durable: in which of the used segments, and where in it.
    pub(super) unsynced: Option<(usize, u64)>,
    /// The number of the next commit.
    pub(super) next: u64,
    /// Greater than all there are.
    pub(super) generation: u64,
    /// What the next new segment is called.
    pub(super) next_id: u64,
    pub(super) replayed: super::Replayed,
}

/// A segment that begins with an intact header.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) segment: Segment,
    pub(super) header: Header,
}

/// Shows the commits from `from` on, and sorts the files.
pub(super) fn replay(
    disk: &dyn Disk,
    checks: &Checks,
    from: CommitNumber,
    each: &mut dyn FnMut(CommitNumber, &[u8]),
) -> Result<Found, OpenError> {
    let folder = disk.path("");
    let names = disk.list().map_err(OpenError::io("read", &folder))?;
    let mut ids: Vec<u64> = names.iter().filter_map(|name| segment::id(name)).collect();
    ids.sort_unstable();
    if ids.is_empty() && from > CommitNumber::FIRST {
        return Err(OpenError::Damaged {
            file: folder,
            offset: None,
            what: format!("it has no segments, and the tables count on what follows commit {}", from.0 - 1),
        });
    }
    let next_id = ids.last().map_or(0, |id| id + 1);

    let (mut starts, mut blank) = (Vec::new(), Vec::new());
    for id in ids {
        let segment = Segment::open(disk, id).map_err(|error| OpenError::io("open", &folder)(error))?;
        let bytes = segment.file.bytes();
        if bytes == 0 || !bytes.is_multiple_of(SEGMENT_UNIT_BYTES) {
            return Err(OpenError::Damaged {
                file: segment.path,
                offset: Some(bytes),
                what: "the file was cut short".to_owned(),
            });
        }
        match Reader::new(checks, segment.clone()).header(0)? {
            Some(header) => starts.push(Start { segment, header }),
            None => blank.push(segment),
        }
    }
    starts.sort_by_key(|start| start.header.generation);
    let begin = starts
        .iter()
        .rposition(|start| (start.header.number, start.header.part) <= (from.0, 0));

    let mut walk = Walk::new(from);
    let end = match begin {
        Some(begin) => walk.run(checks, &starts, begin, each)?,
        None => None,
    };
    let expected = walk.expected.max(from.0);
    let verdict = verdict::judge(checks, &folder, &starts, blank, end.as_ref(), expected)?;

    let mut used = VecDeque::new();
    let mut spare = verdict.spare;
    let mut lasts = walk.lasts.into_iter();
    for (index, start) in starts.into_iter().enumerate() {
        match (begin, &end) {
            (Some(begin), _) if index < begin => spare.push(start.segment),
            (_, Some(end)) if index <= end.index => {
                let (last, offset) = lasts.next().unwrap_or_default();
                used.push_back(Used {
                    offset: offset.min(start.segment.file.bytes()),
                    segment: start.segment,
                    last,
                    dirty: false,
                });
            }
            _ => {} // Stale: the verdict has it.
        }
    }
    Ok(Found {
        used,
        spare,
        stale: verdict.stale,
        unsynced: walk.unsynced.front().map(|place| (place.index - begin.unwrap_or(0), place.offset)),
        next: expected,
        generation: entry::next_opening(verdict.generation_max),
        next_id,
        replayed: super::Replayed {
            commits: walk.commits,
            bytes: walk.bytes,
            torn: verdict.torn,
        },
    })
}

/// The way through the entries.
struct Walk {
    from: u64,
    /// The number of the next commit; 0 before the first.
    expected: u64,
    generation: u64,
    /// A commit of several parts that are not all there yet.
    pending: Option<Pending>,
    /// Of each segment: the last commit in it (0 while that is not whole), and where its last whole one ends.
    lasts: Vec<(u64, u64)>,
    /// The last commit that some entry says was durable.
    synced: u64,
    /// The entries of commits after that one, and the marks before those.
    unsynced: VecDeque<Place>,
    commits: u64,
    bytes: u64,
}

struct Place {
    number: u64,
    index: usize,
    offset: u64,
}

struct Pending {
    /// Where it begins.
    index: usize,
    offset: u64,
    last: Header,
    payload: Vec<u8>,
}

impl Walk {
    fn new(from: CommitNumber) -> Self {
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
    fn run(
        &mut self,
        checks: &Checks,
        starts: &[Start],
        begin: usize,
        each: &mut dyn FnMut(CommitNumber, &[u8]),
    ) -> Result<Option<End>, OpenError> {
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
        Ok(Some(End {
            index,
            offset,
            missed,
            generation: self.generation,
            torn,
        }))
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
