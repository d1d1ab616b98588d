//! Counts of values in buckets that grow with the value: exact below 1,024, and never more than 0.2 % off above.
//! Recording allocates nothing.

const SUB_BUCKET_BITS: u32 = 9;
const SUB_BUCKETS: u64 = 1 << SUB_BUCKET_BITS;
/// Values of this many bits or more are counted in the last bucket: 2^36 µs are 19 hours.
const LARGEST_BITS: u32 = 36;

/// A histogram of non-negative integers; the unit is the caller's.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; bucket((1 << LARGEST_BITS) - 1) + 1], total: 0, max: 0 }
    }
}

impl Histogram {
    pub fn record(&mut self, value: u64) {
        let last = self.counts.len() - 1;
        self.counts[bucket(value).min(last)] += 1;
        self.total += 1;
        self.max = self.max.max(value);
    }

    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    pub fn total(&self) -> u64 {
        self.total
    }

    pub fn max(&self) -> u64 {
        self.max
    }

    /// The smallest recorded bucket's upper end such that `percent` of all values are not above it; 0 if nothing was recorded.
    pub fn percentile(&self, percent: f64) -> u64 {
        let wanted = (self.total as f64 * percent / 100.0).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return highest_value(index).min(self.max);
            }
        }
        self.max
    }
}

/// Buckets 0..1024 hold one value each; from there every doubling has 512 buckets.
fn bucket(value: u64) -> usize {
    let bits = u64::BITS - value.leading_zeros();
    let shift = bits.saturating_sub(SUB_BUCKET_BITS + 1);
    (u64::from(shift) * SUB_BUCKETS + (value >> shift)) as usize
}

fn highest_value(index: usize) -> u64 {
    let index = index as u64;
    let shift = (index / SUB_BUCKETS).saturating_sub(1);
    let sub_bucket = index - shift * SUB_BUCKETS;
    ((sub_bucket + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_the_bucket_that_names_it() {
        for value in (0..5000).chain([65_535, 65_536, 1 << 30, (1 << 36) - 1]) {
            let highest = highest_value(bucket(value));
            assert!(highest >= value && highest - value <= value / 512, "{value} is shown as {highest}");
            assert_eq!(bucket(highest), bucket(value));
            assert_eq!(bucket(highest + 1), bucket(value) + 1);
        }
    }

    #[test]
    fn percentiles_of_a_thousand_values_are_exact() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|value| histogram.record(value));
        let percentiles = [50.0, 99.0, 99.9, 100.0].map(|percent| histogram.percentile(percent));
        assert_eq!(percentiles, [500, 990, 999, 1000]);
    }

    #[test]
    fn two_histograms_add_up() {
        let (mut one, mut other) = (Histogram::default(), Histogram::default());
        one.record(10);
        other.record(30_000_000);
        one.add(&other);
        assert_eq!((one.total(), one.max(), one.percentile(50.0)), (2, 30_000_000, 10));
    }

    #[test]
    fn a_value_beyond_the_range_is_still_counted() {
        let mut histogram = Histogram::default();
        histogram.record(u64::MAX);
        assert_eq!((histogram.total(), histogram.max()), (1, u64::MAX));
    }

    #[test]
    fn an_empty_histogram_has_zero_percentiles() {
        assert_eq!(Histogram::default().percentile(99.0), 0);
    }
}
