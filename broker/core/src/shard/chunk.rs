//! A chunk: up to 256 records or 256 KiB of a queue, the one unit in memory, in the store and in paging. It knows its records' places and
//! what became of them; it knows neither consumers nor the store.
//!
//! In memory a chunk's value has the shape that it has in the table (`stored.rs`): room for a header, then the records back to back.

use std::ops::Range;
use std::sync::Arc;

use crate::ids::{BodyId, Millis, Sequence};
use crate::record::{BodyRef, Record, Records, flags};
use crate::shard::apart::Apart;
use crate::shard::bits::Bits;
use crate::shard::body::{Body, Value};
use crate::shard::effects::Reason;
use crate::shard::fit::{Fit, fit, length_at};
use crate::shard::keys::ChunkKeys;
use crate::shard::limits::body_bytes;
use crate::shard::stored::{self, CHUNK_HEADER, ChunkEntry, StoredError};
use crate::shard::timers::NEVER;

/// Records in a chunk.
pub(crate) const RECORDS_MAX: u16 = 256;
/// Octets of a chunk's value. A larger record is alone in its chunk.
pub(crate) const BYTES_MAX: usize = 256 << 10;
/// Octets of bodies apart that a chunk's unsettled records refer to. A larger body is alone in its chunk. Bodies come and go with their
/// chunk, so this is half of what is read ahead for a queue: while one chunk is delivered, the next one comes.
pub(crate) const BODIES_MAX: u64 = 512 << 10;

/// What a chunk is besides its numbers; a set of flags, to keep a paged-out chunk at 48 octets.
pub(crate) mod state {
    /// Nothing is appended any more.
    pub(crate) const CLOSED: u16 = 1;
    /// Some records are persistent: the chunk concerns journal and index.
    pub(crate) const PERSISTENT: u16 = 2;
    /// Some records are transient.
    pub(crate) const TRANSIENT: u16 = 4;
    /// Its value was asked for.
    pub(crate) const LOADING: u16 = 8;
    /// Its value was given to the store, and is not readable there yet.
    pub(crate) const IN_FLIGHT: u16 = 16;
    /// It leaves memory once it is readable in the store.
    pub(crate) const LEAVING: u16 = 32;
    /// The index entry in the table is older than what is known here.
    pub(crate) const ENTRY_OLD: u16 = 64;
    /// What the store gave back was not this chunk.
    pub(crate) const DAMAGED: u16 = 128;
    /// Some records name a time.
    pub(crate) const TIMED: u16 = 256;
    /// A record may be due, and the value was asked for to see which.
    pub(crate) const LOOKING: u16 = 512;
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
    pub(crate) state: u16,
    /// No ready message is due before.
    pub(crate) due: Millis,
    /// Octets of the bodies of its ready messages, as far as its queue counts them.
    pub(crate) bodies: u64,
    /// Absent where it would say nothing: paged out, nothing settled, not of mixed persistence, no bodies apart, no keys.
    body: Option<Box<Body>>,
}

/// 100 million paged-out messages are to fit into memory: these are 20 MB for them.
const _: () = assert!(size_of::<Chunk>() == 48);

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
            due: NEVER,
            bodies: 0,
            body: Some(body),
        }
    }

    /// A chunk that is in the table, as its index entry describes it.
    pub(crate) fn restored(first: Sequence, entry: &ChunkEntry) -> Self {
        let apart = entry.apart.clone().and_then(|mut apart| {
            apart.remove(entry.gone, |_| {});
            (!apart.is_empty()).then_some(apart)
        });
        let keys = entry.keys.clone().map(|mut keys| {
            keys.remove(entry.gone, |_, _| ());
            keys
        });
        let body = (!entry.gone.is_empty() || apart.is_some() || keys.is_some()).then(|| {
            Box::new(Body {
                settled: entry.gone,
                apart,
                keys,
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
            state: state::CLOSED | state::PERSISTENT | if entry.due == NEVER { 0 } else { state::TIMED },
            due: entry.due,
            bodies: entry.bodies,
            body,
        }
    }

    pub(crate) fn is(&self, state: u16) -> bool {
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
    /// Octets of its records and of the bodies that the unsettled ones refer to.
    pub(crate) fn weight(&self) -> u64 {
        u64::from(self.bytes) + self.apart().map_or(0, Apart::bytes)
    }
    pub(crate) fn apart(&self) -> Option<&Apart> {
        self.body.as_ref().and_then(|body| body.apart.as_deref())
    }
    /// The keys of its unsettled records, if they are listed.
    pub(crate) fn keys(&self) -> Option<&ChunkKeys> {
        self.body.as_ref().and_then(|body| body.keys.as_deref())
    }
    pub(crate) fn keys_mut(&mut self) -> Option<&mut ChunkKeys> {
        self.keys_slot()?.as_deref_mut()
    }
    /// Where they are listed; nowhere, if nothing of the chunk is in memory.
    pub(crate) fn keys_slot(&mut self) -> Option<&mut Option<Box<ChunkKeys>>> {
        self.body.as_deref_mut().map(|body| &mut body.keys)
    }
    /// What its unsettled records refer to.
    pub(crate) fn refs(&self) -> &[BodyRef] {
        self.apart().map_or(&[], Apart::refs)
    }
    pub(crate) fn live(&self) -> u16 {
        self.count - self.settled_count
    }
    pub(crate) fn is_resident(&self) -> bool {
        self.body.as_ref().is_some_and(|body| !matches!(body.value, Value::Paged))
    }
    /// Octets of memory beyond its own 48.
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
        let gone = self.settled().union(self.transient());
        self.keys().map_or(gone, |keys| gone.union(keys.replaced))
    }
    /// A persistent record is not settled.
    pub(crate) fn has_live_persistent(&self) -> bool {
        self.is(state::PERSISTENT) && (!self.is(state::TRANSIENT) && self.live() > 0 || self.gone().count() < self.count)
    }
    pub(crate) fn into_body(self) -> Option<Box<Body>> {
        self.body
    }

    /// What it is in the table, but for the header; absent if it is not in memory.
    pub(crate) fn value(&self) -> Option<&[u8]> {
        self.body.as_ref().map(|body| body.value.octets()).filter(|_| self.is_resident())
    }

    /// Its records in memory, with their places.
    pub(crate) fn each(&self) -> impl Iterator<Item = (u16, Record<'_>)> {
        let value = self.body.as_ref().map_or(&[][..], |body| body.value.octets());
        let records = Records {
            bytes: value.get(CHUNK_HEADER..).unwrap_or_default(),
            count: self.count.into(),
        };
        (0..self.count).zip(records.iter())
    }

    /// Which of these places, in memory, are due by `upto`, and when the next of the others is.
    pub(crate) fn dues(&self, places: Bits, upto: Option<Millis>) -> (Bits, Millis) {
        let (mut due, mut next) = (Bits::default(), NEVER);
        if self.is(state::TIMED) {
            for (place, record) in self.each().filter(|(place, _)| places.contains(*place)) {
                match record.due() {
                    Some(time) if upto.is_some_and(|upto| time <= upto) => due.insert_one(place),
                    Some(time) => next = next.min(time),
                    None => {}
                }
            }
        }
        (due, next)
    }

    /// These places, in memory, as the runs in which they leave, and what orders them: those that are due each at their time.
    pub(crate) fn letters(&self, places: Bits, reason: Reason) -> Vec<(Range<u16>, u64)> {
        if reason != Reason::Due {
            return places.runs().map(|run| (run, 0)).collect();
        }
        let mut runs: Vec<(Range<u16>, u64)> = Vec::new();
        for (place, record) in self.each().filter(|(place, _)| places.contains(*place)) {
            let due = record.due().map_or(0, |due| due.0);
            match runs.last_mut().filter(|(run, order)| run.end == place && *order == due) {
                Some((run, _)) => run.end += 1,
                None => runs.push((place..place + 1, due)),
            }
        }
        runs
    }

    /// Octets of the bodies of these places, in memory.
    pub(crate) fn body_bytes(&self, places: Bits) -> u64 {
        let of = self.each().filter(|(place, _)| places.contains(*place));
        of.map(|(_, record)| body_bytes(record)).sum()
    }

    /// How many places from the front of a run, in memory, have bodies of `bytes` octets together.
    pub(crate) fn places_for(&self, run: Range<u16>, bytes: u64) -> u16 {
        let mut left = bytes;
        let bodies = self.each().skip(run.start.into()).take(run.len());
        let needed = bodies.take_while(|(_, record)| {
            let needed = left > 0;
            left = left.saturating_sub(body_bytes(*record));
            needed
        });
        needed.count() as u16
    }

    /// How many records of a run can be appended.
    pub(crate) fn room_for(&self, records: Records<'_>) -> Fit {
        if self.is(state::CLOSED) {
            return Fit::default();
        }
        let count = (records.count.min(RECORDS_MAX.into()) as u16).min(RECORDS_MAX - self.count);
        fit(
            records.bytes,
            count,
            (BYTES_MAX - CHUNK_HEADER).saturating_sub(self.bytes as usize),
            BODIES_MAX.saturating_sub(self.apart().map_or(0, Apart::bytes)),
        )
    }

    /// Appends records that [`room_for`](Self::room_for) has measured.
    pub(crate) fn append(&mut self, records: &[u8], fit: Fit) {
        let Some(Body {
            value: Value::Own(value),
            transient,
            apart,
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
        if fit.any & flags::TIMED != 0 {
            self.state |= state::TIMED;
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
        if fit.any & flags::APART != 0 {
            let records = Records {
                bytes: &records[..fit.bytes],
                count: fit.count.into(),
            };
            apart.get_or_insert_default().extend(places.start, records);
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

    /// The record at a place, in memory.
    pub(crate) fn record(&mut self, place: u16) -> Option<Record<'_>> {
        let offset = self.offset(place);
        let value = self.body.as_ref()?.value.octets();
        value.get(offset..).and_then(Record::first_of)
    }

    /// The records of `places`, which must be in memory, or as many of them as take `bytes_max` octets, with their bodies and with `overhead`
    /// for each; at least one. Returns where they end and what they take.
    pub(crate) fn records(&mut self, places: Range<u16>, bytes_max: u64, overhead: u64) -> (u16, u64, &[u8]) {
        let start = self.offset(places.start);
        let rest = CHUNK_HEADER + self.bytes as usize - start;
        let all = rest as u64 + overhead * places.len() as u64 + self.apart().map_or(0, |apart| apart.bytes_of(places.clone()));
        let (end, used, end_offset) = if places.end == self.count && all <= bytes_max {
            (places.end, all, start + rest)
        } else {
            self.walk(places, start, bytes_max, overhead)
        };
        let Some(body) = self.body.as_deref_mut() else {
            return (end, used, &[]);
        };
        body.known = (end, end_offset as u32);
        (end, used, &body.value.octets()[start..end_offset])
    }

    fn walk(&self, places: Range<u16>, start: usize, bytes_max: u64, overhead: u64) -> (u16, u64, usize) {
        let (value, apart) = (self.body.as_ref().map_or(&[][..], |body| body.value.octets()), self.apart());
        let (mut at, mut offset, mut used) = (places.start, start, 0);
        while at < places.end {
            let length = length_at(&value[offset..]);
            let takes = length as u64 + overhead + apart.map_or(0, |apart| apart.bytes_of(at..at + 1));
            if used + takes > bytes_max && at > places.start {
                break;
            }
            used += takes;
            offset += length;
            at += 1;
        }
        (at, used, offset)
    }

    /// Marks places as settled that are not. Names the bodies that their records referred to, and returns these bodies' octets.
    pub(crate) fn settle(&mut self, places: Bits, released: impl FnMut(BodyId)) -> u64 {
        let body = self.body.get_or_insert_default();
        debug_assert!(body.settled.and(places).is_empty(), "invariant 3: a message is settled once");
        body.settled.insert(places);
        self.settled_count += places.count();
        body.apart.as_deref_mut().map_or(0, |apart| apart.remove(places, released))
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
    pub(crate) fn entry(&self, durable: bool, due: Millis, bodies: u64) -> ChunkEntry {
        let gone = if durable { self.gone() } else { Bits::of(0..self.count) };
        ChunkEntry {
            count: self.count,
            bytes: self.bytes,
            gone,
            due,
            bodies,
            standings: Vec::new(),
            tuples: Vec::new(),
            apart: self.apart().filter(|apart| !apart.is_empty()).cloned().map(Box::new),
            keys: self.keys().cloned().map(Box::new),
        }
    }

    /// Leaves memory. The numbers stay, and the bits where they say something.
    pub(crate) fn page_out(&mut self) {
        let mixed = self.is(state::PERSISTENT) && self.is(state::TRANSIENT);
        if let Some(body) = self.body.as_deref_mut() {
            body.apart = body.apart.take().filter(|apart| !apart.is_empty());
            body.apart.as_mut().into_iter().for_each(|apart| apart.shrink());
        }
        match self.body.as_deref_mut() {
            Some(body) if mixed || self.settled_count > 0 || body.apart.is_some() || body.keys.is_some() => {
                body.value = Value::Paged;
                body.known = (0, 0);
            }
            _ => self.body = None,
        }
    }

    /// Checks that the list of bodies says what the unsettled records say.
    pub(crate) fn invariants(&self) {
        let Some(apart) = self.apart() else { return };
        assert!(apart.places().and(self.settled()).is_empty(), "what is settled refers to nothing");
        assert_eq!(Some(apart), Apart::new(apart.places(), apart.refs().to_vec()).as_ref());
        let Some(body) = self.body.as_deref().filter(|_| self.is_resident()) else {
            return;
        };
        let records = Records {
            bytes: &body.value.octets()[CHUNK_HEADER..],
            count: self.count.into(),
        };
        let unsettled = (0..self.count)
            .zip(records.iter())
            .filter(|(place, _)| !body.settled.contains(*place));
        let refs = unsettled.filter_map(|(_, record)| Record::body_ref(record));
        assert!(refs.eq(apart.refs().iter().copied()), "every reference is listed");
    }

    /// Comes back into memory.
    pub(crate) fn page_in(&mut self, value: Vec<u8>) -> Result<(), StoredError> {
        stored::verify(&value, self.count, self.bytes)?;
        self.body.get_or_insert_default().value = Value::Own(value);
        Ok(())
    }
}
