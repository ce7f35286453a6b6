//! The lanes of a queue: one in place for a queue without priorities, the others made when their first message comes. Knows which of them
//! have ready messages, and their sums.

use crate::shard::bits::Bits;
use crate::shard::lane::{Lane, LaneId, Tally};

/// A queue's lanes.
#[derive(Debug)]
pub(crate) struct Lanes {
    first: Lane,
    more: Option<Box<More>>,
}

/// What a queue of several lanes has besides the first.
#[derive(Debug)]
struct More {
    /// In the order of their indexes.
    #[expect(clippy::vec_box, reason = "a lane is large, and one is inserted before others")]
    lanes: Vec<Box<Lane>>,
    /// Those that have ready messages, the first included.
    ready: Bits,
    /// The sums over all lanes, the first included.
    tally: Tally,
}

impl More {
    fn place(&self, index: u8) -> Result<usize, usize> {
        self.lanes.binary_search_by_key(&index, |lane| lane.id.index)
    }
}

impl Lanes {
    pub(crate) fn new(first: Lane) -> Self {
        Self { first, more: None }
    }

    /// The sums over all lanes.
    pub(crate) fn tally(&self) -> &Tally {
        match &self.more {
            None => &self.first.tally,
            Some(more) => &more.tally,
        }
    }

    /// Makes a lane, if it is not there.
    pub(crate) fn create(&mut self, index: u8) {
        if index == 0 {
            return;
        }
        let Lane {
            id,
            durable,
            measured,
            counted,
            tally: first,
            ..
        } = self.first;
        let more = self.more.get_or_insert_with(|| {
            let mut ready = Bits::default();
            if first.ready > 0 {
                ready.insert_one(0);
            }
            Box::new(More {
                lanes: Vec::new(),
                ready,
                tally: first,
            })
        });
        if let Err(at) = more.place(index) {
            more.lanes.insert(
                at,
                Box::new(Lane::new(LaneId { queue: id.queue, index }, durable, measured, counted)),
            );
        }
    }

    pub(crate) fn get(&self, index: u8) -> Option<&Lane> {
        if index == 0 {
            return Some(&self.first);
        }
        let more = self.more.as_ref()?;
        more.lanes.get(more.place(index).ok()?).map(|lane| &**lane)
    }

    /// A lane, for what does not change its tally.
    pub(crate) fn get_mut(&mut self, index: u8) -> Option<&mut Lane> {
        if index == 0 {
            return Some(&mut self.first);
        }
        let more = self.more.as_mut()?;
        let at = more.place(index).ok()?;
        more.lanes.get_mut(at).map(|lane| &mut **lane)
    }

    /// Calls `f` with a lane, and keeps the sums. `None` if it is not there.
    pub(crate) fn update<R>(&mut self, index: u8, f: impl FnOnce(&mut Lane) -> R) -> Option<R> {
        let Some(more) = &mut self.more else {
            return (index == 0).then(|| f(&mut self.first));
        };
        let lane = match more.place(index) {
            _ if index == 0 => &mut self.first,
            Ok(at) => &mut *more.lanes[at],
            Err(_) => return None,
        };
        let before = lane.tally;
        let outcome = f(lane);
        more.tally.changed(before, lane.tally);
        if lane.tally.ready > 0 {
            more.ready.insert_one(index.into());
        } else {
            more.ready = more.ready.without(Bits::of(index.into()..u16::from(index) + 1));
        }
        Some(outcome)
    }

    /// Calls `f` with each lane, and keeps the sums.
    pub(crate) fn update_all(&mut self, mut f: impl FnMut(&mut Lane)) {
        let others: Vec<u8> = self.iter().skip(1).map(|lane| lane.id.index).collect();
        for index in std::iter::once(0).chain(others) {
            self.update(index, &mut f);
        }
    }

    /// Which lanes have ready messages.
    pub(crate) fn ready(&self) -> Bits {
        let first = u16::from(self.first.tally.ready > 0);
        self.more.as_ref().map_or_else(|| Bits::of(0..first), |more| more.ready)
    }

    /// Where the next message comes from: the highest one with ready messages, or the first.
    fn current_index(&self) -> u8 {
        self.more.as_ref().and_then(|more| more.ready.last()).map_or(0, |index| index as u8)
    }

    /// The lane that the next message comes from.
    pub(crate) fn current(&self) -> &Lane {
        self.get(self.current_index()).unwrap_or(&self.first)
    }

    /// The same.
    pub(crate) fn current_mut(&mut self) -> &mut Lane {
        match self.current_index() {
            0 => &mut self.first,
            index => match self.more.as_mut().map(|more| (more.place(index), more)) {
                Some((Ok(at), more)) => &mut more.lanes[at],
                _ => &mut self.first,
            },
        }
    }

    /// All of them, in the order of their indexes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Lane> {
        let others = self.more.iter().flat_map(|more| &more.lanes).map(|lane| &**lane);
        std::iter::once(&self.first).chain(others)
    }

    /// The same, for what does not change a tally.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Lane> {
        let others = self.more.iter_mut().flat_map(|more| &mut more.lanes).map(|lane| &mut **lane);
        std::iter::once(&mut self.first).chain(others)
    }

    /// Checks sums and bits.
    pub(crate) fn invariants(&self) {
        let mut sum = Tally::default();
        self.iter().for_each(|lane| sum.changed(Tally::default(), lane.tally));
        assert_eq!(*self.tally(), sum, "sums are those of the lanes");
        if let Some(more) = &self.more {
            assert!(more.lanes.is_sorted_by_key(|lane| lane.id.index));
            let ready = |index: u16| self.get(index as u8).is_some_and(|lane| lane.tally.ready > 0);
            assert!(
                (0..256).all(|index| more.ready.contains(index) == ready(index)),
                "which lanes have ready messages is known"
            );
        }
    }
}
