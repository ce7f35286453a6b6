//! What the queues of a shard share: outlets, the lists of queues that have something to do, and the count of memory.

use std::collections::{BTreeSet, VecDeque};

use crate::ids::{Millis, OutletId, QueueId};
use crate::shard::ShardLimits;
use crate::shard::body::Body;
use crate::shard::chunk::BYTES_MAX;
use crate::shard::consumers::Outlet;
use crate::shard::keys::Index;
use crate::shard::lane::LaneId;
use crate::shard::map::IdMap;
use crate::shard::space::Tuples;
use crate::shard::timers::Timer;

#[derive(Debug, Default)]
pub(crate) struct Common {
    pub(crate) limits: ShardLimits,
    pub(crate) now: Millis,
    pub(crate) outlets: IdMap<OutletId, Outlet>,
    /// Queues that have ready messages and a consumer that may take one. A queue or lane is in a list at most once: it has a flag
    /// for each.
    pub(crate) active: VecDeque<QueueId>,
    /// Lanes that have something for the journal.
    pub(crate) uncollected: Vec<LaneId>,
    /// Lanes that have something for the next checkpoint.
    pub(crate) unstored: Vec<LaneId>,
    /// Lanes that may have chunks to page out.
    pub(crate) spillable: VecDeque<LaneId>,
    /// Lanes that have dead letters to hand out.
    pub(crate) lettering: VecDeque<LaneId>,
    /// Messages that were handed out as letters and not answered for.
    pub(crate) letters_out: u64,
    /// Queues that hold more than they may.
    pub(crate) crowded: VecDeque<QueueId>,
    /// What is to be done when.
    pub(crate) timers: BTreeSet<Timer>,
    /// Room for records that are rewritten on their way in.
    pub(crate) scratch: Vec<u8>,
    /// Of queues that tell messages apart, which message has which key.
    pub(crate) keys: IdMap<QueueId, Index>,
    /// Of spaces, what is known of their tuples.
    pub(crate) tuples: IdMap<QueueId, Tuples>,
    pub(crate) memory: Memory,
}

impl Common {
    /// Letters that may be handed out now.
    pub(crate) fn letters_room(&self) -> u32 {
        let most = u64::from(self.limits.letters_max).saturating_sub(self.letters_out);
        most.min(self.limits.dispatch_records_max.into()) as u32
    }

    /// Queues were deleted: takes them out of the lists when these are full of them.
    pub(crate) fn compact(&mut self, queues: usize, exists: impl Fn(QueueId) -> bool) {
        let most = 2 * queues + 64;
        for list in [&mut self.uncollected, &mut self.unstored]
            .into_iter()
            .filter(|list| list.len() > most)
        {
            list.retain(|&id| exists(id.queue));
        }
        for list in [&mut self.active, &mut self.crowded].into_iter().filter(|list| list.len() > most) {
            list.retain(|&id| exists(id));
        }
        for list in [&mut self.spillable, &mut self.lettering]
            .into_iter()
            .filter(|list| list.len() > most)
        {
            list.retain(|&id| exists(id.queue));
        }
    }
}

/// Octets of messages in memory.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Of all chunks' bodies.
    pub(crate) resident: u64,
    /// Of those that wait for the store to leave.
    pub(crate) leaving: u64,
    /// Of those that were asked for.
    pub(crate) coming: u64,
    /// When all that can easily be paged out is, this much in memory calls for more.
    pub(crate) squeeze_at: u64,
    /// Buffers of settled chunks, for the next ones.
    #[expect(clippy::vec_box, reason = "chunks hold them boxed")]
    spare: Vec<Box<Body>>,
}

/// Buffers that are kept for reuse.
const SPARE_MAX: usize = 16;
/// A buffer is not used for less than this part of it, unless it is small.
const WASTE_MAX: usize = 8;
const SMALL: usize = 2048;

impl Memory {
    /// A chunk's body was `before` octets large and is `after` octets now.
    pub(crate) fn changed(&mut self, before: usize, after: usize) {
        self.resident = self.resident + after as u64 - before as u64;
    }

    /// Octets that are not on their way out.
    pub(crate) fn staying(&self) -> u64 {
        self.resident.saturating_sub(self.leaving)
    }

    /// An empty body with room for `bytes` octets of records.
    pub(crate) fn body(&mut self, bytes: usize) -> Box<Body> {
        let most = SMALL.max(bytes * WASTE_MAX);
        match self.spare.iter().rposition(|body| body.footprint() <= most) {
            Some(at) => self.spare.swap_remove(at),
            None => Body::with_room(bytes),
        }
    }

    /// Memory is scarce.
    pub(crate) fn drop_spare(&mut self) {
        self.spare.clear();
    }

    /// A chunk is gone; its buffer may serve the next one.
    pub(crate) fn recycle(&mut self, body: Option<Box<Body>>) {
        let body = body.filter(|body| self.spare.len() < SPARE_MAX && body.footprint() <= 2 * BYTES_MAX);
        self.spare.extend(body.and_then(Body::emptied));
    }
}
