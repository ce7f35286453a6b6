//! What a shard does because time has passed: one ordered index of chunks with something due, returned messages whose wait is over, dead ones
//! that are offered again, and queues that were not used. In memory only: a restart finds the chunks' dues, and the
//! messages that wait, in the index of the store and the journal.

use crate::ids::{ConsumerId, Millis, QueueId, Sequence};
use crate::shard::Shard;
use crate::shard::common::Common;
use crate::shard::effects::Effects;
use crate::shard::queue::Queue;

/// No time.
pub(crate) const NEVER: Millis = Millis(u64::MAX);

/// The due of a chunk that is on disk and must be looked at to know more.
pub(crate) const UNKNOWN: Millis = Millis(1);

/// Something to be done for a queue, at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Timer {
    pub(crate) at: Millis,
    pub(crate) queue: QueueId,
    pub(crate) what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum What {
    /// A ready message of the chunk that starts here may be due.
    Chunk(Sequence),
    /// Those of these messages that are delayed are ready again.
    Return(Sequence, Sequence),
    /// Those of these messages that are dead are offered again.
    Letters(Sequence, Sequence),
    /// The queue may not have been used for as long as it may.
    Unused,
    /// A consumer of a space has waited for as long as it wanted to.
    Patience(ConsumerId),
}

/// While this many times of what is read ahead for a queue is being loaded, nothing is loaded to see what of it is due.
const LOADS_MAX: u64 = 4;

impl Common {
    /// So much is being loaded that what falls due waits.
    fn loads_enough(&self) -> bool {
        self.memory.coming > 0 && self.memory.coming >= LOADS_MAX * self.limits.read_ahead_bytes
    }
}

impl Shard {
    /// Time has passed. To be called before a batch of commands is applied; an earlier time than before changes nothing.
    pub fn advance(&mut self, now: Millis) {
        let common = &mut self.common;
        let started = common.now == Millis(0) && now > common.now;
        common.now = common.now.max(now);
        if started {
            self.queues.values_mut().for_each(|queue| queue.used(common));
        }
    }

    /// When [`dispatch`](Self::dispatch) has something to do even if no command comes before.
    #[must_use]
    pub fn next_due(&self) -> Option<Millis> {
        let next = self.common.timers.first()?;
        // What is loaded, or answered, comes as a command.
        let waits = self.common.loads_enough() || self.common.letters_room() == 0 && self.is_delaying(next);
        (next.at > self.common.now || !waits).then_some(next.at)
    }

    fn is_delaying(&self, timer: &Timer) -> bool {
        let delays = |queue: &Queue| queue.settings.as_ref().is_some_and(|settings| settings.delays);
        matches!(timer.what, What::Chunk(_)) && self.queues.get(&timer.queue).is_some_and(delays)
    }

    /// Does what is due, drops what is above queues' limits, and hands out what is dead: of each as much as `dispatch_records_max` allows. True
    /// if there is more to do.
    pub(crate) fn attend(&mut self, effects: &mut impl Effects) -> bool {
        if self.common.timers.is_empty() && self.common.crowded.is_empty() && self.common.lettering.is_empty() {
            return false;
        }
        self.post(effects);
        // What is due does not count towards a maximum any more.
        let late = self.ring(effects);
        self.shrink(effects);
        self.post(effects);
        let posts = !self.common.lettering.is_empty() && self.common.letters_room() > 0;
        late || posts || !self.common.crowded.is_empty()
    }

    /// Does what is due. What could still be delivered at this very moment is left. True if something remains.
    fn ring(&mut self, effects: &mut impl Effects) -> bool {
        let now = self.common.now;
        let upto = if self.common.active.is_empty() {
            now
        } else {
            Millis(now.0.saturating_sub(1))
        };
        let mut budget = self.common.limits.dispatch_records_max;
        // A delayed-message exchange's queue lets no more go while letters wait to be handed out: where they are they cost no memory.
        let held = !self.common.lettering.is_empty();
        while let Some(&timer) = self.common.timers.first().filter(|timer| timer.at <= upto) {
            if self.common.loads_enough() {
                return false;
            }
            if budget == 0 {
                return true;
            }
            if held && self.is_delaying(&timer) {
                return false;
            }
            self.common.timers.pop_first();
            let Some(queue) = self.queues.get_mut(&timer.queue) else { continue };
            let done = match timer.what {
                What::Chunk(first) => queue.look(first, upto, &mut self.common, effects),
                What::Return(first, end) => queue.end_delay(first, end, &mut self.common),
                What::Letters(first, end) => queue.offer_again(first, end, &mut self.common),
                What::Unused => queue.elapse(timer.at, &mut self.common, effects),
                What::Patience(consumer) => {
                    queue.end_seek(consumer, &mut self.common, effects);
                    1
                }
            };
            budget = budget.saturating_sub(done.max(1));
        }
        false
    }
}
