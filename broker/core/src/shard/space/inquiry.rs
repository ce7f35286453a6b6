//! Those who do not wait: they get the next tuple that is there, or nothing. What lies on disk is loaded, so an inquiry may have to be made again; it
//! goes on where it was.

use std::sync::Arc;

use crate::ids::{QueueId, Sequence};
use crate::shard::Shard;
use crate::shard::command::{GetOutcome, Got};
use crate::shard::common::Common;
use crate::shard::effects::Effects;
use crate::shard::queue::Queue;
use crate::shard::space::turn::Found;
use crate::space::{Search, Template};

/// A walk over the tuples that match a template, oldest first. Not part of the shard's state.
#[derive(Clone, Debug)]
pub struct Inquiry {
    pub(super) template: Arc<Template>,
    pub(super) search: Search,
    pub(super) candidate: Option<Sequence>,
}

impl Inquiry {
    /// From the oldest tuple on.
    #[must_use]
    pub fn new(template: Arc<Template>) -> Self {
        Self {
            search: Search::new(&template),
            template,
            candidate: None,
        }
    }
}

/// What became of an inquiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inquired {
    /// A tuple was handed over. The same inquiry finds the next one.
    Found,
    /// There is none, or no such space.
    End,
    /// One is on disk. Its chunk was asked for: inquire again after that command.
    Loading,
    /// Much was looked at in vain: let others have their turn, then inquire again.
    Pausing,
}

impl Shard {
    /// Looks at the next tuple of a space.
    pub fn read_tuple<E: Effects>(
        &mut self,
        queue: QueueId,
        inquiry: &mut Inquiry,
        effects: &mut E,
        look: impl FnOnce(Got<'_>),
    ) -> Inquired {
        let common = &mut self.common;
        let Some(queue) = self.queues.get_mut(&queue).filter(|queue| queue.may_inquire()) else {
            return Inquired::End;
        };
        queue.used(common);
        let found = queue.inquire(inquiry, common, effects, look);
        if found.is_ok() {
            queue.traffic.get(true, false);
        }
        found.map_or_else(|outcome| outcome, |_| Inquired::Found)
    }

    /// Takes the next tuple of a space. Without `no_ack` it is unacked until `Settle` or `Requeue`.
    pub fn take_tuple<E: Effects>(
        &mut self,
        queue: QueueId,
        inquiry: &mut Inquiry,
        no_ack: bool,
        effects: &mut E,
        take: impl FnOnce(Got<'_>),
    ) -> Inquired {
        let common = &mut self.common;
        let Some(queue) = self.queues.get_mut(&queue).filter(|queue| queue.may_inquire()) else {
            return Inquired::End;
        };
        queue.used(common);
        queue.take_next(inquiry, no_ack, common, effects, take)
    }

    /// Counts the tuples of a space that match, from where the inquiry is on, and adds them to `count`. Never [`Inquired::Found`].
    pub fn count_tuples(&mut self, queue: QueueId, inquiry: &mut Inquiry, count: &mut u64, effects: &mut impl Effects) -> Inquired {
        let common = &mut self.common;
        let Some(queue) = self.queues.get_mut(&queue).filter(|queue| queue.space.is_some()) else {
            return Inquired::End;
        };
        queue.used(common);
        loop {
            match queue.find_next(inquiry, common, effects) {
                Found::Tuple(_) => *count += 1,
                Found::End => return Inquired::End,
                Found::Loading => return Inquired::Loading,
                Found::Pausing => return Inquired::Pausing,
            }
        }
    }

    /// Whether a queue is a space.
    #[must_use]
    pub fn is_space(&self, queue: QueueId) -> bool {
        self.queues.get(&queue).is_some_and(|queue| queue.space.is_some())
    }
}

impl Queue {
    /// As [`Shard::get`], in a space: any tuple will do.
    pub(crate) fn get_tuple<E: Effects>(
        &mut self,
        no_ack: bool,
        common: &mut Common,
        effects: &mut E,
        take: impl FnOnce(Got<'_>),
    ) -> GetOutcome {
        let mut inquiry = Inquiry::new(Arc::new(Template::any()));
        match self.take_next(&mut inquiry, no_ack, common, effects, take) {
            Inquired::Found => GetOutcome::Taken,
            Inquired::Loading => GetOutcome::Loading,
            Inquired::End | Inquired::Pausing => GetOutcome::Empty,
        }
    }

    /// Takes the next tuple of an inquiry.
    fn take_next<E: Effects>(
        &mut self,
        inquiry: &mut Inquiry,
        no_ack: bool,
        common: &mut Common,
        effects: &mut E,
        take: impl FnOnce(Got<'_>),
    ) -> Inquired {
        match self.inquire(inquiry, common, effects, take) {
            Ok((sequence, redelivered)) => {
                self.traffic.get(no_ack, redelivered);
                self.take_out(sequence, no_ack, common, effects);
                Inquired::Found
            }
            Err(Inquired::End) => {
                self.traffic.got_empty += 1;
                Inquired::End
            }
            Err(outcome) => outcome,
        }
    }

    fn may_inquire(&self) -> bool {
        self.space.is_some() && !self.is_paused()
    }

    /// Hands the next tuple over; which one it was, and whether it may have been delivered before.
    fn inquire(
        &mut self,
        inquiry: &mut Inquiry,
        common: &mut Common,
        effects: &mut impl Effects,
        look: impl FnOnce(Got<'_>),
    ) -> Result<(Sequence, bool), Inquired> {
        let sequence = match self.find_next(inquiry, common, effects) {
            Found::Tuple(sequence) => sequence,
            Found::End => return Err(Inquired::End),
            Found::Loading => return Err(Inquired::Loading),
            Found::Pausing => return Err(Inquired::Pausing),
        };
        let (term, remaining) = (self.term(common), self.tally().ready - 1);
        let lane = self.lanes.current_mut();
        let (returns, redelivered) = (lane.returns_of(sequence), lane.is_skipped_again(sequence));
        let record = lane.record(sequence).ok_or(Inquired::End)?;
        look(Got {
            record,
            sequence,
            redelivered,
            term,
            returns,
            remaining,
        });
        Ok((sequence, redelivered))
    }
}
