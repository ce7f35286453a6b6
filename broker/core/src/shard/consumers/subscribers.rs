//! The consumers of one queue and the order of their turns: higher priorities first, round-robin among equals, those who can take nothing out of
//! the way. With a single active consumer, the others wait until it goes.

use std::collections::VecDeque;

use crate::ids::ConsumerId;
use crate::shard::consumers::{Activity, Attendance};
use crate::shard::effects::Consumer;
use crate::shard::filters::Reader;

/// A consumer of a queue.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) consumer: Consumer,
    /// Deliveries that it has not settled.
    unacked: u32,
    standing: Standing,
    /// How far it has come, if it has a filter.
    reader: Option<Box<Reader>>,
}

/// Why a consumer gets messages or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It waits for its turn.
    InTurn,
    /// It holds as many deliveries as it may.
    NoCredit,
    /// Its channel holds as many deliveries as it may.
    Refused,
    /// Its outlet's window is used up.
    Parked,
    /// Another one is the single active consumer.
    Inactive,
    /// It is the single active consumer, and gets nothing more: once it holds nothing, another one is.
    Yielding,
}

impl Subscriber {
    /// How many deliveries it may take.
    pub(crate) fn credit(&self) -> u32 {
        match self.consumer.prefetch {
            prefetch @ 1.. if !self.consumer.no_ack => u32::from(prefetch).saturating_sub(self.unacked),
            _ => u32::MAX,
        }
    }
}

/// The consumers of a queue, and the order of their turns.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    /// In the order of their ids.
    list: Vec<Subscriber>,
    /// Those that may take a message, the next one in front: their places in the list. Higher priorities come first.
    turns: VecDeque<u32>,
    /// Only one of them gets messages.
    single_active: bool,
    /// Which one; there is one if there are consumers.
    active: Option<ConsumerId>,
    /// It gives way to one of a higher priority.
    yields: bool,
    /// How many have a filter.
    filtered: u32,
}

impl Subscribers {
    pub(crate) fn new(single_active: bool, yields: bool) -> Self {
        Self {
            single_active,
            yields,
            ..Self::default()
        }
    }
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
    pub(crate) fn is_single_active(&self) -> bool {
        self.single_active
    }
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Consumer> {
        self.list.iter().map(|subscriber| &subscriber.consumer)
    }
    /// What each of them does.
    pub(crate) fn attendance(&self) -> impl Iterator<Item = Attendance<'_>> {
        self.list.iter().map(|subscriber| Attendance {
            consumer: &subscriber.consumer,
            activity: match self.active {
                None => Activity::Up,
                Some(active) if active == subscriber.consumer.id => Activity::SingleActive,
                Some(_) => Activity::Waiting,
            },
            unacked: subscriber.unacked,
        })
    }
    /// Whether anybody may take a message.
    pub(crate) fn any_in_turn(&self) -> bool {
        !self.turns.is_empty()
    }
    /// Whether nobody shares the messages with the one whose turn it is.
    pub(crate) fn one_in_turn(&self) -> bool {
        match (self.turns.front(), self.turns.get(1)) {
            (Some(&front), Some(&next)) => self.priority(next) < self.priority(front),
            _ => true,
        }
    }

    fn place(&self, id: ConsumerId) -> Result<usize, usize> {
        self.list.binary_search_by_key(&id, |subscriber| subscriber.consumer.id)
    }

    fn priority(&self, turn: u32) -> i32 {
        self.list[turn as usize].consumer.priority
    }

    /// Whose turn it is.
    pub(crate) fn in_turn(&self) -> Option<&Subscriber> {
        self.list.get(*self.turns.front()? as usize)
    }

    /// Whose turn it is after so many others.
    pub(crate) fn in_line(&self, at: usize) -> Option<&Subscriber> {
        self.list.get(*self.turns.get(at)? as usize)
    }

    /// Whether any of them has a filter.
    pub(crate) fn any_filtered(&self) -> bool {
        self.filtered > 0
    }

    /// How far a consumer has come; none if it has no filter.
    pub(crate) fn reader(&mut self, id: ConsumerId) -> Option<&mut Reader> {
        let at = self.place(id).ok()?;
        self.list[at].reader.as_deref_mut()
    }

    /// The same for all that have one.
    pub(crate) fn readers_mut(&mut self) -> impl Iterator<Item = &mut Reader> {
        self.list.iter_mut().filter_map(|subscriber| subscriber.reader.as_deref_mut())
    }

    /// The same.
    pub(crate) fn readers(&self) -> impl Iterator<Item = &Reader> {
        self.list.iter().filter_map(|subscriber| subscriber.reader.as_deref())
    }

    pub(super) fn add(&mut self, consumer: Consumer) {
        let Err(at) = self.place(consumer.id) else { return };
        let at_turn = at as u32;
        self.turns.iter_mut().filter(|turn| **turn >= at_turn).for_each(|turn| *turn += 1);
        let unacked = 0;
        let standing = Standing::Inactive;
        let id = consumer.id;
        let reader = consumer.filter.clone().map(Reader::new);
        self.filtered += u32::from(reader.is_some());
        self.list.insert(
            at,
            Subscriber {
                consumer,
                unacked,
                standing,
                reader,
            },
        );
        if self.single_active {
            if self.active.is_some() {
                return self.yield_active();
            }
            self.active = Some(id);
        }
        self.take_turns(at, Standing::Inactive);
    }

    pub(super) fn remove(&mut self, id: ConsumerId) -> Option<Consumer> {
        let at = self.place(id).ok()?;
        let at_turn = at as u32;
        self.turns.retain(|&turn| turn != at_turn);
        self.turns.iter_mut().filter(|turn| **turn > at_turn).for_each(|turn| *turn -= 1);
        let removed = self.list.remove(at).consumer;
        self.filtered -= u32::from(removed.filter.is_some());
        if self.active == Some(id) {
            self.elect();
        } else {
            self.yield_active();
        }
        Some(removed)
    }

    /// The active consumer gives way if there is one of a higher priority: it gets nothing more, and once it holds nothing that one is active. If
    /// that one goes before, it stays.
    fn yield_active(&mut self) {
        let Some(at) = self.active.filter(|_| self.yields).and_then(|active| self.place(active).ok()) else {
            return;
        };
        let priority = self.list[at].consumer.priority;
        if !self.list.iter().any(|other| other.consumer.priority > priority) {
            return self.take_turns(at, Standing::Yielding);
        }
        self.turns.clear();
        if self.list[at].unacked > 0 {
            self.list[at].standing = Standing::Yielding;
        } else {
            self.list[at].standing = Standing::Inactive;
            self.elect();
        }
    }

    /// Whether an active consumer gives way has changed.
    pub(super) fn set_yields(&mut self, yields: bool) {
        self.yields = yields;
        self.yield_active();
    }

    /// One of the consumers becomes the active one: of the highest priority, the oldest.
    fn elect(&mut self) {
        let key = |subscriber: &Subscriber| (std::cmp::Reverse(subscriber.consumer.priority), subscriber.consumer.id);
        let first = (0..self.list.len()).min_by_key(|&at| key(&self.list[at]));
        self.active = first.map(|at| self.list[at].consumer.id);
        if let Some(at) = first {
            self.take_turns(at, Standing::Inactive);
        }
    }

    /// From now on one consumer gets the messages, or all of them do.
    pub(super) fn set_single_active(&mut self, single_active: bool) {
        if self.single_active == single_active {
            return;
        }
        self.single_active = single_active;
        if single_active {
            self.elect();
            self.turns.clear();
            for at in 0..self.list.len() {
                if Some(self.list[at].consumer.id) != self.active {
                    self.list[at].standing = Standing::Inactive;
                } else if self.list[at].standing == Standing::InTurn {
                    self.turns.push_back(at as u32);
                }
            }
        } else {
            self.active = None;
            for at in 0..self.list.len() {
                self.take_turns(at, Standing::Inactive);
                self.take_turns(at, Standing::Yielding);
            }
        }
    }

    /// The one whose turn it is was given `count` messages; it is the next one's turn.
    pub(crate) fn took(&mut self, count: u32) {
        let Some(&turn) = self.turns.front() else { return };
        let subscriber = &mut self.list[turn as usize];
        if !subscriber.consumer.no_ack {
            subscriber.unacked += count;
        }
        if subscriber.credit() > 0 {
            self.rotate();
        } else {
            self.stand(Standing::NoCredit);
        }
    }

    /// A consumer, wherever it stands.
    pub(crate) fn get(&self, id: ConsumerId) -> Option<&Subscriber> {
        self.place(id).ok().map(|at| &self.list[at])
    }

    /// Whether a consumer may take a message.
    pub(crate) fn is_in_turn(&self, id: ConsumerId) -> bool {
        self.get(id).is_some_and(|subscriber| subscriber.standing == Standing::InTurn)
    }

    /// A consumer that is in line, at whatever place, was given a message: it goes behind those of its priority.
    pub(crate) fn took_one(&mut self, id: ConsumerId) {
        if let Some(at) = self.step_out(id, Standing::NoCredit) {
            let subscriber = &mut self.list[at];
            subscriber.unacked += u32::from(!subscriber.consumer.no_ack);
            self.take_turns(at, Standing::NoCredit);
        }
    }

    /// A consumer that is in line, at whatever place, waits for its outlet.
    pub(crate) fn park_one(&mut self, id: ConsumerId) {
        self.step_out(id, Standing::Parked);
    }

    /// A consumer that is in line, at whatever place, waits for its channel.
    pub(crate) fn refuse_one(&mut self, id: ConsumerId) {
        self.step_out(id, Standing::Refused);
    }

    /// A consumer leaves the line.
    fn step_out(&mut self, id: ConsumerId, standing: Standing) -> Option<usize> {
        let at = self.place(id).ok()?;
        let turn = self.turns.iter().position(|&turn| turn as usize == at)?;
        self.turns.remove(turn);
        self.list[at].standing = standing;
        Some(at)
    }

    /// The one whose turn it is goes behind those of its priority.
    fn rotate(&mut self) {
        let (Some(&front), Some(&back)) = (self.turns.front(), self.turns.back()) else {
            return;
        };
        let priority = self.priority(front);
        if self.priority(back) == priority {
            self.turns.rotate_left(1);
        } else {
            let equals = self.end_of(priority);
            self.turns.make_contiguous()[..equals].rotate_left(1);
        }
    }

    /// The place in line behind those of this priority and of higher ones.
    fn end_of(&self, priority: i32) -> usize {
        match self.turns.back() {
            Some(&back) if self.priority(back) < priority => self.turns.partition_point(|&turn| self.priority(turn) >= priority),
            _ => self.turns.len(),
        }
    }

    /// The one whose turn it is cannot take more, for that reason.
    fn stand(&mut self, standing: Standing) {
        if let Some(turn) = self.turns.pop_front() {
            self.list[turn as usize].standing = standing;
        }
    }

    /// The one whose turn it is waits for its outlet.
    pub(crate) fn park(&mut self) {
        self.stand(Standing::Parked);
    }

    /// The one whose turn it is waits for its channel.
    pub(crate) fn refuse(&mut self) {
        self.stand(Standing::Refused);
    }

    pub(super) fn unpark(&mut self, id: ConsumerId) {
        if let Ok(at) = self.place(id) {
            self.take_turns(at, Standing::Parked);
        }
    }

    /// The consumer's channel has credit again.
    pub(super) fn lent(&mut self, id: ConsumerId) {
        if let Ok(at) = self.place(id) {
            self.take_turns(at, Standing::Refused);
        }
    }

    /// If the consumer is this channel's, it asks for credit from now on, or does not.
    pub(super) fn limit(&mut self, id: ConsumerId, channel: u16, limited: bool) {
        if let Ok(at) = self.place(id)
            && self.list[at].consumer.channel == channel
        {
            self.list[at].consumer.limited = limited;
        }
    }

    /// A consumer has given `count` deliveries back, one way or the other.
    pub(super) fn settled(&mut self, id: ConsumerId, count: u32) {
        if let Ok(at) = self.place(id) {
            let subscriber = &mut self.list[at];
            subscriber.unacked = subscriber.unacked.saturating_sub(count);
            if subscriber.standing == Standing::Yielding {
                return self.yield_active();
            }
            self.take_turns(at, Standing::NoCredit);
        }
    }

    /// Whoever stood like that stands in line again, if there is credit.
    fn take_turns(&mut self, at: usize, stood: Standing) {
        let subscriber = &mut self.list[at];
        if subscriber.standing != stood {
            return;
        }
        if subscriber.credit() == 0 {
            subscriber.standing = Standing::NoCredit;
            return;
        }
        subscriber.standing = Standing::InTurn;
        let end = self.end_of(self.list[at].consumer.priority);
        self.turns.insert(end, at as u32);
    }

    pub(crate) fn invariants(&self) {
        assert!(self.list.is_sorted_by_key(|subscriber| subscriber.consumer.id));
        let in_turn = self.list.iter().filter(|subscriber| subscriber.standing == Standing::InTurn);
        assert_eq!(in_turn.count(), self.turns.len(), "who may take a message is in line");
        for &turn in &self.turns {
            let subscriber = &self.list[turn as usize];
            assert!(subscriber.standing == Standing::InTurn && subscriber.credit() > 0);
        }
        let priorities = self.turns.iter().map(|&turn| std::cmp::Reverse(self.priority(turn)));
        assert!(priorities.is_sorted(), "who has a higher priority is first in line");
        assert_eq!(
            self.active.is_some(),
            self.single_active && !self.list.is_empty(),
            "there is one active consumer, if there is to be one"
        );
        for subscriber in &self.list {
            let waits = self.active.is_some_and(|active| active != subscriber.consumer.id);
            assert_eq!(
                subscriber.standing == Standing::Inactive,
                waits,
                "all but the active consumer wait for it to go"
            );
        }
    }
}
