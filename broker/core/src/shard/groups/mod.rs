//! Message groups (`x-group-by`, an extension of Stoa's): while somebody holds messages with some value of a header, further ones with this value
//! go to the same consumer only, in their order.
//!
//! Dispatch passes over a message of a group that its consumer cannot take: it is *skipped*. It stays ready, counts as ready, and may expire or be dropped;
//! but it lies in its group's waiting line and in the lane's `skipped`, below the cursor, until its turn comes. So nobody looks at it again before its group or its
//! consumer is free, and the messages behind it go on. What comes back goes into the waiting line, too, to its old place: nothing of its group overtakes it.
//!
//! A message that comes back later (a delayed retry) keeps its group waiting until then. Everything here is in memory only: after a restart nobody
//! holds anything, and a retry that waits since before it does not keep its group waiting any more.

mod turn;

use std::collections::{BTreeMap, BTreeSet};

use stoa_amqp::ShortString;

use crate::ids::{ConsumerId, Sequence};
use crate::record::Record;
use crate::shard::common::Common;
use crate::shard::keys::{Key, key_of};
use crate::shard::lane::{Lane, Order, lane_of, order};
use crate::shard::queue::Queue;

/// The groups of a queue that are held or waited for.
#[derive(Debug)]
pub(crate) struct Groups {
    header: ShortString,
    known: BTreeMap<Key, Group>,
    /// Unacked messages that have a group.
    held: BTreeMap<Sequence, Key>,
    /// Messages that came back and are not ready yet.
    delayed: BTreeMap<Sequence, Key>,
    /// Messages in waiting lines. Some may be gone.
    waiting: usize,
    /// Groups with a waiting line that nobody holds, by their first.
    free: BTreeSet<(Order, Key)>,
    /// The same for groups that a consumer holds.
    bound: BTreeMap<ConsumerId, BTreeSet<(Order, Key)>>,
    /// Consumers that may be able to take the first of a waiting line of theirs.
    nudged: BTreeSet<ConsumerId>,
}

#[derive(Debug, Default)]
struct Group {
    /// Who holds messages of it; nobody's name for `basic.get`.
    holder: Option<ConsumerId>,
    held: u32,
    delayed: u32,
    /// Those that were skipped or came back.
    waiting: BTreeSet<Order>,
    /// In which list it is, and by what.
    listed: Option<(Option<ConsumerId>, Order)>,
}

impl Group {
    /// In which list it should be.
    fn list(&self) -> Option<(Option<ConsumerId>, Order)> {
        let &first = self.waiting.first()?;
        match (self.held, self.holder) {
            _ if self.delayed > 0 => None,
            (0, _) => Some((None, first)),
            (_, Some(holder)) => Some((Some(holder), first)),
            (_, None) => None,
        }
    }
}

impl Groups {
    fn new(header: ShortString) -> Box<Self> {
        Box::new(Self {
            header,
            known: BTreeMap::new(),
            held: BTreeMap::new(),
            delayed: BTreeMap::new(),
            waiting: 0,
            free: BTreeSet::new(),
            bound: BTreeMap::new(),
            nudged: BTreeSet::new(),
        })
    }

    fn key(&self, record: Record<'_>) -> Option<Key> {
        key_of(record, self.header.as_bytes())
    }

    /// A group has changed: it is where it should be, or nowhere if there is nothing to know about it.
    fn relist(&mut self, key: Key) {
        let Some(group) = self.known.get_mut(&key) else { return };
        let list = group.list();
        let before = std::mem::replace(&mut group.listed, list);
        if group.held == 0 && group.delayed == 0 && group.waiting.is_empty() {
            self.known.remove(&key);
        }
        if before == list {
            return;
        }
        match before {
            None => {}
            Some((None, first)) => drop(self.free.remove(&(first, key))),
            Some((Some(holder), first)) => {
                if let Some(bound) = self.bound.get_mut(&holder) {
                    bound.remove(&(first, key));
                    if bound.is_empty() {
                        self.bound.remove(&holder);
                    }
                }
            }
        }
        match list {
            None => {}
            Some((None, first)) => drop(self.free.insert((first, key))),
            Some((Some(holder), first)) => {
                self.bound.entry(holder).or_default().insert((first, key));
                self.nudge(holder);
            }
        }
    }

    /// A consumer may be able to take something of its groups.
    fn nudge(&mut self, consumer: ConsumerId) {
        if self.bound.contains_key(&consumer) {
            self.nudged.insert(consumer);
        }
    }

    /// A message waits in its group's line.
    fn wait(&mut self, key: Key, sequence: Sequence) {
        let group = self.known.entry(key).or_default();
        self.waiting += usize::from(group.waiting.insert(order(sequence)));
        self.relist(key);
    }

    /// A message does not wait any more.
    pub(crate) fn wait_no_more(&mut self, key: Key, sequence: Sequence) {
        let group = self.known.get_mut(&key);
        let waited = group.is_some_and(|group| group.waiting.remove(&order(sequence)));
        self.waiting -= usize::from(waited);
        self.relist(key);
    }

    /// Somebody holds a message.
    pub(crate) fn hold(&mut self, key: Key, sequence: Sequence, holder: Option<ConsumerId>) {
        self.held.insert(sequence, key);
        let group = self.known.entry(key).or_default();
        group.held += 1;
        group.holder = holder;
        self.relist(key);
    }

    /// Takes messages out of a list of theirs.
    fn take(list: &mut BTreeMap<Sequence, Key>, first: Sequence, end: Sequence) -> Vec<(Sequence, Key)> {
        let taken: Vec<_> = list.range(first..end).map(|(&sequence, &key)| (sequence, key)).collect();
        for (sequence, _) in &taken {
            list.remove(sequence);
        }
        taken
    }

    /// Nobody holds these any more.
    fn release(&mut self, first: Sequence, end: Sequence) -> Vec<(Sequence, Key)> {
        let released = Self::take(&mut self.held, first, end);
        for (_, key) in &released {
            self.known.entry(*key).or_default().held -= 1;
        }
        released
    }
}

impl Queue {
    /// The queue begins to look at groups, at others than before, or at none any more. What was skipped is as if it had come back. While a consumer
    /// has a filter there are no groups.
    pub(crate) fn configure_groups(&mut self) {
        let settings = self.settings.as_ref().filter(|_| !self.subscribers.any_filtered());
        let header = settings.and_then(|settings| settings.group_by.clone());
        if self.groups.as_ref().map(|groups| &groups.header) == header.as_ref() {
            return;
        }
        self.groups = header.map(Groups::new);
        self.lanes.update_all(|lane| {
            lane.tally.skipped = 0;
            lane.skipped_again.take().for_each(drop);
            for (first, end) in lane.skipped.take() {
                lane.returned.insert(first, end);
            }
        });
    }

    /// Messages were settled or refused: whoever held them may not hold their groups any more.
    pub(crate) fn ungroup(&mut self, first: Sequence, count: u32, common: &mut Common) {
        let Some(groups) = &mut self.groups else { return };
        for (_, key) in groups.release(first, first.plus(count.into())) {
            groups.relist(key);
        }
        self.activate(common);
    }

    /// Messages came back: those that are ready wait in their groups' lines.
    pub(crate) fn regroup(&mut self, first: Sequence, count: u32, common: &mut Common) {
        let Some(groups) = &mut self.groups else { return };
        self.lanes.update(lane_of(first), |lane| {
            for (sequence, key) in groups.release(first, first.plus(count.into())) {
                if lane.skip_returned(sequence) {
                    groups.wait(key, sequence);
                } else if lane.is_delayed(sequence) {
                    groups.delayed.insert(sequence, key);
                    groups.known.entry(key).or_default().delayed += 1;
                }
                groups.relist(key);
            }
        });
        self.activate(common);
    }

    /// The wait of messages is over that came back.
    pub(crate) fn regroup_delayed(&mut self, first: Sequence, end: Sequence) {
        let Some(groups) = &mut self.groups else { return };
        self.lanes.update(lane_of(first), |lane| {
            for (sequence, key) in Groups::take(&mut groups.delayed, first, end) {
                if lane.is_delayed(sequence) {
                    groups.delayed.insert(sequence, key);
                    continue;
                }
                groups.known.entry(key).or_default().delayed -= 1;
                if lane.skip_returned(sequence) {
                    groups.wait(key, sequence);
                }
                groups.relist(key);
            }
        });
    }

    /// Nothing is ready or delayed any more.
    pub(crate) fn ungroup_purged(&mut self) {
        let Some(groups) = &mut self.groups else { return };
        groups.delayed.clear();
        groups.waiting = 0;
        for key in groups.known.keys().copied().collect::<Vec<_>>() {
            let group = groups.known.entry(key).or_default();
            group.waiting.clear();
            group.delayed = 0;
            groups.relist(key);
        }
    }

    /// Waiting lines are mostly of messages that have left the queue otherwise: they are taken out.
    fn sweep_groups(&mut self) {
        let Some(groups) = &mut self.groups else { return };
        groups.waiting = 0;
        for key in groups.known.keys().copied().collect::<Vec<_>>() {
            let group = groups.known.entry(key).or_default();
            group.waiting.retain(|(_, sequence)| {
                let lane = self.lanes.get(lane_of(*sequence));
                lane.is_some_and(|lane| lane.is_skipped(*sequence))
            });
            groups.waiting += group.waiting.len();
            groups.relist(key);
        }
    }

    /// A consumer has room again.
    pub(crate) fn nudge(&mut self, consumer: ConsumerId) {
        if let Some(groups) = &mut self.groups {
            groups.nudge(consumer);
        }
    }

    #[cfg(test)]
    pub(crate) fn waiting_lines(&self) -> usize {
        self.groups.as_ref().map_or(0, |groups| groups.waiting)
    }

    /// Lists say what the lanes say.
    pub(crate) fn group_invariants(&self) {
        let skipped: u64 = self.lanes.iter().map(|lane| lane.skipped.count()).sum();
        assert_eq!(self.tally().skipped, skipped);
        let Some(groups) = &self.groups else { return };
        let (mut there, mut all, mut held, mut delayed) = (0, 0, 0, 0);
        for (key, group) in &groups.known {
            all += group.waiting.len();
            held += group.held as usize;
            delayed += group.delayed as usize;
            assert_eq!(group.listed, group.list(), "a group is where it should be");
            assert!(
                group.held + group.delayed > 0 || !group.waiting.is_empty(),
                "a group is there for a reason"
            );
            match group.listed {
                Some((None, first)) => assert!(groups.free.contains(&(first, *key))),
                Some((Some(holder), first)) => assert!(groups.bound[&holder].contains(&(first, *key))),
                None => {}
            }
            let skipped = |sequence: Sequence| self.lanes.get(lane_of(sequence)).is_some_and(|lane| lane.is_skipped(sequence));
            there += group.waiting.iter().filter(|(_, sequence)| skipped(*sequence)).count();
        }
        assert_eq!(
            (there as u64, all, held, delayed),
            (skipped, groups.waiting, groups.held.len(), groups.delayed.len()),
            "what was skipped waits in a line"
        );
        let bound: usize = groups.bound.values().map(BTreeSet::len).sum();
        let listed = groups.known.values().filter(|group| group.listed.is_some());
        assert_eq!(listed.count(), bound + groups.free.len());
    }
}

impl Lane {
    pub(crate) fn is_skipped(&self, sequence: Sequence) -> bool {
        self.skipped.within(sequence, sequence.plus(1)).next().is_some()
    }

    /// Whether a message that was skipped may have been delivered before.
    pub(crate) fn is_skipped_again(&self, sequence: Sequence) -> bool {
        sequence < self.redelivered_below || self.skipped_again.within(sequence, sequence.plus(1)).next().is_some()
    }

    fn is_delayed(&self, sequence: Sequence) -> bool {
        let aside = self.aside.as_ref();
        aside.is_some_and(|aside| aside.delayed.within(sequence, sequence.plus(1)).next().is_some())
    }

    /// A message that came back is skipped, if it is ready.
    fn skip_returned(&mut self, sequence: Sequence) -> bool {
        let end = sequence.plus(1);
        let is_ready = self.returned.within(sequence, end).next().is_some();
        if is_ready {
            self.returned.remove(sequence, end);
            self.skipped.insert(sequence, end);
            self.skipped_again.insert(sequence, end);
            self.tally.skipped += 1;
        }
        is_ready
    }
}
