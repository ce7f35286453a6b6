//! The search for tuples that match a template: candidate after candidate, oldest first.

use super::TupleIndex;
use super::entry::{ShortKeys, ShortRange};
use super::masks::{By, Index, Mask};
use crate::ids::Sequence;
use crate::space::template::Template;
use std::collections::VecDeque;

/// A search under way. It outlives changes of the index: what is added behind its position is found, what was before is not.
#[derive(Clone, Debug)]
pub struct Search {
    keys: ShortKeys,
    /// Everything before was looked at.
    at: u64,
    /// Candidates that an ordered index gave: all that it had from `at` on.
    gathered: VecDeque<u64>,
    /// What [`TupleIndex::given_back`] was then.
    gathered_when: u64,
    /// The range is too wide to gather.
    wide: bool,
    /// The first entries were looked at before anything was gathered.
    glanced: bool,
}

/// What a search has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The oldest tuple after the last one that may match. Whoever asks compares it with the template, and goes on if it does not match, or if
    /// more are wanted.
    Candidate(Sequence),
    /// Many entries were walked over: let others have their turn, then go on.
    Pause,
    /// There are no more.
    End,
}

/// How many entries a call walks over before it says [`Step::Pause`]: about a millisecond.
const STEP_ENTRIES: usize = 32_768;

/// Up to how many tuples are gathered from an ordered index and sorted. A wider range finds a match soon by walking.
const GATHER_MAX: usize = 1024;

/// How many entries are looked at before that: a range that is much wider has a match among them.
const GLANCE: usize = 128;

/// With so few candidates by value no order is asked.
const FEW: usize = 64;

impl Search {
    /// A search from the oldest tuple on.
    #[must_use]
    pub fn new(template: &Template) -> Self {
        Self::from(template, Sequence(0))
    }

    /// A search from this position on.
    #[must_use]
    pub fn from(template: &Template, from: Sequence) -> Self {
        Self {
            keys: ShortKeys::from(template.keys()),
            at: from.0,
            gathered: VecDeque::new(),
            gathered_when: 0,
            wide: false,
            glanced: false,
        }
    }

    /// Everything before was looked at.
    #[must_use]
    pub fn position(&self) -> Sequence {
        Sequence(self.at)
    }
}

/// The way that a search takes.
enum Way {
    /// Through the mask index of this number, by this key.
    Mask(usize, u64),
    /// Through the ordered index of this number; the range of that number.
    Order(usize, usize),
    /// Over all entries.
    Walk,
}

impl TupleIndex {
    /// The next free tuple that may match the template of the search.
    pub fn next(&mut self, search: &mut Search) -> Step {
        self.now += 1;
        let mut walked = 0;
        let step = match self.way(search) {
            Way::Mask(at, key) => self.by_mask(at, key, search, &mut walked),
            Way::Order(at, range) => self.by_order(at, range, search, &mut walked),
            Way::Walk => self.walk(None, search, &mut walked),
        };
        self.wish(&search.keys, walked);
        step
    }

    /// The next held tuple from `from` on that may match: for those who want to wait for it.
    #[must_use]
    pub fn next_held(&self, template: &Template, from: Sequence) -> Option<Sequence> {
        let keys = ShortKeys::from(template.keys());
        let mut held = self.rows.iter_held(from.0);
        held.find(|(_, entry)| entry.may_match(&keys))
            .map(|(sequence, _)| Sequence(sequence))
    }

    fn way(&self, search: &Search) -> Way {
        let keys = &search.keys;
        let by_mask = |(at, index): (usize, &Index)| {
            let By::Mask(mask, _) = &index.by else { return None };
            let key = mask.wanted(keys)?;
            let count = index.count(key);
            // One that names few at once is best. The one for just these fields comes next even if it does not cover everything yet: then it grows.
            let rank = match () {
                () if index.covered == u64::MAX && count <= FEW => 0,
                () if mask.fields.len() == keys.equal.len() && mask.shaped == keys.shape.is_some() => 1,
                () => 2,
            };
            Some(((rank, u64::MAX - index.covered, count), at, key))
        };
        let best = self.indexes.iter().enumerate().filter_map(by_mask).min();
        if !search.wide && best.is_none_or(|((_, _, count), ..)| count > FEW) {
            let by_order = |(number, range): (usize, &ShortRange)| {
                let field = range.field;
                let at = self
                    .indexes
                    .iter()
                    .position(|index| matches!(index.by, By::Order(by, _) if by == field))?;
                Some(Way::Order(at, number))
            };
            if let Some(way) = keys.ranges.iter().enumerate().find_map(by_order) {
                return way;
            }
        }
        best.map_or(Way::Walk, |(_, at, key)| Way::Mask(at, key))
    }

    fn by_mask(&mut self, at: usize, key: u64, search: &mut Search, walked: &mut usize) -> Step {
        let index = &mut self.indexes[at];
        index.used = self.now;
        while search.at < index.covered {
            let Some(sequence) = index.next(key, search.at) else {
                search.at = index.covered;
                break;
            };
            search.at = sequence + 1;
            if self.rows.free(sequence).is_some_and(|entry| entry.may_match(&search.keys)) {
                return Step::Candidate(Sequence(sequence));
            }
            *walked += 1;
            if *walked >= STEP_ENTRIES {
                return Step::Pause;
            }
        }
        self.walk(Some(at), search, walked)
    }

    fn by_order(&mut self, at: usize, range: usize, search: &mut Search, walked: &mut usize) -> Step {
        let given_back = self.given_back;
        let index = &mut self.indexes[at];
        index.used = self.now;
        loop {
            if search.gathered_when != given_back {
                search.gathered.clear();
            }
            while let Some(sequence) = search.gathered.pop_front() {
                if sequence < search.at {
                    continue;
                }
                search.at = sequence + 1;
                if self.rows.free(sequence).is_some_and(|entry| entry.may_match(&search.keys)) {
                    return Step::Candidate(Sequence(sequence));
                }
            }
            if search.at >= index.covered {
                return self.walk(Some(at), search, walked);
            }
            if index.covered == u64::MAX && !std::mem::replace(&mut search.glanced, true) {
                for (sequence, entry) in self.rows.iter(search.at).take(GLANCE) {
                    search.at = sequence + 1;
                    if entry.may_match(&search.keys) {
                        search.glanced = false;
                        return Step::Candidate(Sequence(sequence));
                    }
                }
            }
            let Some(found) = index.gather(search.keys.ranges[range], search.at, GATHER_MAX) else {
                search.wide = true;
                return self.walk(None, search, walked);
            };
            if found.is_empty() {
                search.at = index.covered;
            }
            search.gathered = found.into();
            search.gathered_when = given_back;
        }
    }

    /// Over the entries from the search's position on. An index whose cover ends there grows with it.
    fn walk(&mut self, growing: Option<usize>, search: &mut Search, walked: &mut usize) -> Step {
        let Self {
            rows, indexes, entered, ..
        } = self;
        let mut growing = growing
            .and_then(|at| indexes.get_mut(at))
            .filter(|index| index.covered == search.at);
        let mut found = Step::End;
        for (sequence, entry) in rows.iter(search.at) {
            search.at = sequence + 1;
            if let Some(index) = &mut growing {
                index.insert(sequence, entry);
                index.covered = sequence + 1;
                *entered += 1;
            }
            if entry.may_match(&search.keys) {
                found = Step::Candidate(Sequence(sequence));
                break;
            }
            *walked += 1;
            if *walked >= STEP_ENTRIES {
                found = Step::Pause;
                break;
            }
        }
        if found == Step::End
            && let Some(index) = &mut growing
        {
            index.covered = u64::MAX;
        }
        self.weigh();
        found
    }

    /// Entries were walked over in vain: maybe an index would be worth its memory.
    fn wish(&mut self, keys: &ShortKeys, walked: usize) {
        if walked == 0 {
            return;
        }
        let mask = Mask::of(keys);
        let known = |index: &Index| self.indexes.iter().any(|known| known.is_like(index));
        let by_mask = Some(Index::mask(mask)).filter(|_| !keys.equal.is_empty() || (keys.shape.is_some() && keys.ranges.is_empty()));
        let by_order = keys.ranges.first().map(|range| Index::order(range.field));
        if let Some(index) = by_mask.into_iter().chain(by_order).find(|index| !known(index)) {
            self.demand(index, walked);
        }
    }
}
