//! Queues that tell messages apart by the value of a header: one that keeps the last value of each key (`x-last-value-key`), and one that takes no
//! key twice (`x-message-deduplication`, as the plugin for RabbitMQ does for queues).
//!
//! A key belongs to the newest message that has it, from its arrival until it is settled or dies. Which key that is lies with the message's
//! chunk, in memory and in the index of the store, so that a restart knows all keys without reading messages; which message has a key is known
//! in memory only, in one ordered map a queue.
//!
//! - *Last value.* A message replaces the ready one with its key: that is settled, not dead-lettered. One that somebody holds stays with its
//!   holder, and is settled when it comes back. Until then it is unacked, but for journal and tables it is settled at once: no restart brings
//!   back what was replaced.
//! - *Keys of a space* (`x-space-key`). The last value, by fields of the tuples; a tuple that says so is refused instead if its key is there.
//! - *Deduplication.* A message whose key is there, ready or held, is dropped, and confirmed as if it had been taken in.
//!
//! With both, the last value counts. What was in a queue before it was set to do either has its key as soon as it is in memory, the newest one of each; messages
//! that are the same by then stay.

mod hash;
mod list;

use hash::kind;
pub(crate) use hash::{Key, headers, key_of};
pub(crate) use list::ChunkKeys;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::{QueueId, Sequence};
use crate::record::{Record, Records};
use crate::settings::{Overflow, Settings};
use crate::shard::bits::Bits;
use crate::shard::chunk::Chunk;
use crate::shard::common::Common;
use crate::shard::effects::Effects;
use crate::shard::fit::split;
use crate::shard::lane::{Lane, lane_of};
use crate::shard::limits::body_bytes;
use crate::shard::queue::{Queue, lane_for};
use crate::shard::space::tuple_of;
use crate::space::Field;

/// By what messages are told apart, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule<'a> {
    LastValue(&'a [u8]),
    Deduplicate(&'a [u8]),
    /// As the last value, by fields of a space's tuples.
    Tuple(&'a [Field]),
}

impl<'a> Rule<'a> {
    pub(crate) fn of(settings: &'a Settings) -> Option<Self> {
        if let Some(space) = settings.space.as_ref().filter(|space| !space.key.is_empty()) {
            return Some(Self::Tuple(&space.key));
        }
        let last_value = settings.last_value_key.as_ref().map(|header| Self::LastValue(header.as_bytes()));
        last_value.or_else(|| Some(Self::Deduplicate(settings.deduplicate_by.as_ref()?.as_bytes())))
    }

    fn key_of(self, record: Record<'_>) -> Option<Key> {
        match self {
            Self::LastValue(header) | Self::Deduplicate(header) => key_of(record, header),
            Self::Tuple(fields) => {
                let mut octets = Vec::new();
                let has_key = tuple_of(record).ok()?.push_key(fields, &mut octets);
                has_key.then(|| hash::hash(kind::TUPLE, &octets))
            }
        }
    }

    /// What keys by this rule are listed under: never 0.
    fn tag(self) -> u64 {
        let tag = match self {
            Self::LastValue(header) => hash::hash(101, header),
            Self::Deduplicate(header) => hash::hash(102, header),
            Self::Tuple(fields) => {
                let octets: Vec<u8> = fields.iter().flat_map(|field| field.octets()).collect();
                hash::hash(103, &octets)
            }
        };
        tag as u64 | 1
    }
}

/// Which message has which key.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// By which rule.
    of: u64,
    owners: BTreeMap<Key, Sequence>,
}

impl Index {
    /// A message does not have its key any more.
    pub(crate) fn free(&mut self, key: Key, sequence: Sequence) {
        if self.owners.get(&key) == Some(&sequence) {
            self.owners.remove(&key);
        }
    }

    /// A message that may not be the newest has a key.
    fn add(&mut self, key: Key, sequence: Sequence) {
        let owner = self.owners.entry(key).or_insert(sequence);
        *owner = sequence.max(*owner);
    }
}

/// The header by which a tuple is put into a space only if there is none with its key, be it ready or held: its value is the text `*` (as HTTP's `If-None-Match`).
const IF_NONE_MATCH: &[u8] = b"x-if-none-match";

/// Whether a tuple does not want to replace another.
fn is_only_if_absent(record: Record<'_>) -> bool {
    let value = headers(record).and_then(|headers| headers.get(IF_NONE_MATCH));
    value.is_some_and(|value| value.as_bytes() == Some(b"*"))
}

/// A chunk goes, and with it all that is in it.
#[cold]
pub(crate) fn free_all(queue: QueueId, first: Sequence, keys: &ChunkKeys, common: &mut Common) {
    if let Some(index) = common.keys.get_mut(&queue) {
        keys.iter().for_each(|(place, key)| index.free(key, first.plus(place.into())));
    }
}

impl Queue {
    /// Takes in messages one by one, as their keys ask for.
    #[cold]
    pub(crate) fn publish_keyed(
        &mut self,
        settings: &Arc<Settings>,
        mut records: Records<'_>,
        common: &mut Common,
        effects: &mut impl Effects,
    ) {
        let Some(rule) = Rule::of(settings) else { return };
        while records.count > 0 {
            let (one, rest) = split(records, 1);
            records = rest;
            let Some(record) = one.iter().next() else { return };
            let key = rule.key_of(record);
            let owner = key.and_then(|key| common.keys.get(&self.id)?.owners.get(&key).copied());
            match (rule, key, owner) {
                (Rule::Deduplicate(_), Some(_), Some(_)) => {
                    record.body_ref().into_iter().for_each(|body| effects.released(body.id));
                }
                (Rule::Tuple(_), Some(_), Some(_)) if is_only_if_absent(record) => {
                    effects.refused(self.id, settings, one, false);
                    record.body_ref().into_iter().for_each(|body| effects.released(body.id));
                }
                (_, Some(_), None) if self.has_all_keys(common) => self.refuse(settings, one, effects),
                _ => self.publish_one(settings, rule, one, (key, owner), common, effects),
            }
        }
    }

    /// The queue has as many keys as it may.
    fn has_all_keys(&self, common: &Common) -> bool {
        let known = common.keys.get(&self.id).map_or(0, |index| index.owners.len());
        known >= common.limits.keys_max as usize
    }

    /// Takes in one message, in place of the one that owned its key.
    fn publish_one(
        &mut self,
        settings: &Arc<Settings>,
        rule: Rule<'_>,
        one: Records<'_>,
        (key, owner): (Option<Key>, Option<Sequence>),
        common: &mut Common,
        effects: &mut impl Effects,
    ) {
        let Some(record) = one.iter().next() else { return };
        let lane = lane_for(settings, record, common.now);
        let next = |queue: &Self| queue.lanes.get(lane).map(|lane| lane.next);
        let before = next(self);
        if settings.overflow == Overflow::DropHead || owner.is_some_and(|owner| self.fits_instead(settings, record, owner)) {
            owner.into_iter().for_each(|owner| self.replace(owner, common, effects));
            self.admit(settings, one, common);
        } else {
            self.publish_or_refuse(settings, one, common, effects);
            if next(self) == before || self.lanes.get(lane).is_none_or(|lane| lane.next == lane.id.start()) {
                return;
            }
            // It may have gone out to make room.
            let owner = key.and_then(|key| common.keys.get(&self.id)?.owners.get(&key).copied());
            owner.into_iter().for_each(|owner| self.replace(owner, common, effects));
        }
        let tag = rule.tag();
        self.lanes
            .get_mut(lane)
            .into_iter()
            .for_each(|lane| lane.list_last(tag, key, common));
    }

    /// There is room for a message once another one has gone.
    fn fits_instead(&self, settings: &Settings, record: Record<'_>, owner: Sequence) -> bool {
        let Some(lane) = self.lanes.get(lane_of(owner)) else { return false };
        let at = lane.find(owner);
        let place = lane.chunks[at].index(owner);
        if !lane.ready_places(at).contains(place) {
            return false;
        }
        let tally = self.tally();
        let bodies = tally.bodies.saturating_sub(lane.weigh(at, Bits::of(place..place + 1))) + body_bytes(record);
        settings.length_max.is_none_or(|max| tally.ready <= max) && settings.bytes_max.is_none_or(|max| bodies <= max)
    }

    /// A newer message takes the place of this one.
    fn replace(&mut self, owner: Sequence, common: &mut Common, effects: &mut impl Effects) {
        if self.durable {
            effects.replaced();
        }
        self.lanes.update(lane_of(owner), |lane| lane.replace(owner, common, effects));
    }

    /// Of messages that come back, those that were replaced meanwhile are settled.
    pub(crate) fn settle_replaced(&mut self, first: Sequence, count: u32, common: &mut Common, effects: &mut impl Effects) {
        if !common.keys.contains_key(&self.id) {
            return;
        }
        let end = first.plus(count.into());
        let replaced = self.lanes.get(lane_of(first)).map(|lane| lane.replaced_within(first, end));
        for (first, end) in replaced.into_iter().flatten() {
            self.settle(first, (end.0 - first.0) as u32, common, effects);
        }
    }

    /// The queue begins to tell messages apart, does so by another rule, or does not any more.
    pub(crate) fn configure_keys(&mut self, common: &mut Common) {
        let settings = self.settings.clone();
        let rule = settings.as_deref().and_then(Rule::of);
        let tag = rule.map(Rule::tag);
        if common.keys.get(&self.id).map(|index| index.of) == tag {
            return;
        }
        self.index_anew(rule, common);
    }

    /// The journal is at its end.
    pub(crate) fn recover_keys(&mut self, common: &mut Common) {
        let settings = self.settings.clone();
        self.index_anew(settings.as_deref().and_then(Rule::of), common);
    }

    fn index_anew(&mut self, rule: Option<Rule<'_>>, common: &mut Common) {
        common.keys.remove(&self.id);
        let Some(rule) = rule else { return };
        let index = Index {
            of: rule.tag(),
            ..Index::default()
        };
        common.keys.insert(self.id, index);
        for lane in self.lanes.iter_mut() {
            (0..lane.chunks.len()).for_each(|at| lane.index_keys(at, rule, common));
        }
    }

    /// A chunk has come into memory.
    pub(crate) fn index_loaded(&mut self, chunk: Sequence, common: &mut Common) {
        if !common.keys.contains_key(&self.id) {
            return;
        }
        let settings = self.settings.clone();
        if let Some(rule) = settings.as_deref().and_then(Rule::of)
            && let Some(lane) = self.lanes.get_mut(lane_of(chunk))
            && let Some(at) = lane.find_exact(chunk)
            && lane.chunks[at].keys().is_none_or(|keys| keys.of != rule.tag())
        {
            lane.index_keys(at, rule, common);
        }
    }
}

impl Lane {
    /// The message that came last is listed with its key.
    fn list_last(&mut self, of: u64, key: Option<Key>, common: &mut Common) {
        let (queue, Some(chunk)) = (self.id.queue, self.chunks.back_mut()) else {
            return;
        };
        let (place, sequence) = (chunk.count() - 1, Sequence(chunk.end().0 - 1));
        let Some(keys) = chunk.list_of(of) else { return };
        if let Some(key) = key {
            keys.insert(place, key);
            if let Some(index) = common.keys.get_mut(&queue) {
                index.owners.insert(key, sequence);
            }
        }
    }

    /// Takes the keys of a chunk's unsettled messages into the index, if they are listed or can be read.
    fn index_keys(&mut self, at: usize, rule: Rule<'_>, common: &mut Common) {
        let Some(index) = common.keys.get_mut(&self.id.queue) else { return };
        let aside = self.aside.as_deref();
        let chunk = &mut self.chunks[at];
        if chunk.keys().is_none_or(|keys| keys.of != rule.tag()) {
            if !chunk.is_resident() {
                return;
            }
            let keys = chunk.keys_of(rule);
            let Some(list) = chunk.list_of(rule.tag()) else { return };
            keys.into_iter().for_each(|(place, key)| list.insert(place, key));
        }
        let dead = aside.map_or_else(Bits::default, |aside| {
            let dead = aside.dead_places(chunk.first, chunk.count());
            dead.fold(Bits::default(), |dead, (_, places)| dead.union(places))
        });
        let owned = chunk.keys().into_iter().flat_map(ChunkKeys::iter);
        for (place, key) in owned.filter(|(place, _)| !dead.contains(*place)) {
            index.add(key, chunk.first.plus(place.into()));
        }
    }

    /// These places of a chunk are settled.
    #[cold]
    pub(crate) fn forget_keys(&mut self, at: usize, places: Bits, common: &mut Common) {
        self.free_keys(at, places, common);
        if let Some(keys) = self.chunks[at].keys_mut() {
            keys.remove(places, |_, _| ());
        }
    }

    /// These places of a chunk die: their keys are free, though the messages are there for a while.
    #[cold]
    pub(crate) fn free_keys(&self, at: usize, places: Bits, common: &mut Common) {
        let chunk = &self.chunks[at];
        let (Some(keys), Some(index)) = (chunk.keys(), common.keys.get_mut(&self.id.queue)) else {
            return;
        };
        for (place, key) in keys.iter().filter(|(place, _)| places.contains(*place)) {
            index.free(key, chunk.first.plus(place.into()));
        }
    }

    /// A message is replaced: at once if it is ready or waits to be, when it comes back if somebody holds it.
    fn replace(&mut self, sequence: Sequence, common: &mut Common, effects: &mut impl Effects) {
        let at = self.find(sequence);
        let place = self.chunks[at].index(sequence);
        let places = Bits::of(place..place + 1);
        if self.ready_places(at).contains(place) {
            self.withdraw(at, places);
            return self.settle_places(at, places, common, effects);
        }
        if let Some(aside) = self
            .aside
            .as_mut()
            .filter(|aside| aside.delayed.within(sequence, sequence.plus(1)).next().is_some())
        {
            aside.delayed.remove(sequence, sequence.plus(1));
            self.tally.delayed -= 1;
            return self.settle_places(at, places, common, effects);
        }
        self.free_keys(at, places, common);
        if let Some(keys) = self.chunks[at].keys_mut() {
            keys.remove(places, |_, _| ());
            keys.replaced.insert(places);
        }
        self.log_gone(at, places, common);
    }

    /// Messages of a run that were replaced while somebody held them.
    fn replaced_within(&self, first: Sequence, end: Sequence) -> Vec<(Sequence, Sequence)> {
        let mut runs = Vec::new();
        for chunk in self.chunks.range(self.find(first)..).take_while(|chunk| chunk.first < end) {
            let Some(keys) = chunk.keys().filter(|keys| !keys.replaced.is_empty()) else {
                continue;
            };
            let places = keys.replaced.and(Bits::of(chunk.places(first, end)));
            runs.extend(
                places
                    .runs()
                    .map(|run| (chunk.first.plus(run.start.into()), chunk.first.plus(run.end.into()))),
            );
        }
        runs
    }
}

impl Chunk {
    /// The list of keys by this rule, empty if there was none.
    fn list_of(&mut self, of: u64) -> Option<&mut ChunkKeys> {
        let keys = self.keys_slot()?.get_or_insert_default();
        if keys.of != of {
            let replaced = keys.replaced;
            **keys = ChunkKeys::new(of);
            keys.replaced = replaced;
        }
        Some(keys)
    }

    /// The keys of its unsettled records, in memory.
    fn keys_of(&self, rule: Rule<'_>) -> Vec<(u16, Key)> {
        let replaced = self.keys().map_or_else(Bits::default, |keys| keys.replaced);
        let gone = self.settled().union(replaced);
        let live = self.each().filter(|(place, _)| !gone.contains(*place));
        live.filter_map(|(place, record)| Some((place, rule.key_of(record)?))).collect()
    }
}

impl Queue {
    /// Who owns a key is there and listed with it, and nobody else is.
    pub(crate) fn key_invariants(&self, common: &Common) {
        let rule = self.settings.as_deref().and_then(Rule::of);
        let index = common.keys.get(&self.id);
        assert_eq!(
            index.map(|index| index.of),
            rule.map(Rule::tag),
            "keys are those of the queue's rule"
        );
        let (Some(index), Some(rule)) = (index, rule) else { return };
        let mut listed = BTreeMap::new();
        for lane in self.lanes.iter() {
            for chunk in &lane.chunks {
                let Some(keys) = chunk.keys() else { continue };
                assert!(keys.places().and(chunk.settled()).is_empty(), "what is settled has no key");
                assert!(keys.replaced.and(keys.places()).is_empty() && keys.replaced.and(chunk.settled()).is_empty());
                if keys.of != rule.tag() {
                    continue;
                }
                if chunk.is_resident() {
                    assert!(keys.iter().eq(chunk.keys_of(rule)), "keys are those of the messages");
                }
                listed.extend(keys.iter().map(|(place, key)| (chunk.first.plus(place.into()), key)));
            }
        }
        for (key, owner) in &index.owners {
            assert_eq!(listed.get(owner), Some(key), "the owner of a key is there");
        }
    }
}
