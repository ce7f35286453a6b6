//! The bodies that lie apart: which unsettled records of a chunk refer to one. What is settled leaves the list, so a body is named once as
//! released, and what is listed is what a restart must count.
//!
//! The work is marked as cold, so that chunks without such bodies do not pay for it.

use std::mem::size_of;
use std::ops::Range;

use crate::ids::BodyId;
use crate::record::{BodyRef, Records};
use crate::shard::bits::Bits;

/// References of unsettled records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Apart {
    /// The records that refer to a body.
    places: Bits,
    /// What they refer to, in the order of the places.
    refs: Vec<BodyRef>,
    /// Octets of the bodies, counted for every reference.
    bytes: u64,
}

impl Apart {
    /// The references at `places`, in that order. `None` if there are not as many.
    pub(crate) fn new(places: Bits, refs: Vec<BodyRef>) -> Option<Self> {
        let bytes = refs.iter().map(|body| body.size).sum();
        (usize::from(places.count()) == refs.len()).then_some(Self { places, refs, bytes })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.refs.is_empty()
    }
    pub(crate) fn places(&self) -> Bits {
        self.places
    }
    pub(crate) fn refs(&self) -> &[BodyRef] {
        &self.refs
    }
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
    /// Octets of memory that the list takes.
    pub(crate) fn footprint(&self) -> usize {
        size_of::<Self>() + self.refs.capacity() * size_of::<BodyRef>()
    }
    pub(crate) fn shrink(&mut self) {
        self.refs.shrink_to_fit();
    }

    /// How many references lie below a place.
    fn below(&self, place: u16) -> usize {
        self.places.and(Bits::of(0..place)).count().into()
    }

    /// Octets of the bodies that a run of records refers to.
    #[cold]
    pub(crate) fn bytes_of(&self, places: Range<u16>) -> u64 {
        self.refs[self.below(places.start)..self.below(places.end)]
            .iter()
            .map(|body| body.size)
            .sum()
    }

    /// Adds what a run of records refers to; they lie behind all that are listed.
    #[cold]
    pub(crate) fn extend(&mut self, first: u16, records: Records<'_>) {
        for (place, record) in (first..).zip(records.iter()) {
            if let Some(body) = record.body_ref() {
                self.places.insert_one(place);
                self.refs.push(body);
                self.bytes += body.size;
            }
        }
    }

    /// Takes the references of these records away, as far as they have any. Returns the octets of their bodies.
    #[cold]
    pub(crate) fn remove(&mut self, places: Bits, mut removed: impl FnMut(BodyId)) -> u64 {
        let before = self.bytes;
        for run in places.and(self.places).runs() {
            let from = self.below(run.start);
            for body in self.refs.drain(from..from + run.len()) {
                self.bytes -= body.size;
                removed(body.id);
            }
            self.places = self.places.without(Bits::of(run));
        }
        before - self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_and_taken_by_place() {
        let body = |id| BodyRef {
            id: BodyId(id),
            size: 10 * id,
        };
        let places = [0..2, 5..7, 200..201].into_iter().fold(Bits::default(), |mut bits, range| {
            bits.insert(Bits::of(range));
            bits
        });
        let mut apart = Apart::new(places, (1..=5).map(body).collect()).expect("a reference a place");
        assert_eq!((apart.bytes(), apart.bytes_of(1..6), apart.bytes_of(7..200)), (150, 50, 0));
        let mut removed = Vec::new();
        let mut places = Bits::of(1..6);
        places.insert(Bits::of(100..256));
        assert_eq!(apart.remove(places, |body| removed.push(body.0)), 100);
        assert_eq!((removed, apart.refs()), (vec![2, 3, 5], &[body(1), body(4)][..]));
        assert_eq!((apart.bytes(), apart.bytes_of(6..7), apart.bytes_of(1..6)), (50, 40, 0));
        assert_eq!(apart.remove(places, |body| panic!("body {body} is removed twice")), 0);
        assert_eq!(Some(&apart), Apart::new(apart.places(), apart.refs().to_vec()).as_ref());
        assert_eq!(Apart::new(Bits::of(0..2), vec![body(1)]), None);
    }
}
