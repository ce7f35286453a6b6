//! The bytes of a queue in the store: keys, the values of chunks, and the index that start-up reads instead of messages.
//!
//! ```text
//! key           queue u64  first sequence u64                          both big-endian, so that a queue's chunks lie in order
//! chunk value   version u8 = 1  0 u8  count u16  crc32 u32  0 u64      then `count` records; the checksum is that of the records
//! index entry   version u8 = 1  kind u8 = 1 chunk  count u16  bytes u32  then a bit a message, if any is gone: set = gone
//! index entry   version u8 = 1  kind u8 = 3 apart  count u16  bytes u32  then a bit a message: set = gone
//!               then a bit a message: set = listed  then for each listed message: body u64  size u64
//! index entry   version u8 = 1  kind u8 = 4 timed  count u16  bytes u32  due u64  bodies u64  then a bit a message: set = gone
//! index entry   version u8 = 1  kind u8 = 5 timed  count u16  bytes u32  due u64  bodies u64  then as in kind 3
//! index entry   version u8 = 1  kind u8 = 7 parts  as kind 5, then parts: tag u8  size u32  `size` octets
//! index entry   version u8 = 1  kind u8 = 6 keyed  count u16  0 u32       rule u64  then a bit a message: set = has a key
//!               then for each message with a key: key u128  then the entry as it would be without keys, of kind 1, 3, 4 or 5
//! head entry    version u8 = 1  kind u8 = 2 head   0 u16      0 u32      next u64  taken u64
//! ```
//! The entry of a chunk is of kind 3 if the body of any unsettled message lies apart, and lists those messages, so that nobody need read the
//! chunk to know what it refers to. A message that is listed and gone is a transient one: it refers to its body until the process ends.
//!
//! Kinds 4 and 5 are those of queues that need to know when messages are due or how large their bodies are. `due` is a time before which no
//! message that is not gone is due (`u64::MAX`: none ever), `bodies` the octets of the bodies of those that are not gone.
//!
//! Kind 7 is for what only some chunks have. Part 1 says where messages stand that came back or are dead (`standing.rs`), in runs of the same
//! standing: first place u8, last place u8, standing. Part 2 is that of spaces: for each tuple that is not gone its place u8 and its entry for
//! the index of tuples (`space::Entry`).
//!
//! Kind 6 is that of queues that tell messages apart by a header (`keys`): `rule` says by which, and no rule's number is another's.
//!
//! All other integers are little-endian. The head entry of a lane lies at the sequence before its first message; that
//! of lane 0 at `u64::MAX`. A kind or a version is never used again
//! for something else (invariant 8).

use std::ops::Range;
use std::sync::Arc;

use crate::ids::{Millis, QueueId, Sequence};
use crate::record::BodyRef;
use crate::shard::apart::Apart;
use crate::shard::bits::Bits;
use crate::shard::keys::{ChunkKeys, Key};
use crate::shard::space::each_entry;
use crate::shard::standing::{STANDING, Standing};
use crate::shard::timers::NEVER;

/// The octets before the records in a chunk's value, and in memory.
pub const CHUNK_HEADER: usize = 16;
/// Where the head entry of lane 0, and so of a queue without priorities, lies.
pub const HEAD: Sequence = Sequence(u64::MAX);

/// Where the head entry of a lane lies: at the sequence before the lane's first. Lane 0 has [`HEAD`].
#[must_use]
pub fn head_of(lane: u8) -> Sequence {
    Sequence((u64::from(lane) << 56).wrapping_sub(1))
}

/// The lane whose head entry lies at this sequence, if one does.
#[must_use]
pub fn head_lane(sequence: Sequence) -> Option<u8> {
    (sequence.0 << 8 == u64::MAX << 8).then(|| (sequence.0 >> 56).wrapping_add(1) as u8)
}

const VERSION: u8 = 1;

mod kind {
    pub(super) const CHUNK: u8 = 1;
    pub(super) const HEAD: u8 = 2;
    pub(super) const APART: u8 = 3;
    pub(super) const TIMED: u8 = 4;
    pub(super) const TIMED_APART: u8 = 5;
    pub(super) const KEYED: u8 = 6;
    pub(super) const PARTS: u8 = 7;
}

/// The parts of an entry of kind [`PARTS`](kind::PARTS).
mod part {
    pub(super) const STANDINGS: u8 = 1;
    pub(super) const TUPLES: u8 = 2;
}

/// Octets of a run of messages in the part of the standings.
const STANDING_RUN: usize = 2 + STANDING;

/// What the store is asked to put: one index entry, and the chunk's value unless the table has it as it is.
#[derive(Clone, Debug)]
pub struct StoredChunk {
    /// The queue.
    pub queue: QueueId,
    /// The sequence at which the chunk starts, or that of a head entry.
    pub first: Sequence,
    /// How many records `data` holds; to be handed back in `Command::Stored`.
    pub upto: u16,
    /// Goes to the index family, under [`key`](Self::key).
    pub entry: IndexEntry,
    /// Goes to the chunk family as it is, under the same key.
    pub data: Option<Arc<Vec<u8>>>,
}

impl StoredChunk {
    /// The key in both families.
    #[must_use]
    pub fn key(&self) -> [u8; 16] {
        chunk_key(self.queue, self.first)
    }

    /// The bodies that the chunk's unsettled records refer to, one for each such record: the table must have them when it has `data`.
    #[must_use]
    pub fn bodies(&self) -> &[BodyRef] {
        match &self.entry {
            IndexEntry::Chunk(entry) => entry.apart.as_ref().map_or(&[], |apart| apart.refs()),
            IndexEntry::Head(_) => &[],
        }
    }
}

/// What the index says of a chunk or of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexEntry {
    /// A chunk is in the table.
    Chunk(ChunkEntry),
    /// How far a lane has come.
    Head(HeadEntry),
}

/// A chunk in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkEntry {
    /// How many records it holds, 1 to 256.
    pub count: u16,
    /// Octets of its records.
    pub bytes: u32,
    /// Those that must not come back after a restart: settled ones and transient ones.
    pub(crate) gone: Bits,
    /// No message that is not gone is due before.
    pub(crate) due: Millis,
    /// Octets of the bodies of those that are not gone, where the queue counts them.
    pub(crate) bodies: u64,
    /// Whose bodies lie apart; absent if there is none.
    pub(crate) apart: Option<Box<Apart>>,
    /// Where those stand that are not simply ready, and those that came back.
    pub(crate) standings: Vec<(Range<u16>, Standing)>,
    /// Of a space, the entries of its tuples, as they lie in part 2.
    pub(crate) tuples: Vec<u8>,
    /// Which messages have which key, where the queue asks for that.
    pub(crate) keys: Option<Box<ChunkKeys>>,
}

/// A lane's sequences. All messages below `next` that are not in the table are settled, whatever an older journal says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadEntry {
    /// The sequence of the next message.
    pub next: Sequence,
    /// No message from here on was ever delivered.
    pub taken: Sequence,
}

/// The octets are not what the store was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoredError {
    /// An index entry describes messages that another one describes too.
    #[error("the chunk overlaps another")]
    Overlap,
    /// Nothing was found under the key.
    #[error("the chunk is missing")]
    Missing,
    /// The octets end too early or go on for too long.
    #[error("{found} octets where {expected} were expected")]
    Size {
        /// Octets that the content asks for.
        expected: usize,
        /// Octets there are.
        found: usize,
    },
    /// Another Stoa wrote this.
    #[error("format version {0} is not known; was this directory written by a newer Stoa?")]
    Version(u8),
    /// An index entry of a kind that is not known.
    #[error("index entry of kind {0} is not known; was this directory written by a newer Stoa?")]
    Kind(u8),
    /// A part of an index entry that is not known, or says what is not known.
    #[error("part {0} of an index entry is not known; was this directory written by a newer Stoa?")]
    Part(u8),
    /// The checksum does not match the records.
    #[error("the checksum is {found:08x}, not {expected:08x}")]
    Checksum {
        /// As it was written.
        expected: u32,
        /// Of what was read.
        found: u32,
    },
    /// It is sound, but not the chunk that the index describes.
    #[error("{found} records where the index has {expected}")]
    Count {
        /// According to the index.
        expected: u16,
        /// According to the value.
        found: u16,
    },
}

/// The key of a chunk in the chunk and index families.
#[must_use]
pub fn chunk_key(queue: QueueId, first: Sequence) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&queue.0.to_be_bytes());
    key[8..].copy_from_slice(&first.0.to_be_bytes());
    key
}

/// The queue and the first sequence that a key names.
///
/// # Errors
/// [`StoredError::Size`] if it is no key.
pub fn read_key(key: &[u8]) -> Result<(QueueId, Sequence), StoredError> {
    let wrong = StoredError::Size {
        expected: 16,
        found: key.len(),
    };
    let (queue, first) = key.split_first_chunk::<8>().ok_or(wrong)?;
    let first = first.try_into().map_err(|_| wrong)?;
    Ok((QueueId(u64::from_be_bytes(*queue)), Sequence(u64::from_be_bytes(first))))
}

impl IndexEntry {
    /// The value for the index family.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Self::Chunk(ChunkEntry {
            count, keys: Some(keys), ..
        }) = self
        {
            encode_keys(*count, keys, &mut out);
        }
        self.encode_rest(&mut out);
        out
    }

    /// The value without keys.
    fn encode_rest(&self, out: &mut Vec<u8>) {
        let kind_at = out.len() + 1;
        out.extend_from_slice(&[VERSION, kind::CHUNK]);
        match self {
            Self::Chunk(entry) => {
                out.extend_from_slice(&entry.count.to_le_bytes());
                out.extend_from_slice(&entry.bytes.to_le_bytes());
                let octets = gone_octets(entry.count);
                let parts = !entry.standings.is_empty() || !entry.tuples.is_empty();
                let timed = entry.due != NEVER || entry.bodies > 0 || parts;
                if timed {
                    out[kind_at] = kind::TIMED;
                    out.extend_from_slice(&entry.due.0.to_le_bytes());
                    out.extend_from_slice(&entry.bodies.to_le_bytes());
                }
                if parts {
                    out[kind_at] = kind::PARTS;
                    let none = Apart::default();
                    let apart = entry.apart.as_deref().unwrap_or(&none);
                    entry.push_bits(apart, out);
                    entry.push_parts(out);
                } else if let Some(apart) = &entry.apart {
                    out[kind_at] = if timed { kind::TIMED_APART } else { kind::APART };
                    entry.push_bits(apart, out);
                } else if timed || !entry.gone.is_empty() {
                    out.extend(entry.gone.octets().take(octets));
                }
            }
            Self::Head(head) => {
                out[kind_at] = kind::HEAD;
                out.extend_from_slice(&[0; 6]);
                out.extend_from_slice(&head.next.0.to_le_bytes());
                out.extend_from_slice(&head.taken.0.to_le_bytes());
            }
        }
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// If it is something else.
    pub fn decode(value: &[u8]) -> Result<Self, StoredError> {
        let size = |expected| StoredError::Size {
            expected,
            found: value.len(),
        };
        let (prefix, rest) = value.split_first_chunk::<8>().ok_or(size(8))?;
        let [version, kind, c0, c1, bytes @ ..] = *prefix;
        if version != VERSION {
            return Err(StoredError::Version(version));
        }
        match kind {
            kind::KEYED => {
                let (keys, rest) = decode_keys(u16::from_le_bytes([c0, c1]), rest, size)?;
                if rest.get(1) == Some(&kind::KEYED) {
                    return Err(StoredError::Kind(kind::KEYED));
                }
                match Self::decode(rest)? {
                    Self::Chunk(entry) if entry.keys.is_none() && entry.count == u16::from_le_bytes([c0, c1]) => {
                        let keys = Some(Box::new(keys));
                        Ok(Self::Chunk(ChunkEntry { keys, ..entry }))
                    }
                    _ => Err(StoredError::Kind(kind::KEYED)),
                }
            }
            kind::CHUNK | kind::APART | kind::TIMED | kind::TIMED_APART | kind::PARTS => {
                let count = u16::from_le_bytes([c0, c1]);
                if count == 0 || count > 256 {
                    return Err(StoredError::Count {
                        expected: 256,
                        found: count,
                    });
                }
                let octets = gone_octets(count);
                let parts = kind == kind::PARTS;
                let timed = kind == kind::TIMED || kind == kind::TIMED_APART || parts;
                let (due, bodies, rest) = if timed {
                    let (due, rest) = rest.split_first_chunk::<8>().ok_or(size(24 + octets))?;
                    let (bodies, rest) = rest.split_first_chunk::<8>().ok_or(size(24 + octets))?;
                    (Millis(u64::from_le_bytes(*due)), u64::from_le_bytes(*bodies), rest)
                } else {
                    (NEVER, 0, rest)
                };
                let before = value.len() - rest.len();
                let (mut standings, mut tuples) = (Vec::new(), Vec::new());
                let (gone, apart) = if kind == kind::APART || kind == kind::TIMED_APART || parts {
                    let (gone, rest) = rest.split_at_checked(octets).ok_or(size(before + 2 * octets))?;
                    let (places, refs) = rest.split_at_checked(octets).ok_or(size(before + 2 * octets))?;
                    let places = Bits::from_octets(places, count);
                    let refs = if parts {
                        let size_refs = size_of::<BodyRef>() * usize::from(places.count());
                        let (refs, rest) = refs.split_at_checked(size_refs).ok_or(size(before + 2 * octets + size_refs))?;
                        (standings, tuples) = read_parts(rest, count)?;
                        refs
                    } else {
                        refs
                    };
                    let (refs, odd) = refs.as_chunks();
                    let apart = Apart::new(places, refs.iter().map(BodyRef::decode).collect()).filter(|_| odd.is_empty());
                    let whole = before + 2 * octets + size_of::<BodyRef>() * usize::from(places.count());
                    let apart = apart.ok_or(size(whole))?;
                    (gone, (!parts || !apart.is_empty()).then(|| Box::new(apart)))
                } else if rest.is_empty() && !timed || rest.len() == octets {
                    (rest, None)
                } else {
                    return Err(size(before + octets));
                };
                Ok(Self::Chunk(ChunkEntry {
                    count,
                    bytes: u32::from_le_bytes(bytes),
                    gone: Bits::from_octets(gone, count),
                    due,
                    bodies,
                    apart,
                    standings,
                    tuples,
                    keys: None,
                }))
            }
            kind::HEAD => {
                let (next, rest) = rest.split_first_chunk::<8>().ok_or(size(24))?;
                let taken = rest.try_into().map_err(|_| size(24))?;
                Ok(Self::Head(HeadEntry {
                    next: Sequence(u64::from_le_bytes(*next)),
                    taken: Sequence(u64::from_le_bytes(taken)),
                }))
            }
            other => Err(StoredError::Kind(other)),
        }
    }
}

impl ChunkEntry {
    /// Which messages are gone, whose bodies lie apart, and where.
    fn push_bits(&self, apart: &Apart, out: &mut Vec<u8>) {
        let octets = gone_octets(self.count);
        out.extend(self.gone.octets().take(octets));
        out.extend(apart.places().octets().take(octets));
        out.extend(apart.refs().iter().flat_map(|body| body.encode()));
    }

    fn push_parts(&self, out: &mut Vec<u8>) {
        if !self.tuples.is_empty() {
            out.push(part::TUPLES);
            out.extend_from_slice(&(self.tuples.len() as u32).to_le_bytes());
            out.extend_from_slice(&self.tuples);
        }
        if self.standings.is_empty() {
            return;
        }
        out.push(part::STANDINGS);
        out.extend_from_slice(&((self.standings.len() * STANDING_RUN) as u32).to_le_bytes());
        for (run, standing) in &self.standings {
            out.extend_from_slice(&[run.start as u8, (run.end - 1) as u8]);
            out.extend_from_slice(&standing.encode());
        }
    }
}

/// What the parts of an entry say: where messages stand, and the entries of tuples.
type Parts = (Vec<(Range<u16>, Standing)>, Vec<u8>);

/// Reads the parts of an entry of `count` messages.
fn read_parts(mut rest: &[u8], count: u16) -> Result<Parts, StoredError> {
    let (mut standings, mut tuples) = (Vec::new(), Vec::new());
    let size = |expected, found| StoredError::Size { expected, found };
    if rest.is_empty() {
        return Err(size(5, 0));
    }
    while let Some((&tag, after)) = rest.split_first() {
        let (octets, after) = after.split_first_chunk::<4>().ok_or(size(5, rest.len()))?;
        let octets = u32::from_le_bytes(*octets) as usize;
        let (part, after) = after.split_at_checked(octets).ok_or(size(5 + octets, rest.len()))?;
        rest = after;
        if tag == part::TUPLES {
            let mut places_end = 0;
            if !each_entry(part, |place, _| places_end = places_end.max(place + 1)) {
                return Err(StoredError::Part(tag));
            }
            if places_end > count {
                return Err(StoredError::Count {
                    expected: count,
                    found: places_end,
                });
            }
            tuples = part.to_vec();
            continue;
        }
        if tag != part::STANDINGS {
            return Err(StoredError::Part(tag));
        }
        let (runs, odd) = part.as_chunks::<STANDING_RUN>();
        if !odd.is_empty() {
            return Err(size(octets - odd.len(), octets));
        }
        for run in runs {
            let [first, last, standing @ ..] = run;
            let places = u16::from(*first)..u16::from(*last) + 1;
            let standing = Standing::decode(standing).ok_or(StoredError::Part(tag))?;
            if places.is_empty() || places.end > count {
                return Err(StoredError::Count {
                    expected: count,
                    found: places.end,
                });
            }
            standings.push((places, standing));
        }
    }
    Ok((standings, tuples))
}

fn encode_keys(count: u16, keys: &ChunkKeys, out: &mut Vec<u8>) {
    out.extend_from_slice(&[VERSION, kind::KEYED]);
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&keys.of.to_le_bytes());
    out.extend(keys.places().octets().take(gone_octets(count)));
    out.extend(keys.keys().iter().flat_map(|key| key.to_le_bytes()));
}

/// Reads keys, and says what follows them.
fn decode_keys(count: u16, rest: &[u8], size: impl Fn(usize) -> StoredError) -> Result<(ChunkKeys, &[u8]), StoredError> {
    if count == 0 || count > 256 {
        return Err(StoredError::Count {
            expected: 256,
            found: count,
        });
    }
    let octets = gone_octets(count);
    let (of, rest) = rest.split_first_chunk::<8>().ok_or(size(24 + octets))?;
    let (places, rest) = rest.split_at_checked(octets).ok_or(size(24 + octets))?;
    let places = Bits::from_octets(places, count);
    let whole = size_of::<Key>() * usize::from(places.count());
    let (keys, rest) = rest.split_at_checked(whole).ok_or(size(24 + octets + whole))?;
    let (keys, _) = keys.as_chunks();
    let keys = keys.iter().map(|key| Key::from_le_bytes(*key)).collect();
    let keys = ChunkKeys::listed(u64::from_le_bytes(*of), places, keys).ok_or(size(24 + octets + whole))?;
    Ok((keys, rest))
}

fn gone_octets(count: u16) -> usize {
    usize::from(count).div_ceil(8)
}

/// Writes the header of a chunk's value, whose records are in place behind it.
pub(crate) fn seal(value: &mut [u8], count: u16) {
    let checksum = crc32fast::hash(&value[CHUNK_HEADER..]);
    value[..CHUNK_HEADER].fill(0);
    value[0] = VERSION;
    value[2..4].copy_from_slice(&count.to_le_bytes());
    value[4..8].copy_from_slice(&checksum.to_le_bytes());
}

/// Checks that `value` is the sealed chunk which the index describes.
pub(crate) fn verify(value: &[u8], count: u16, bytes: u32) -> Result<(), StoredError> {
    if value.is_empty() {
        return Err(StoredError::Missing);
    }
    let expected = CHUNK_HEADER + bytes as usize;
    if value.len() != expected {
        return Err(StoredError::Size {
            expected,
            found: value.len(),
        });
    }
    if value[0] != VERSION {
        return Err(StoredError::Version(value[0]));
    }
    let found = u16::from_le_bytes([value[2], value[3]]);
    if found != count {
        return Err(StoredError::Count { expected: count, found });
    }
    let expected = u32::from_le_bytes([value[4], value[5], value[6], value[7]]);
    let found = crc32fast::hash(&value[CHUNK_HEADER..]);
    if found != expected {
        return Err(StoredError::Checksum { expected, found });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::BodyId;
    use crate::shard::standing::Stage;

    fn entry(gone: Bits, apart: Option<Apart>) -> IndexEntry {
        IndexEntry::Chunk(ChunkEntry {
            count: 10,
            bytes: 0x1234,
            gone,
            due: NEVER,
            bodies: 0,
            apart: apart.map(Box::new),
            standings: Vec::new(),
            tuples: Vec::new(),
            keys: None,
        })
    }

    fn timed(due: Millis, bodies: u64, entry: IndexEntry) -> IndexEntry {
        match entry {
            IndexEntry::Chunk(entry) => IndexEntry::Chunk(ChunkEntry { due, bodies, ..entry }),
            head => head,
        }
    }

    fn standing(runs: &[(Range<u16>, Standing)], entry: IndexEntry) -> IndexEntry {
        match entry {
            IndexEntry::Chunk(entry) => IndexEntry::Chunk(ChunkEntry {
                standings: runs.to_vec(),
                ..entry
            }),
            head => head,
        }
    }

    fn examples() -> Vec<(IndexEntry, Vec<u8>)> {
        let body = |id| BodyRef {
            id: BodyId(id),
            size: 0x1_0000,
        };
        let of = |returns, stage| Standing { returns, stage };
        let (came_back, under_way) = (of(5, Stage::Ready), of(1, Stage::UnderWay));
        let mut places = Bits::of(1..2);
        places.insert_one(9);
        let listed = |gone: Bits| entry(gone, Apart::new(places, vec![body(5), body(6)]));
        let refs = [
            5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0,
        ];
        let keys = [
            0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        vec![
            (entry(Bits::default(), None), vec![1, 1, 10, 0, 0x34, 0x12, 0, 0]),
            (entry(Bits::of(7..9), None), vec![1, 1, 10, 0, 0x34, 0x12, 0, 0, 0x80, 1]),
            (
                listed(Bits::default()),
                [&[1, 3, 10, 0, 0x34, 0x12, 0, 0, 0, 0, 2, 2][..], &refs].concat(),
            ),
            (
                listed(Bits::of(7..10)),
                [&[1, 3, 10, 0, 0x34, 0x12, 0, 0, 0x80, 3, 2, 2][..], &refs].concat(),
            ),
            (
                timed(Millis(0x0102), 0, entry(Bits::of(7..9), None)),
                [&[1, 4, 10, 0, 0x34, 0x12, 0, 0, 2, 1][..], &[0; 14], &[0x80, 1]].concat(),
            ),
            (
                timed(NEVER, 7, listed(Bits::default())),
                [
                    &[1, 5, 10, 0, 0x34, 0x12, 0, 0][..],
                    &[0xff; 8],
                    &[7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2],
                    &refs,
                ]
                .concat(),
            ),
            (
                standing(&[(0..1, came_back), (3..10, under_way)], entry(Bits::of(7..9), None)),
                [
                    &[1, 7, 10, 0, 0x34, 0x12, 0, 0][..],
                    &[0xff; 8],
                    &[0; 8],
                    &[0x80, 1, 0, 0, 1, 30, 0, 0, 0],
                    &[0, 0, 2, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                    &[3, 9, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                ]
                .concat(),
            ),
            (
                standing(&[(9..10, under_way)], timed(Millis(3), 7, listed(Bits::default()))),
                [
                    &[
                        1, 7, 10, 0, 0x34, 0x12, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2,
                    ][..],
                    &refs,
                    &[1, 15, 0, 0, 0, 9, 9, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                ]
                .concat(),
            ),
            (
                keyed(entry(Bits::of(7..9), None)),
                [
                    &[1, 6, 10, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0x10, 2][..],
                    &keys,
                    &[1, 1, 10, 0, 0x34, 0x12, 0, 0, 0x80, 1],
                ]
                .concat(),
            ),
            (
                keyed(timed(Millis(0x1_0002), 0x30, listed(Bits::default()))),
                [
                    &[1, 6, 10, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0x10, 2][..],
                    &keys,
                    &[
                        1, 5, 10, 0, 0x34, 0x12, 0, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0x30, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2,
                    ],
                    &refs,
                ]
                .concat(),
            ),
        ]
    }

    /// The messages 4 and 9 have keys.
    fn keyed(entry: IndexEntry) -> IndexEntry {
        let mut keys = ChunkKeys::new(7);
        keys.insert(9, 2);
        keys.insert(4, 1 << 64);
        match entry {
            IndexEntry::Chunk(entry) => IndexEntry::Chunk(ChunkEntry {
                keys: Some(Box::new(keys)),
                ..entry
            }),
            head => head,
        }
    }

    #[test]
    fn entries_are_written_as_documented_and_read_back() {
        for (entry, value) in examples() {
            assert_eq!(entry.encode(), value);
            assert_eq!(IndexEntry::decode(&value), Ok(entry));
        }
    }

    #[test]
    fn an_entry_of_another_size_is_refused() {
        for (entry, value) in examples() {
            // An entry of kind 1 is whole without its bits, too.
            let bare = match value[1] {
                kind::CHUNK => 8,
                kind::KEYED if value[1 + 50] == kind::CHUNK => 50 + 8,
                _ => usize::MAX,
            };
            for end in (0..value.len()).filter(|&end| end != bare) {
                assert!(IndexEntry::decode(&value[..end]).is_err(), "{entry:?} cut at {end}");
            }
            let longer = [&value[..], &[0; 3]].concat();
            assert!(IndexEntry::decode(&longer).is_err(), "{entry:?} with more behind it");
        }
    }
}
