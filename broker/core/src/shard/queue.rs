//! A queue: its settings, its consumers, and its lanes with their sums. What is in a lane is not known here.

use std::sync::Arc;

use crate::ids::{Millis, QueueId, Sequence};
use crate::record::{Record, Records};
use crate::settings::{Overflow, Settings};
use crate::shard::QueueSpec;
use crate::shard::common::Common;
use crate::shard::consumers::{Subscribers, is_single_active};
use crate::shard::effects::Effects;
use crate::shard::expiry::{slot, stamp};
use crate::shard::fit::split;
use crate::shard::groups::Groups;
use crate::shard::lane::{Lane, LaneId, Next, Tally, lane_of};
use crate::shard::lanes::Lanes;
use crate::shard::latency::{Latency, Probe};
use crate::shard::returns::counts_returns;
use crate::shard::space::{Seekers, Tuples};
use crate::shard::traffic::Traffic;

/// Room that is kept for records that are rewritten on their way in.
const SCRATCH_MAX: usize = 1 << 16;

/// A queue.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) id: QueueId,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) settings: Option<Arc<Settings>>,
    pub(crate) subscribers: Subscribers,
    pub(crate) lanes: Lanes,
    /// Present where messages are grouped.
    pub(crate) groups: Option<Box<Groups>>,
    /// Present if it is a space: its consumers, who are not among the subscribers.
    pub(crate) space: Option<Box<Seekers>>,
    /// When it was last used, as far as that matters, and when that is looked at next.
    pub(crate) used_at: Millis,
    pub(crate) expiry: Option<Millis>,
    /// The message that is followed through the queue, and what was seen of those before it.
    pub(crate) probe: Probe,
    pub(crate) observed: Option<Box<Latency>>,
    /// In which of the shard's lists the queue is.
    pub(crate) is_active: bool,
    pub(crate) is_crowded: bool,
    pub(crate) traffic: Traffic,
}

impl Queue {
    pub(crate) fn new(spec: QueueSpec, common: &mut Common) -> Self {
        let first = LaneId { queue: spec.id, index: 0 };
        let yields = spec.settings.as_ref().is_some_and(|settings| settings.active_yields);
        let subscribers = Subscribers::new(is_single_active(spec.settings.as_ref()), yields);
        let measured = spec.settings.as_ref().is_some_and(|settings| settings.bytes_max.is_some());
        let counted = spec.settings.as_deref().is_some_and(counts_returns);
        let mut lane = Lane::new(first, spec.durable, measured, counted);
        let terms = spec.settings.as_ref().and_then(|settings| settings.space.as_ref());
        let space = terms.map(|terms| {
            lane.of_space = true;
            common.tuples.insert(spec.id, Tuples::new(&common.limits, terms));
            Box::new(Seekers::new(&common.limits))
        });
        Self {
            id: spec.id,
            durable: spec.durable,
            auto_delete: spec.auto_delete,
            settings: spec.settings,
            subscribers,
            lanes: Lanes::new(lane),
            groups: None,
            space,
            used_at: Millis(0),
            expiry: None,
            probe: Probe::None,
            observed: None,
            is_active: false,
            is_crowded: false,
            traffic: Traffic::default(),
        }
    }

    /// The sums over all lanes.
    pub(crate) fn tally(&self) -> &Tally {
        self.lanes.tally()
    }

    /// Nobody is given anything.
    pub(crate) fn is_paused(&self) -> bool {
        self.settings.as_ref().is_some_and(|settings| settings.paused)
    }

    /// The queue is in the shard's list of those that can deliver, if it can.
    pub(crate) fn activate(&mut self, common: &mut Common) {
        if let Some(space) = &self.space {
            if !self.is_active && !self.is_paused() && self.is_busy_space(space, common) {
                self.is_active = true;
                common.active.push_back(self.id);
            }
            return;
        }
        if !self.is_active && self.tally().ready > 0 && self.subscribers.any_in_turn() && !self.is_paused() {
            self.is_active = true;
            common.active.push_back(self.id);
        }
    }

    /// Takes a run in: one copy a chunk.
    pub(crate) fn publish(&mut self, records: Records<'_>, common: &mut Common, effects: &mut impl Effects) {
        match self.settings.clone() {
            None => self.append(0, records, common),
            Some(settings) if self.space.is_some() => self.publish_tuples(&settings, records, common, effects),
            Some(settings) => self.publish_set(&settings, records, common, effects),
        }
        self.activate(common);
    }

    /// Takes a run into a queue that is set to do something.
    pub(crate) fn publish_set(&mut self, settings: &Arc<Settings>, records: Records<'_>, common: &mut Common, effects: &mut impl Effects) {
        if settings.has_keys() {
            self.publish_keyed(settings, records, common, effects);
        } else if settings.overflow == Overflow::DropHead {
            self.admit(settings, records, common);
        } else {
            self.publish_or_refuse(settings, records, common, effects);
        }
    }

    /// Takes in messages that the queue has room for, or will make room for.
    pub(crate) fn admit(&mut self, settings: &Settings, records: Records<'_>, common: &mut Common) {
        if let Some(ttl_ms) = settings.message_ttl_ms.filter(|_| !settings.delays) {
            let mut stamped = std::mem::take(&mut common.scratch);
            stamp(records, Millis(common.now.0.saturating_add(ttl_ms)), &mut stamped);
            let records = Records {
                bytes: &stamped,
                count: records.count,
            };
            self.distribute(settings, records, common);
            stamped.shrink_to(SCRATCH_MAX);
            common.scratch = stamped;
        } else {
            self.distribute(settings, records, common);
        }
        self.mark_crowded(common);
    }

    /// Each message into its lane.
    fn distribute(&mut self, settings: &Settings, records: Records<'_>, common: &mut Common) {
        if settings.delays || settings.priority_max.is_some() {
            let now = common.now;
            self.append_by(records, common, |record| lane_for(settings, record, now));
        } else {
            self.append(0, records, common);
        }
    }

    fn append(&mut self, lane: u8, records: Records<'_>, common: &mut Common) {
        self.lanes.create(lane);
        let first = self.lanes.update(lane, |lane| {
            let first = lane.next;
            lane.publish(records, common);
            if lane.of_space {
                lane.index_appended(first, common);
            }
            first
        });
        if common.limits.probes
            && let Some(first) = first
        {
            self.probe_published(first, common.now);
        }
    }

    /// Messages of one lane that follow each other are one run.
    fn append_by(&mut self, mut records: Records<'_>, common: &mut Common, lane_of: impl Fn(Record<'_>) -> u8) {
        while let Some(first) = records.iter().next() {
            let lane = lane_of(first);
            let count = records.iter().take_while(|record| lane_of(*record) == lane).count();
            let (run, rest) = split(records, count as u64);
            self.append(lane, run, common);
            records = rest;
        }
    }

    /// The messages that are next: the first of the highest priority.
    pub(crate) fn next_run(&mut self) -> Option<Next> {
        self.lanes.current_mut().next_run()
    }

    /// Unacked messages are settled; others of the run are left alone.
    pub(crate) fn settle(&mut self, first: Sequence, count: u32, common: &mut Common, effects: &mut impl Effects) {
        self.lanes.update(lane_of(first), |lane| lane.settle(first, count, common, effects));
        self.probe_ended(first, count, false, common.now);
    }
}

/// The lane of a new message.
pub(crate) fn lane_for(settings: &Settings, record: Record<'_>, now: Millis) -> u8 {
    if settings.delays {
        return record.due().map_or(0, |due| slot(due, now));
    }
    settings.priority_max.map_or(0, |max| record.priority().min(max))
}
