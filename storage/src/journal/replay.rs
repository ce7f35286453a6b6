//! Finds the commits of the journal, in order, and where it goes on. It changes nothing.
//!
//! The segments are sorted by the generation of their first entries. From the one that holds the first commit that is wanted, entries follow each
//! other through the segments as long as each is intact and is the one that is expected (`walk`). Where that ends, the journal ends, unless an intact
//! entry somewhere says that the expected commit was durable: then something is damaged ([`verdict`]).

use std::collections::VecDeque;
use std::path::Path;

use super::CommitNumber;
use super::disk::Disk;
use super::entry::{self, Checks, Header};
use super::reader::Reader;
use super::segment::{self, Segment, Used};
use super::verdict;
use super::walk::Walk;
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
    let Segments {
        mut starts,
        blank,
        next_id,
    } = segments(disk, checks, &folder)?;
    if next_id == 0 && from > CommitNumber::FIRST {
        return Err(OpenError::Damaged {
            file: folder,
            offset: None,
            what: format!("it has no segments, and the tables count on what follows commit {}", from.0 - 1),
        });
    }
    starts.sort_by_key(|start| start.header.generation);
    let begin = starts
        .iter()
        .rposition(|start| (start.header.number, start.header.part) <= (from.0, 0));

    let mut walk = Walk::new(from);
    let end = begin.map(|begin| walk.run(checks, &starts, begin, each)).transpose()?;
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

/// The files, as their beginnings tell them apart.
struct Segments {
    starts: Vec<Start>,
    /// Those that begin with anything else: spare ones, mostly.
    blank: Vec<Segment>,
    next_id: u64,
}

fn segments(disk: &dyn Disk, checks: &Checks, folder: &Path) -> Result<Segments, OpenError> {
    let names = disk.list().map_err(OpenError::io("read", folder))?;
    let mut ids: Vec<u64> = names.iter().filter_map(|name| segment::id(name)).collect();
    ids.sort_unstable();
    let mut found = Segments {
        starts: Vec::new(),
        blank: Vec::new(),
        next_id: ids.last().map_or(0, |id| id + 1),
    };
    for id in ids {
        let segment = Segment::open(disk, id).map_err(OpenError::io("open", &disk.path(&segment::name(id))))?;
        let bytes = segment.file.bytes();
        if bytes == 0 || !bytes.is_multiple_of(SEGMENT_UNIT_BYTES) {
            return Err(OpenError::Damaged {
                file: segment.path,
                offset: Some(bytes),
                what: "the file was cut short".to_owned(),
            });
        }
        match Reader::new(checks, segment.clone()).header(0)? {
            Some(header) => found.starts.push(Start { segment, header }),
            None => found.blank.push(segment),
        }
    }
    Ok(found)
}
