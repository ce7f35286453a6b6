//! A queue: its settings, its consumers, and its lanes with their sums. What is in a lane is not known here.

use std::sync::Arc;

use crate::ids::{QueueId, Sequence};
use crate::record::Records;
use crate::settings::Settings;
use crate::shard::QueueSpec;
use crate::shard::common::Common;
use crate::shard::consumers::{Subscribers, is_single_active};
use crate::shard::effects::Effects;
use crate::shard::fit::{length_at, split};
use crate::shard::lane::{Lane, LaneId, Next, Tally, lane_of};
use crate::shard::lanes::Lanes;

/// A queue.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) id: QueueId,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) settings: Option<Arc<Settings>>,
    pub(crate) subscribers: Subscribers,
    pub(crate) lanes: Lanes,
    /// It is in the shard's list of those that can deliver.
    pub(crate) is_active: bool,
}

impl Queue {
    pub(crate) fn new(spec: QueueSpec) -> Self {
        let first = LaneId { queue: spec.id, index: 0 };
        let subscribers = Subscribers::new(is_single_active(spec.settings.as_ref()));
        Self {
            id: spec.id,
            durable: spec.durable,
            auto_delete: spec.auto_delete,
            settings: spec.settings,
            subscribers,
            lanes: Lanes::new(Lane::new(first, spec.durable)),
            is_active: false,
        }
    }

    /// The sums over all lanes.
    pub(crate) fn tally(&self) -> &Tally {
        self.lanes.tally()
    }

    /// The queue is in the shard's list of those that can deliver, if it can.
    pub(crate) fn activate(&mut self, common: &mut Common) {
        if !self.is_active && self.tally().ready > 0 && self.subscribers.any_in_turn() {
            self.is_active = true;
            common.active.push_back(self.id);
        }
    }

    /// Appends a run: one copy a chunk.
    pub(crate) fn publish(&mut self, records: Records<'_>, common: &mut Common) {
        match self.settings.as_ref().and_then(|settings| settings.priority_max) {
            None => self.append(0, records, common),
            Some(max) => self.publish_by_priority(max, records, common),
        }
        self.activate(common);
    }

    fn append(&mut self, lane: u8, records: Records<'_>, common: &mut Common) {
        self.lanes.create(lane);
        self.lanes.update(lane, |lane| lane.publish(records, common));
    }

    /// Messages of one priority that follow each other are one run.
    fn publish_by_priority(&mut self, max: u8, mut records: Records<'_>, common: &mut Common) {
        while records.count > 0 {
            let lane = priority_at(records.bytes).min(max);
            let (mut count, mut offset) = (1, length_at(records.bytes));
            while count < records.count && priority_at(&records.bytes[offset..]).min(max) == lane {
                offset += length_at(&records.bytes[offset..]);
                count += 1;
            }
            let (run, rest) = split(records, count.into());
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
    }

    /// Unacked messages are ready again.
    pub(crate) fn requeue(&mut self, first: Sequence, count: u32, common: &mut Common) {
        self.lanes.update(lane_of(first), |lane| lane.requeue(first, count));
        self.activate(common);
    }
}

/// The priority of the record at the front of `bytes`.
fn priority_at(bytes: &[u8]) -> u8 {
    bytes[5]
}
