//! Durations, counted by their order of magnitude in a fixed number of buckets.

/// Buckets of a histogram.
pub const BUCKETS: usize = 48;

/// How many durations were how long, in milliseconds. A bucket is half as wide as the power of two below it, up to some four hours; the last one takes all
/// that is longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    buckets: [u32; BUCKETS],
    count: u64,
    sum_ms: u64,
    max_ms: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: [0; BUCKETS],
            count: 0,
            sum_ms: 0,
            max_ms: 0,
        }
    }
}

/// 0, 1, 2, 3, then two buckets for each power of two.
fn bucket_of(ms: u64) -> usize {
    if ms < 4 {
        return ms as usize;
    }
    let power = ms.ilog2();
    let half = (ms >> (power - 1) & 1) as usize;
    (4 + 2 * (power as usize - 2) + half).min(BUCKETS - 1)
}

/// The longest duration of a bucket.
fn longest(bucket: usize) -> u64 {
    if bucket < 4 {
        return bucket as u64;
    }
    let (power, half) = ((bucket - 4) / 2 + 2, (bucket - 4) as u64 % 2);
    (1 << power) + ((half + 1) << (power - 1)) - 1
}

impl Histogram {
    pub(crate) fn record(&mut self, ms: u64) {
        let bucket = &mut self.buckets[bucket_of(ms)];
        *bucket = bucket.saturating_add(1);
        self.count += 1;
        self.sum_ms = self.sum_ms.saturating_add(ms);
        self.max_ms = self.max_ms.max(ms);
    }

    /// Adds the durations of another.
    pub fn add(&mut self, other: &Self) {
        for (bucket, count) in self.buckets.iter_mut().zip(other.buckets) {
            *bucket = bucket.saturating_add(count);
        }
        self.count += other.count;
        self.sum_ms = self.sum_ms.saturating_add(other.sum_ms);
        self.max_ms = self.max_ms.max(other.max_ms);
    }

    /// How many durations there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All of them together, in milliseconds.
    #[must_use]
    pub fn sum_ms(&self) -> u64 {
        self.sum_ms
    }

    /// The longest, in milliseconds.
    #[must_use]
    pub fn max_ms(&self) -> u64 {
        self.max_ms
    }

    /// So many hundredths of all durations are not longer than this, in milliseconds, with the precision of a bucket. 0 without any.
    #[must_use]
    pub fn percentile_ms(&self, percent: u64) -> u64 {
        let wanted = (self.count * percent).div_ceil(100).max(1);
        let found = self.cumulative().find(|(_, count)| *count >= wanted);
        found.map_or(self.max_ms, |(longest, _)| longest.min(self.max_ms))
    }

    /// The longest duration of each bucket but the last, in milliseconds, and how many durations are not longer: as Prometheus wants it.
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut sum = 0;
        self.buckets[..BUCKETS - 1].iter().enumerate().map(move |(bucket, count)| {
            sum += u64::from(*count);
            (longest(bucket), sum)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_in_the_bucket_that_ends_behind_it() {
        for ms in (0..100_000).chain([1 << 22, (1 << 23) - 1, 1 << 23, (1 << 23) + (1 << 22) - 1]) {
            let bucket = bucket_of(ms);
            assert!(
                ms <= longest(bucket) && (bucket == 0 || ms > longest(bucket - 1)),
                "{ms} in bucket {bucket}"
            );
        }
        assert_eq!((bucket_of(u64::MAX), bucket_of(1 << 40)), (BUCKETS - 1, BUCKETS - 1));
        let longest: Vec<_> = (0..12).map(longest).collect();
        assert_eq!(longest, [0, 1, 2, 3, 5, 7, 11, 15, 23, 31, 47, 63]);
    }

    #[test]
    fn percentiles_are_those_of_the_buckets() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.percentile_ms(50), histogram.max_ms()), (0, 0));
        (1..=100).for_each(|ms| histogram.record(ms));
        assert_eq!(
            [1, 50, 90, 99, 100].map(|percent| histogram.percentile_ms(percent)),
            [1, 63, 95, 100, 100]
        );
        assert_eq!((histogram.count(), histogram.sum_ms(), histogram.max_ms()), (100, 5050, 100));
        histogram.record(u64::MAX);
        assert_eq!((histogram.percentile_ms(100), histogram.sum_ms()), (u64::MAX, u64::MAX));
        assert_eq!(histogram.cumulative().last(), Some((longest(BUCKETS - 2), 100)));
    }
}
