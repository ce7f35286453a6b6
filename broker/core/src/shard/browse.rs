//! Looking at what is in a queue, one chunk at a time. Nothing changes by that: no order, no flag, no count, and no chunk comes into memory for it.
//!
//! What is in the store only is read there by whoever looks, and given along with the next call. A look could bring the chunk in as `basic.get`
//! does it; but then it would push out what consumers need, and might be pushed out itself before it was looked at.

use std::ops::ControlFlow;

use crate::ids::{Millis, QueueId, Sequence};
use crate::record::{Record, Records};
use crate::shard::Shard;
use crate::shard::bits::Bits;
use crate::shard::chunk::Chunk;
use crate::shard::lane::{Lane, lane_of};
use crate::shard::queue::Queue;
use crate::shard::stored::{self, CHUNK_HEADER, StoredError};

/// Where a message of a queue stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageState {
    /// It waits for a consumer.
    Ready,
    /// It was delivered and is not settled.
    Unacked,
    /// It came back and waits before it is ready again, or a delayed-message exchange holds it back.
    Delayed,
    /// It is on its way to another queue.
    Dead,
}

impl MessageState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ready, Self::Unacked, Self::Delayed, Self::Dead];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Unacked => "unacked",
            Self::Delayed => "delayed",
            Self::Dead => "dead",
        }
    }
}

/// What of a queue is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// From this message on; absent: from the first. Messages come in the order in which they would be delivered if all of them were ready: by
    /// priority, the highest first, then by sequence.
    pub from: Option<Sequence>,
    /// Only those that stand like that.
    pub only: Option<MessageState>,
}

/// A message that is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Its position in the queue, which is its own as long as it is there.
    pub sequence: Sequence,
    /// Where it stands.
    pub state: MessageState,
    /// The next delivery will be marked so: it may have been delivered before.
    pub redelivered: bool,
    /// How often it came back, where the queue counts that.
    pub returns: u32,
    /// When it is ready again, if it waits for that; otherwise when it expires, or goes on.
    pub due: Option<Millis>,
    /// The message, in the chunk: copy what must stay.
    pub record: Record<'a>,
}

/// A chunk's value as it is in the store.
#[derive(Clone, Copy, Debug)]
pub struct ChunkValue<'a> {
    /// The sequence at which the chunk starts.
    pub first: Sequence,
    /// The value; empty if there was none.
    pub octets: &'a [u8],
}

/// How far a look came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// The next look goes on from here; it may be that nothing is there.
    Upto(Sequence),
    /// There is no more, or no such queue.
    All,
    /// The next chunk is in the store only: look again, from where this look began, with its value.
    Stored {
        /// The sequence at which it starts.
        chunk: Sequence,
    },
    /// What was read from the store is not the chunk. Its messages cannot be looked at; those behind it can.
    Damaged {
        /// The sequence at which it starts.
        chunk: Sequence,
        /// The first message behind it.
        next: Sequence,
        /// What is wrong.
        error: StoredError,
    },
}

/// Chunks that one look passes over at most because nothing in them is wanted.
const PASSED_MAX: usize = 4096;

impl Shard {
    /// Looks at the messages of one chunk: the first one with something that is wanted. `each` may end the look: the message at hand is then the next one to
    /// be looked at. Only a copy of the chunk's value costs anything; call it once a batch of 256 messages.
    pub fn look_at(
        &self,
        queue: QueueId,
        look: Look,
        stored: Option<ChunkValue<'_>>,
        mut each: impl FnMut(Seen<'_>) -> ControlFlow<()>,
    ) -> Looked {
        let Some(queue) = self.queues.get(&queue) else { return Looked::All };
        let last = look.from.map_or(u8::MAX, lane_of);
        let mut lanes: Vec<&Lane> = queue.lanes.iter().filter(|lane| lane.id.index <= last).collect();
        let mut passed = 0;
        while let Some(lane) = lanes.pop() {
            let from = look.from.filter(|from| lane_of(*from) == lane.id.index).unwrap_or(lane.id.start());
            for at in lane.find(from)..lane.chunks.len() {
                let chunk = &lane.chunks[at];
                let wanted = queue.wanted(lane, at, from, look.only);
                if !wanted.is_empty() {
                    return queue.show(lane, at, wanted, stored, &mut each);
                }
                passed += 1;
                if passed == PASSED_MAX {
                    return Looked::Upto(chunk.end());
                }
            }
        }
        Looked::All
    }

    /// Where a message stands; `None` if it is not there any more, or never was.
    #[must_use]
    pub fn state_of(&self, queue: QueueId, sequence: Sequence) -> Option<MessageState> {
        self.queues.get(&queue)?.state_of(sequence)
    }
}

impl Queue {
    pub(crate) fn state_of(&self, sequence: Sequence) -> Option<MessageState> {
        let lane = self.lanes.get(lane_of(sequence))?;
        let (at, place) = lane.place_of(sequence)?;
        MessageState::ALL
            .into_iter()
            .find(|state| self.places(lane, at, *state).contains(place))
    }

    /// The places of a chunk whose messages stand like that.
    fn places(&self, lane: &Lane, at: usize, state: MessageState) -> Bits {
        let is_held_back = self.settings.as_ref().is_some_and(|settings| settings.delays);
        match state {
            MessageState::Ready if is_held_back => Bits::default(),
            MessageState::Ready => lane.ready_places(at),
            MessageState::Delayed if is_held_back => lane.ready_places(at).union(lane.delayed_places(at)),
            MessageState::Delayed => lane.delayed_places(at),
            MessageState::Dead => lane.aside_places(at).without(lane.delayed_places(at)),
            MessageState::Unacked => Bits::of(0..lane.chunks[at].count())
                .without(lane.chunks[at].settled())
                .without(lane.ready_places(at))
                .without(lane.aside_places(at)),
        }
    }

    /// The places of a chunk that are to be looked at.
    fn wanted(&self, lane: &Lane, at: usize, from: Sequence, only: Option<MessageState>) -> Bits {
        let chunk = &lane.chunks[at];
        let before = Bits::of(0..chunk.index(from.max(chunk.first).min(chunk.end())));
        match only {
            None => Bits::of(0..chunk.count()).without(chunk.settled()),
            Some(state) => self.places(lane, at, state),
        }
        .without(before)
    }

    fn show(
        &self,
        lane: &Lane,
        at: usize,
        wanted: Bits,
        stored: Option<ChunkValue<'_>>,
        each: &mut impl FnMut(Seen<'_>) -> ControlFlow<()>,
    ) -> Looked {
        let chunk = &lane.chunks[at];
        let value = match (chunk.value(), stored) {
            (Some(value), _) => value,
            (None, Some(stored)) if stored.first == chunk.first => {
                if let Err(error) = stored::verify(stored.octets, chunk.count(), chunk.bytes()) {
                    let (chunk, next) = (chunk.first, chunk.end());
                    return Looked::Damaged { chunk, next, error };
                }
                stored.octets
            }
            _ => return Looked::Stored { chunk: chunk.first },
        };
        let states = MessageState::ALL.map(|state| (state, self.places(lane, at, state)));
        let records = Records {
            bytes: value.get(CHUNK_HEADER..).unwrap_or_default(),
            count: chunk.count().into(),
        };
        for (place, record) in (0..chunk.count()).zip(records.iter()).filter(|(place, _)| wanted.contains(*place)) {
            let sequence = chunk.first.plus(place.into());
            let state = states.iter().find(|(_, places)| places.contains(place));
            let Some(&(state, _)) = state else { continue };
            let seen = Seen {
                sequence,
                state,
                redelivered: lane.will_be_redelivered(sequence, state),
                returns: lane.returns_of(sequence),
                due: lane.ready_again(sequence).or(record.due()),
                record,
            };
            if each(seen).is_break() {
                return Looked::Upto(sequence);
            }
        }
        Looked::Upto(chunk.end())
    }
}

impl Lane {
    /// The chunk and the place in it where a message is that is not settled.
    pub(crate) fn place_of(&self, sequence: Sequence) -> Option<(usize, u16)> {
        let at = self.find(sequence);
        let chunk = self.chunks.get(at).filter(|chunk| chunk.first <= sequence)?;
        let place = chunk.index(sequence);
        (!chunk.settled().contains(place)).then_some((at, place))
    }

    fn aside_places(&self, at: usize) -> Bits {
        let Chunk { first, .. } = self.chunks[at];
        let aside = self.aside.as_ref();
        aside.map_or_else(Bits::default, |aside| aside.places(first, self.chunks[at].count()))
    }

    fn delayed_places(&self, at: usize) -> Bits {
        let Chunk { first, .. } = self.chunks[at];
        let aside = self.aside.as_ref();
        aside.map_or_else(Bits::default, |aside| aside.delayed.places(first, self.chunks[at].count()))
    }

    /// What was taken comes back marked; what was not may have been delivered by an earlier process.
    fn will_be_redelivered(&self, sequence: Sequence, state: MessageState) -> bool {
        let came_back = || self.returned.within(sequence, sequence.plus(1)).next().is_some();
        sequence < self.redelivered_below
            || state == MessageState::Unacked
            || state == MessageState::Delayed && sequence < self.cursor
            || came_back()
            || self.is_skipped_again(sequence)
    }

    fn ready_again(&self, sequence: Sequence) -> Option<Millis> {
        let mut waits = self.aside.as_ref()?.delayed.within(sequence, sequence.plus(1));
        waits.next().map(|(_, _, at)| at)
    }

    /// How often a message came back, where that is counted.
    pub(crate) fn returns_of(&self, sequence: Sequence) -> u32 {
        let aside = self.aside.as_ref();
        aside.map_or(0, |aside| aside.returns_of_first(sequence, sequence.plus(1)).0)
    }
}
