//! 256 bits, one for each message that a chunk may hold.

use std::ops::Range;

/// A set of places in a chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits([u64; 4]);

impl Bits {
    /// Those of `range`.
    pub(crate) fn of(range: Range<u16>) -> Self {
        let below = |n: u16, word: u16| match n.saturating_sub(word * 64) {
            n @ 0..64 => (1u64 << n) - 1,
            _ => u64::MAX,
        };
        Self(std::array::from_fn(|word| {
            below(range.end, word as u16) & !below(range.start, word as u16)
        }))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    pub(crate) fn count(&self) -> u16 {
        self.0.iter().map(|word| word.count_ones() as u16).sum()
    }

    pub(crate) fn insert(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
    }

    pub(crate) fn contains(&self, at: u16) -> bool {
        self.0[usize::from(at / 64)] >> (at % 64) & 1 != 0
    }

    pub(crate) fn insert_one(&mut self, at: u16) {
        self.0[usize::from(at / 64)] |= 1 << (at % 64);
    }

    /// The last place that is in the set.
    pub(crate) fn last(&self) -> Option<u16> {
        let word = self.0.iter().rposition(|&word| word != 0)?;
        Some(word as u16 * 64 + 63 - self.0[word].leading_zeros() as u16)
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & other.0[word]))
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & !other.0[word]))
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    /// The first place at or behind `from` that is in the set (`wanted`) or not in it, `end` if there is none below `end`.
    fn find(&self, from: u16, end: u16, wanted: bool) -> u16 {
        let mut at = from;
        while at < end {
            let word = self.0[usize::from(at / 64)];
            let rest = (if wanted { word } else { !word }) >> (at % 64);
            if rest != 0 {
                return end.min(at + rest.trailing_zeros() as u16);
            }
            at = (at / 64 + 1) * 64;
        }
        end
    }

    /// The first run of places in `range` that are not in the set; empty, at the end, if all are.
    pub(crate) fn gap(&self, range: Range<u16>) -> Range<u16> {
        let start = self.find(range.start, range.end, false);
        start..self.find(start, range.end, true)
    }

    /// All runs of places in `range` that are not in the set.
    pub(crate) fn gaps(self, range: Range<u16>) -> impl Iterator<Item = Range<u16>> {
        let mut at = range.start;
        std::iter::from_fn(move || {
            let gap = self.gap(at..range.end);
            at = gap.end;
            (!gap.is_empty()).then_some(gap)
        })
    }

    /// All runs of places that are in the set.
    pub(crate) fn runs(self) -> impl Iterator<Item = Range<u16>> {
        Self(self.0.map(|word| !word)).gaps(0..256)
    }

    /// A bit a place, lowest first.
    pub(crate) fn octets(&self) -> impl Iterator<Item = u8> {
        self.0.into_iter().flat_map(u64::to_le_bytes)
    }

    /// What [`octets`](Self::octets) gave; bits from `count` on are left out.
    pub(crate) fn from_octets(octets: &[u8], count: u16) -> Self {
        let mut bytes = [0; 32];
        let size = octets.len().min(32);
        bytes[..size].copy_from_slice(&octets[..size]);
        let mut words = [0; 4];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = chunk.iter().rev().fold(0, |word, &octet| word << 8 | u64::from(octet));
        }
        Self(words).and(Self::of(0..count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_gaps_across_words() {
        let mut bits = Bits::of(0..3);
        bits.insert(Bits::of(60..70));
        bits.insert_one(255);
        assert_eq!(bits.count(), 14);
        assert_eq!(bits.gaps(0..256).collect::<Vec<_>>(), [3..60, 70..255]);
        assert_eq!(bits.gap(0..3), 3..3);
        assert_eq!(bits.gap(61..256), 70..255);
        assert_eq!(Bits::of(0..256).gap(10..256), 256..256);
        assert_eq!(Bits::of(5..5), Bits::default());
        assert!(bits.and(Bits::of(69..71)) == Bits::of(69..70));
    }

    #[test]
    fn octets_read_back() {
        let bits = Bits::of(3..130);
        let octets: Vec<u8> = bits.octets().take(17).collect();
        assert_eq!(Bits::from_octets(&octets, 130), bits);
        assert_eq!(Bits::from_octets(&octets, 9), Bits::of(3..9));
    }
}
