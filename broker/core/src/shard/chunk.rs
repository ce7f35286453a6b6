//! A chunk: up to 256 records or 256 KiB of a queue, the one unit in memory, in the store and in paging. It knows its records' places and
//! what became of them; it knows neither consumers nor the store.
//!
//! In memory a chunk's value has the shape that it has in the table (`stored.rs`): room for a header, then the records back to back.

use std::ops::Range;
use std::sync::Arc;

use crate::ids::Sequence;
use crate::record::{Records, flags};
use crate::shard::bits::Bits;
use crate::shard::body::{Body, Value};
use crate::shard::fit::{Fit, fit, length_at};
use crate::shard::stored::{self, CHUNK_HEADER, ChunkEntry, StoredError};

/// Records in a chunk.
pub(crate) const RECORDS_MAX: u16 = 256;
/// Octets of a chunk's value. A larger record is alone in its chunk.
pub(crate) const BYTES_MAX: usize = 256 << 10;

/// What a chunk is besides its numbers; a set of flags, to keep a paged-out chunk at 32 octets.
pub(crate) mod state {
    /// Nothing is appended any more.
    pub(crate) const CLOSED: u8 = 1;
    /// Some records are persistent: the chunk concerns journal and index.
    pub(crate) const PERSISTENT: u8 = 2;
    /// Some records are transient.
    pub(crate) const TRANSIENT: u8 = 4;
    /// Its value was asked for.
    pub(crate) const LOADING: u8 = 8;
    /// Its value was given to the store, and is not readable there yet.
    pub(crate) const IN_FLIGHT: u8 = 16;
    /// It leaves memory once it is readable in the store.
    pub(crate) const LEAVING: u8 = 32;
    /// The index entry in the table is older than what is known here.
    pub(crate) const ENTRY_OLD: u8 = 64;
    /// What the store gave back was not this chunk.
    pub(crate) const DAMAGED: u8 = 128;
}

#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) first: Sequence,
    /// Octets of its records.
    bytes: u32,
    count: u16,
    settled_count: u16,
    /// Records from the start that the store was given.
    pub(crate) submitted: u16,
    /// Records from the start that were offered to the journal.
    pub(crate) collected: u16,
    pub(crate) state: u8,
    /// Absent where it would say nothing: paged out, nothing settled, not of mixed persistence.
    body: Option<Box<Body>>,
}

impl Chunk {
    /// An open chunk without records.
    pub(crate) fn new(first: Sequence, body: Box<Body>) -> Self {
        Self {
            first,
            bytes: 0,
            count: 0,
            settled_count: 0,
            submitted: 0,
            collected: 0,
            state: 0,
            body: Some(body),
        }
    }

    /// A chunk that is in the table, as its index entry describes it.
    pub(crate) fn restored(first: Sequence, entry: &ChunkEntry) -> Self {
        let body = (!entry.gone.is_empty()).then(|| {
            Box::new(Body {
                settled: entry.gone,
                ..Body::default()
            })
        });
        Self {
            first,
            bytes: entry.bytes,
            count: entry.count,
            settled_count: entry.gone.count(),
            submitted: entry.count,
            collected: entry.count,
            state: state::CLOSED | state::PERSISTENT,
            body,
        }
    }

    pub(crate) fn is(&self, state: u8) -> bool {
        self.state & state != 0
    }
    pub(crate) fn count(&self) -> u16 {
        self.count
    }
    /// The sequence behind its last record.
    pub(crate) fn end(&self) -> Sequence {
        self.first.plus(self.count.into())
    }
    pub(crate) fn bytes(&self) -> u32 {
        self.bytes
    }
    pub(crate) fn live(&self) -> u16 {
        self.count - self.settled_count
    }
    pub(crate) fn is_resident(&self) -> bool {
        self.body.as_ref().is_some_and(|body| !matches!(body.value, Value::Paged))
    }
    /// Octets of memory beyond its own 32.
    pub(crate) fn footprint(&self) -> usize {
        self.body.as_ref().map_or(0, |body| body.footprint())
    }
    /// The place of a sequence that is in this chunk.
    pub(crate) fn index(&self, sequence: Sequence) -> u16 {
        debug_assert!(sequence >= self.first && sequence <= self.end());
        (sequence.0 - self.first.0) as u16
    }
    /// The places of this chunk's part of a run of sequences that does not end before it.
    pub(crate) fn places(&self, first: Sequence, end: Sequence) -> Range<u16> {
        self.index(first.max(self.first))..self.index(end.min(self.end()))
    }
    pub(crate) fn settled(&self) -> Bits {
        self.body.as_ref().map_or_else(Bits::default, |body| body.settled)
    }
    /// The transient records.
    fn transient(&self) -> Bits {
        match (self.is(state::PERSISTENT), &self.body) {
            (false, _) => Bits::of(0..self.count),
            (true, Some(body)) if self.is(state::TRANSIENT) => body.transient,
            _ => Bits::default(),
        }
    }
    /// Those that a restart must not bring back.
    pub(crate) fn gone(&self) -> Bits {
        self.settled().union(self.transient())
    }
    /// A persistent record is not settled.
    pub(crate) fn has_live_persistent(&self) -> bool {
        self.is(state::PERSISTENT) && (!self.is(state::TRANSIENT) && self.live() > 0 || self.gone().count() < self.count)
    }
    pub(crate) fn into_body(self) -> Option<Box<Body>> {
        self.body
    }

    /// How many records of a run can be appended.
    pub(crate) fn room_for(&self, records: Records<'_>) -> Fit {
        if self.is(state::CLOSED) {
            return Fit::default();
        }
        let count = (records.count.min(RECORDS_MAX.into()) as u16).min(RECORDS_MAX - self.count);
        fit(records.bytes, count, (BYTES_MAX - CHUNK_HEADER).saturating_sub(self.bytes as usize))
    }

    /// Appends records that [`room_for`](Self::room_for) has measured.
    pub(crate) fn append(&mut self, records: &[u8], fit: Fit) {
        let Some(Body {
            value: Value::Own(value),
            transient,
            ..
        }) = self.body.as_deref_mut()
        else {
            unreachable!("an open chunk is in memory and not shared");
        };
        if value.capacity() - value.len() < fit.bytes {
            let wanted = (value.capacity() * 2).min(BYTES_MAX).max(value.len() + fit.bytes);
            value.reserve_exact(wanted - value.len());
        }
        value.extend_from_slice(&records[..fit.bytes]);
        let places = self.count..self.count + fit.count;
        if fit.any & flags::PERSISTENT != 0 {
            self.state |= state::PERSISTENT;
        }
        if fit.all & flags::PERSISTENT == 0 {
            self.state |= state::TRANSIENT;
            if fit.any & flags::PERSISTENT == 0 {
                transient.insert(Bits::of(places.clone()));
            } else {
                let mut rest = records;
                for place in places.clone() {
                    if rest[4] & flags::PERSISTENT == 0 {
                        transient.insert_one(place);
                    }
                    rest = &rest[length_at(rest)..];
                }
            }
        }
        self.bytes += fit.bytes as u32;
        self.count = places.end;
    }

    /// The offset in the value of the record at a place (of the end of the value, for the place behind the last).
    fn offset(&mut self, place: u16) -> usize {
        let (count, bytes) = (self.count, self.bytes as usize);
        let Some(body) = self.body.as_deref_mut() else { return 0 };
        if place == count {
            return CHUNK_HEADER + bytes;
        }
        let (mut at, mut offset) = match body.known {
            (known, offset) if known <= place && offset > 0 => (known, offset as usize),
            _ => (0, CHUNK_HEADER),
        };
        let value = body.value.octets();
        while at < place {
            offset += length_at(&value[offset..]);
            at += 1;
        }
        body.known = (at, offset as u32);
        offset
    }

    /// The records of `places`, which must be in memory, or as many of them as take `bytes_max` octets with `overhead` for each; at least one.
    /// Returns where they end.
    pub(crate) fn records(&mut self, places: Range<u16>, bytes_max: u64, overhead: u64) -> (u16, &[u8]) {
        let start = self.offset(places.start);
        let rest = CHUNK_HEADER + self.bytes as usize - start;
        let whole = places.end == self.count && rest as u64 + overhead * places.len() as u64 <= bytes_max;
        let (end, end_offset) = if whole {
            (places.end, start + rest)
        } else {
            self.walk(places, start, bytes_max, overhead)
        };
        let Some(body) = self.body.as_deref_mut() else { return (end, &[]) };
        body.known = (end, end_offset as u32);
        (end, &body.value.octets()[start..end_offset])
    }

    fn walk(&self, places: Range<u16>, start: usize, bytes_max: u64, overhead: u64) -> (u16, usize) {
        let value = self.body.as_ref().map_or(&[][..], |body| body.value.octets());
        let (mut at, mut offset, mut used) = (places.start, start, 0);
        while at < places.end {
            let length = length_at(&value[offset..]);
            used += length as u64 + overhead;
            if used > bytes_max && at > places.start {
                break;
            }
            offset += length;
            at += 1;
        }
        (at, offset)
    }

    /// Marks places as settled that are not.
    pub(crate) fn settle(&mut self, places: Bits) {
        let body = self.body.get_or_insert_default();
        debug_assert!(body.settled.and(places).is_empty(), "invariant 3: a message is settled once");
        body.settled.insert(places);
        self.settled_count += places.count();
    }

    /// The records that the journal has not been offered, as runs of persistent unsettled ones; from then on it has.
    pub(crate) fn collect(&mut self, mut run: impl FnMut(Sequence, Records<'_>)) {
        let gone = self.gone();
        let (first, places, bytes) = (self.first, self.collected..self.count, self.bytes);
        self.collected = self.count;
        let Some(body) = self.body.as_deref_mut() else { return };
        let value = body.value.octets();
        let mut at = places.start;
        let mut offset = (body.uncollected_at as usize).max(CHUNK_HEADER);
        let mut skip_to = |place: u16| {
            if place == places.end {
                (at, offset) = (place, CHUNK_HEADER + bytes as usize);
            }
            while at < place {
                offset += length_at(&value[offset..]);
                at += 1;
            }
            offset
        };
        for gap in gone.gaps(places.clone()) {
            let (start, end) = (skip_to(gap.start), skip_to(gap.end));
            run(
                first.plus(gap.start.into()),
                Records {
                    bytes: &value[start..end],
                    count: gap.len() as u32,
                },
            );
        }
        body.uncollected_at = (CHUNK_HEADER + bytes as usize) as u32;
    }

    /// A persistent unsettled record was not offered to the journal.
    pub(crate) fn awaits_collect(&self) -> bool {
        self.is(state::PERSISTENT) && self.collected < self.count && !self.gone().gap(self.collected..self.count).is_empty()
    }

    /// Gives up room that it does not use.
    pub(crate) fn shrink(&mut self) {
        if let Some(Body {
            value: Value::Own(value), ..
        }) = self.body.as_deref_mut()
        {
            value.shrink_to_fit();
        }
    }

    /// The value for the store. Of an open chunk, a copy: it will grow.
    pub(crate) fn share(&mut self) -> Option<Arc<Vec<u8>>> {
        let (count, closed) = (self.count, self.is(state::CLOSED));
        let body = self.body.as_deref_mut()?;
        let shared = match std::mem::take(&mut body.value) {
            Value::Paged => return None,
            Value::Own(value) if !closed => {
                let mut copy = value.clone();
                body.value = Value::Own(value);
                stored::seal(&mut copy, count);
                return Some(Arc::new(copy));
            }
            Value::Own(mut value) => {
                stored::seal(&mut value, count);
                Arc::new(value)
            }
            Value::Shared(value) => value,
        };
        body.value = Value::Shared(Arc::clone(&shared));
        Some(shared)
    }

    /// What the index must know of it.
    pub(crate) fn entry(&self, durable: bool) -> ChunkEntry {
        let gone = if durable { self.gone() } else { Bits::of(0..self.count) };
        ChunkEntry {
            count: self.count,
            bytes: self.bytes,
            gone,
        }
    }

    /// Leaves memory. The numbers stay, and the bits where they say something.
    pub(crate) fn page_out(&mut self) {
        let mixed = self.is(state::PERSISTENT) && self.is(state::TRANSIENT);
        match self.body.as_deref_mut() {
            Some(body) if mixed || self.settled_count > 0 => {
                body.value = Value::Paged;
                body.known = (0, 0);
            }
            _ => self.body = None,
        }
    }

    /// Comes back into memory.
    pub(crate) fn page_in(&mut self, value: Vec<u8>) -> Result<(), StoredError> {
        stored::verify(&value, self.count, self.bytes)?;
        self.body.get_or_insert_default().value = Value::Own(value);
        Ok(())
    }
}
