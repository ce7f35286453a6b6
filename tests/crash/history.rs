//! What publishers and consumers know of each message, and the judgement over what is there after a crash.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::load::{LANES, Witness, lanes_of};
use crate::message::{Body, Id};

/// What is known of a message.
#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    /// The broker has promised to keep it: by a confirm, or by having it after a crash.
    kept: bool,
    /// A consumer has seen it.
    delivered: bool,
    /// Its ack was sent; whether it arrived is unknown.
    acked: bool,
    /// It must not come any more: its ack is durable, or it was not there after a crash.
    gone: bool,
}

/// All messages of all rounds, for each queue that they went to.
#[derive(Debug, Default)]
pub struct History {
    fates: HashMap<(usize, Id), Fate>,
    /// Those that may be in each queue, as the last look found.
    there: [Vec<Id>; LANES.len()],
    found: usize,
    redelivered: usize,
}

impl History {
    /// What publishers and consumers saw until their connections broke.
    pub fn add(&mut self, witnesses: Vec<Witness>) {
        for witness in witnesses {
            match witness {
                Witness::Published { key, attempts } => {
                    for (id, confirmed) in attempts {
                        for lane in lanes_of(key) {
                            self.fates.entry((lane, id)).or_default().kept |= confirmed;
                            self.there[lane].push(id);
                        }
                    }
                }
                Witness::Consumed {
                    lane,
                    delivered,
                    acked,
                    durably_acked,
                } => {
                    for id in delivered {
                        self.fates.entry((lane, id)).or_default().delivered = true;
                    }
                    for (at, id) in acked.into_iter().enumerate() {
                        let fate = self.fates.entry((lane, id)).or_default();
                        fate.acked = true;
                        fate.gone |= at < durably_acked;
                    }
                }
            }
        }
    }

    /// Holds what is in a queue against what is known, and remembers it as what must be there from now on.
    pub fn check(&mut self, lane: usize, queue: &str, found: &[(Body, bool)]) {
        let mut last: HashMap<u32, u64> = HashMap::new();
        for (Body { id, is_whole }, redelivered) in found {
            assert!(is_whole, "{id:?} in {queue} is damaged");
            let fate = self
                .fates
                .get_mut(&(lane, *id))
                .unwrap_or_else(|| panic!("{id:?} in {queue} was never published"));
            assert!(!fate.gone, "{id:?} in {queue} has come back: {fate:?}");
            assert!(
                *redelivered || !fate.delivered,
                "{id:?} in {queue} was delivered before and is not marked: {fate:?}"
            );
            let before = last.insert(id.publisher, id.number);
            assert!(
                before.is_none_or(|before| before < id.number),
                "{id:?} in {queue} comes after {before:?}"
            );
            *fate = Fate {
                kept: true,
                delivered: true,
                acked: false,
                gone: false,
            };
            self.redelivered += usize::from(*redelivered);
        }
        self.found += found.len();
        let there: HashSet<Id> = found.iter().map(|(body, _)| body.id).collect();
        let mut lost = Vec::new();
        self.there[lane].retain(|id| {
            let fate = self.fates.entry((lane, *id)).or_default();
            if !there.contains(id) {
                if fate.kept && !fate.acked && !fate.gone {
                    lost.push(*id);
                }
                fate.gone = true;
            }
            there.contains(id)
        });
        assert!(
            lost.is_empty(),
            "{} confirmed messages are lost from {queue}, the first are {:?}",
            lost.len(),
            &lost[..lost.len().min(5)]
        );
    }

    /// A test in which nothing happened proves nothing.
    pub fn assert_was_worth_it(&self) {
        let gone = self.fates.values().filter(|fate| fate.gone).count();
        assert!(
            self.fates.len() > 2000 && self.found > 500 && self.redelivered > 500 && gone > 500,
            "too little happened: {self}"
        );
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |is: fn(&Fate) -> bool| self.fates.values().filter(|fate| is(fate)).count();
        let (kept, gone) = (count(|fate| fate.kept), count(|fate| fate.gone));
        write!(
            f,
            "{} messages, {kept} kept, {gone} gone, {} found after crashes",
            self.fates.len(),
            self.found
        )
    }
}
