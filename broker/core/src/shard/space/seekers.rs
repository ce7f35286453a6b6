//! The consumers of a space. Each has a template, and is in one of these places: it waits for a tuple that is not there (in [`Waiters`]), it has a search to
//! go on with, its search waits for a chunk, or it cannot take more for now.
//!
//! A taker waits only while it can take; once it could not, it searches anew. A reader that follows waits all the time, and remembers what it missed meanwhile: whoever reads
//! knows up to where it has read.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::ids::{ConsumerId, Millis, QueueId, Sequence};
use crate::shard::common::Common;
use crate::shard::consumers::{Activity, Attendance};
use crate::shard::effects::Consumer;
use crate::shard::map::IdMap;
use crate::shard::timers::{Timer, What};
use crate::shard::{ConsumeError, ShardLimits};
use crate::space::{Intent, Search, Template, WaiterId, WaiterLimits, Waiters, WaitersFull};

/// What a consumer wants of a space.
#[derive(Clone, Debug)]
pub struct Seek {
    /// What the tuples must be like.
    pub template: Arc<Template>,
    /// It takes tuples, or reads copies of them.
    pub intent: Intent,
    /// How many it wants; then it is cancelled. Absent: as many as come; but a reader that does not follow gets what is there.
    pub max: Option<u32>,
    /// A reader that has read what is there goes on with what comes.
    pub follow: bool,
    /// For how many milliseconds it may wait altogether; then it is cancelled. 0: it gets what is there. Absent: for ever.
    pub timeout_ms: Option<u64>,
    /// With a timeout of 0: tuples that somebody holds may come back, and are waited for.
    pub wait_held: bool,
}

impl Default for Seek {
    /// Takes whatever comes, for ever.
    fn default() -> Self {
        Self {
            template: Arc::new(Template::any()),
            intent: Intent::Take,
            max: None,
            follow: false,
            timeout_ms: None,
            wait_held: false,
        }
    }
}

/// More tuples than this that came back unseen are not remembered one by one: the reader reads again from the first of them on.
const MISSED_MAX: usize = 1024;

/// Where a seeker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It is in the queue of those that search.
    Searches,
    /// Its search waits for a chunk.
    Loads,
    /// Nothing is there for it.
    Waits,
    /// It holds as many deliveries as it may.
    NoCredit,
    /// Its outlet's window is used up.
    Parked,
    /// Its channel holds as many deliveries as it may.
    Refused,
}

/// A consumer of a space.
#[derive(Debug)]
pub(crate) struct Seeker {
    pub(crate) consumer: Consumer,
    pub(crate) seek: Arc<Seek>,
    pub(crate) why: Why,
    /// Deliveries that it has not settled.
    unacked: u32,
    /// How many more it wants.
    left: u32,
    /// Its search, if one is under way, and the tuple that this has come to and that is not in memory.
    pub(crate) search: Option<Search>,
    pub(crate) candidate: Option<Sequence>,
    /// Its place among those who wait.
    line: Option<WaiterId>,
    /// A reader has read everything before, but for what it missed.
    pub(crate) read_upto: Sequence,
    pub(crate) missed: BTreeSet<Sequence>,
    patience: Option<Timer>,
}

impl Seeker {
    /// It reads.
    pub(crate) fn reads(&self) -> bool {
        self.seek.intent == Intent::Read
    }

    /// How many deliveries it may take.
    pub(crate) fn credit(&self) -> u32 {
        match self.consumer.prefetch {
            prefetch @ 1.. if !self.consumer.no_ack => self.left.min(u32::from(prefetch).saturating_sub(self.unacked)),
            _ => self.left,
        }
    }
}

/// All consumers of a space.
#[derive(Debug, Default)]
pub(crate) struct Seekers {
    list: BTreeMap<ConsumerId, Seeker>,
    /// What their templates take together.
    octets: usize,
    limits: WaiterLimits,
    pub(crate) waiters: Waiters,
    lines: IdMap<WaiterId, ConsumerId>,
    next_line: u64,
    /// Those with a search to go on with. Some may be gone, or elsewhere.
    pub(crate) searching: VecDeque<ConsumerId>,
    /// Those whose search waits for a chunk.
    loading: Vec<ConsumerId>,
    /// Announcements that wait for a chunk.
    pub(crate) late: Vec<Sequence>,
    /// Notes of tuples that came back, which wait for a chunk.
    pub(crate) late_returns: Vec<Sequence>,
    /// Those that wait only for what others hold.
    pub(crate) for_held: BTreeSet<ConsumerId>,
    exclusive: bool,
}

impl Seekers {
    pub(crate) fn new(limits: &ShardLimits) -> Self {
        Self {
            limits: limits.waiters,
            waiters: Waiters::new(limits.waiters),
            ..Self::default()
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Consumer> {
        self.list.values().map(|seeker| &seeker.consumer)
    }

    pub(crate) fn attendance(&self) -> impl Iterator<Item = Attendance<'_>> {
        self.list.values().map(|seeker| Attendance {
            consumer: &seeker.consumer,
            activity: Activity::Up,
            unacked: seeker.unacked,
        })
    }

    pub(crate) fn get(&self, id: ConsumerId) -> Option<&Seeker> {
        self.list.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: ConsumerId) -> Option<&mut Seeker> {
        self.list.get_mut(&id)
    }

    /// The seeker at this place in the line.
    pub(crate) fn in_line(&self, waiter: WaiterId) -> Option<ConsumerId> {
        self.lines.get(&waiter).copied()
    }

    /// Whether a consumer more may come.
    pub(crate) fn admits(&self, consumer: &Consumer, seek: &Seek) -> Result<(), ConsumeError> {
        if self.exclusive || consumer.exclusive && !self.list.is_empty() {
            return Err(ConsumeError::ExclusiveUse);
        }
        if self.list.len() >= self.limits.waiters_max {
            return Err(ConsumeError::Full(WaitersFull::Waiters(self.limits.waiters_max)));
        }
        if self.octets + seek.template.weight() > self.limits.octets_max {
            return Err(ConsumeError::Full(WaitersFull::Octets(self.limits.octets_max)));
        }
        Ok(())
    }

    /// Adds one that was [admitted](Self::admits). It searches first.
    pub(crate) fn add(&mut self, consumer: Consumer, seek: Arc<Seek>, patience: Option<Timer>) {
        let id = consumer.id;
        self.exclusive = consumer.exclusive;
        self.octets += seek.template.weight();
        let left = seek.max.unwrap_or(u32::MAX);
        self.list.insert(
            id,
            Seeker {
                consumer,
                seek,
                why: Why::Searches,
                unacked: 0,
                left,
                search: None,
                candidate: None,
                line: None,
                read_upto: Sequence(0),
                missed: BTreeSet::new(),
                patience,
            },
        );
        self.searching.push_back(id);
    }

    /// Removes one.
    pub(crate) fn remove(&mut self, id: ConsumerId, common: &mut Common) -> Option<Consumer> {
        self.leave_line(id);
        let seeker = self.list.remove(&id)?;
        self.octets -= seeker.seek.template.weight();
        self.for_held.remove(&id);
        self.exclusive = false;
        if let Some(patience) = seeker.patience {
            common.timers.remove(&patience);
        }
        Some(seeker.consumer)
    }

    /// It is told of what arrives.
    pub(crate) fn join_line(&mut self, id: ConsumerId) {
        let Some(seeker) = self.list.get_mut(&id).filter(|seeker| seeker.line.is_none()) else {
            return;
        };
        let waiter = WaiterId(self.next_line);
        // No more can be in line than were admitted, so there is room.
        if self.waiters.add(waiter, seeker.seek.intent, &seeker.seek.template).is_ok() {
            self.next_line += 1;
            seeker.line = Some(waiter);
            self.lines.insert(waiter, id);
        }
    }

    fn leave_line(&mut self, id: ConsumerId) {
        if let Some(waiter) = self.list.get_mut(&id).and_then(|seeker| seeker.line.take()) {
            self.waiters.remove(waiter);
            self.lines.remove(&waiter);
        }
    }

    /// It is somewhere else from now on. A taker that cannot take is not told of anything; a reader is.
    pub(crate) fn stand(&mut self, id: ConsumerId, why: Why) {
        let Some(seeker) = self.list.get_mut(&id) else { return };
        seeker.why = why;
        match why {
            Why::Searches => self.searching.push_back(id),
            Why::Loads => self.loading.push(id),
            Why::Waits => seeker.search = None,
            Why::NoCredit | Why::Parked | Why::Refused => {
                (seeker.search, seeker.candidate) = (None, None);
                if !seeker.reads() {
                    self.leave_line(id);
                }
            }
        }
    }

    /// Whoever stood like that searches again, if it can take anything.
    pub(crate) fn resume(&mut self, id: ConsumerId, stood: Why) {
        if let Some(seeker) = self.list.get(&id).filter(|seeker| seeker.why == stood) {
            let why = if seeker.credit() == 0 { Why::NoCredit } else { Why::Searches };
            self.stand(id, why);
        }
    }

    /// A chunk has come: whoever waits for one looks again.
    pub(crate) fn loaded(&mut self) -> Vec<Sequence> {
        for id in std::mem::take(&mut self.loading) {
            self.resume(id, Why::Loads);
        }
        std::mem::take(&mut self.late)
    }

    /// It was given a tuple. Whether it wants more.
    pub(crate) fn took(&mut self, id: ConsumerId) -> bool {
        let Some(seeker) = self.list.get_mut(&id) else { return false };
        seeker.left = seeker.left.saturating_sub(u32::from(seeker.seek.max.is_some()));
        seeker.unacked += u32::from(!seeker.consumer.no_ack);
        seeker.left > 0
    }

    /// It has given deliveries back, one way or the other.
    pub(crate) fn settled(&mut self, id: ConsumerId, count: u32) {
        if let Some(seeker) = self.list.get_mut(&id) {
            seeker.unacked = seeker.unacked.saturating_sub(count);
            self.resume(id, Why::NoCredit);
        }
    }

    /// If the consumer is this channel's, it asks for credit from now on, or does not.
    pub(crate) fn limit(&mut self, id: ConsumerId, channel: u16, limited: bool) {
        if let Some(seeker) = self.list.get_mut(&id).filter(|seeker| seeker.consumer.channel == channel) {
            seeker.consumer.limited = limited;
        }
    }

    /// Checks the state against itself.
    pub(crate) fn invariants(&self) {
        let octets: usize = self.list.values().map(|seeker| seeker.seek.template.weight()).sum();
        assert_eq!(self.octets, octets, "templates are weighed");
        let in_line = self.list.values().filter(|seeker| seeker.line.is_some()).count();
        assert_eq!(
            (self.waiters.len(), self.lines.len()),
            (in_line, in_line),
            "who is in line is there once"
        );
        for (id, seeker) in &self.list {
            let line = seeker.line.and_then(|line| self.in_line(line));
            assert!(line.is_none_or(|in_line| in_line == *id), "places in line are their own");
            let listed = match seeker.why {
                Why::Searches => self.searching.contains(id),
                Why::Loads => self.loading.contains(id) && line.is_some(),
                Why::Waits => line.is_some(),
                Why::NoCredit | Why::Parked | Why::Refused => line.is_none() || seeker.reads(),
            };
            assert!(listed, "a seeker is where it says: {seeker:?}");
        }
    }
}

impl Seeker {
    /// A reader that cannot look at it now remembers a tuple that came back.
    pub(crate) fn miss(&mut self, sequence: Sequence) {
        if sequence >= self.read_upto {
            return;
        }
        self.missed.insert(sequence);
        if self.missed.len() > MISSED_MAX
            && let Some(&first) = self.missed.first()
        {
            self.missed.clear();
            self.search = None;
            self.read_upto = first;
        }
    }
}

/// When the patience of a consumer ends that comes now.
pub(crate) fn patience(queue: QueueId, consumer: ConsumerId, seek: &Seek, now: Millis) -> Option<Timer> {
    let timeout_ms = seek.timeout_ms.filter(|ms| *ms > 0)?;
    Some(Timer {
        at: Millis(now.0.saturating_add(timeout_ms)),
        queue,
        what: What::Patience(consumer),
    })
}
