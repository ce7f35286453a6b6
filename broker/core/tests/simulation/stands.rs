//! How often a message came back, until when it waits and whether it is dead: what is so now, what must be so after a crash, and what may.

use stoa_core::ids::Millis;
use stoa_core::shard::Reason;

/// What became of a message that was delivered or left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stand {
    /// How often it came back. An attempt that is under way counts.
    returns: u32,
    not_before: Millis,
    dead: Option<Reason>,
}

#[derive(Debug, Clone, Default)]
pub struct Stands {
    /// How often it came back, and until when it waits.
    pub returns: u32,
    pub not_before: Millis,
    /// Why it is dead.
    pub dead: Option<Reason>,
    /// What is durable.
    floor: Stand,
    /// What came after, and with which commit that is durable.
    later: Vec<(u64, Stand)>,
    /// What a checkpoint that is on its way makes durable.
    checkpoint: Option<Stand>,
    /// The highest count that a crash may leave.
    most: u32,
    /// Nothing was heard of it since a crash which may have left it in several ways: one of these, if it is not as durable as it was.
    pub uncertain: bool,
    pub perhaps_dead: Option<Reason>,
}

impl Stands {
    /// It is delivered, having come back so often.
    pub fn delivered(&mut self, returns: u32, counts: bool, epoch: u64) {
        if self.uncertain {
            assert!(
                (self.floor.returns..=self.most).contains(&returns),
                "it came back {returns} times: {self:?}"
            );
        } else {
            assert_eq!(self.returns, returns, "it came back as often as it says");
        }
        (self.returns, self.uncertain, self.perhaps_dead) = (returns, false, None);
        self.most = self.most.max(returns);
        if counts {
            self.note(returns + 1, epoch);
        }
    }

    /// It is where it is now with so many returns.
    pub fn note(&mut self, returns: u32, epoch: u64) {
        self.most = self.most.max(returns);
        let stand = Stand {
            returns,
            not_before: self.not_before,
            dead: self.dead,
        };
        self.later.push((epoch, stand));
    }

    pub fn durable(&mut self, epoch: u64) {
        while let Some(&(_, stand)) = self.later.first().filter(|(with, _)| *with <= epoch) {
            self.later.remove(0);
            self.floor = stand;
        }
    }

    pub fn begin_checkpoint(&mut self) {
        self.checkpoint = self.later.last().map(|(_, stand)| *stand);
    }

    pub fn end_checkpoint(&mut self) {
        if let Some(stand) = self.checkpoint.take() {
            self.floor = stand;
        }
    }

    /// It does not wait any more, whatever a crash finds.
    pub fn undelayed(&mut self) {
        self.not_before = Millis(0);
        let stands = self.later.iter_mut().map(|(_, stand)| stand);
        let stands = stands.chain([&mut self.floor]).chain(&mut self.checkpoint);
        stands.for_each(|stand| stand.not_before = Millis(0));
    }

    /// The broker starts again. True if it must be dead.
    pub fn restarted(&mut self, clean: bool) -> bool {
        if clean && let Some((_, last)) = self.later.last() {
            self.floor = *last;
        }
        self.checkpoint = None;
        self.perhaps_dead = self.dead.or(self.perhaps_dead).filter(|_| self.floor.dead.is_none());
        self.later.clear();
        self.dead = self.floor.dead;
        self.not_before = self.floor.not_before;
        self.uncertain = true;
        self.dead.is_some()
    }

    /// It may have died of its attempts when the broker started.
    pub fn may_die(&self, limit: Option<u32>) -> bool {
        self.uncertain && limit.is_some_and(|limit| self.most > limit)
    }
}
