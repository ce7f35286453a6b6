//! How many of something were how large, by powers of four: for what is measured once a commit.

/// The largest of the smallest.
const FIRST: u64 = 64;
/// Bounds, each four times the one before: 64 to 16,777,216.
const BOUNDS: usize = 10;

/// Sizes, in whatever unit, that were recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    /// Those that are not larger than a bound, nor as small as those before; last, all that are larger.
    counts: [u64; BOUNDS + 1],
    sum: u64,
}

fn bound(place: usize) -> u64 {
    FIRST << (2 * place)
}

impl Buckets {
    pub(crate) fn record(&mut self, size: u64) {
        let place = (0..BOUNDS).find(|place| size <= bound(*place)).unwrap_or(BOUNDS);
        self.counts[place] += 1;
        self.sum = self.sum.saturating_add(size);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All of them together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// Each bound, and how many are not larger.
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut upto = 0;
        self.counts[..BOUNDS].iter().enumerate().map(move |(place, count)| {
            upto += count;
            (bound(place), upto)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_the_bucket_whose_bound_they_do_not_exceed() {
        let mut buckets = Buckets::default();
        [0, 64, 65, 256, 257, 16_777_216, 16_777_217, 1 << 40]
            .into_iter()
            .for_each(|size| buckets.record(size));
        let cumulative: Vec<_> = buckets.cumulative().collect();
        assert_eq!(cumulative[..4], [(64, 2), (256, 4), (1024, 5), (4096, 5)]);
        assert_eq!((cumulative[9], buckets.count()), ((16_777_216, 6), 8));
        assert_eq!(buckets.sum(), 642 + 16_777_216 + 16_777_217 + (1 << 40));
    }
}
