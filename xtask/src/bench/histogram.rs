//! Latencies in buckets that are about 3 % wide, whatever their size.
//!
//! A list of all latencies would grow with the speed of what is measured and cost more as it grows. Here adding one is a
//! shift and an increment. The buckets are those of an HDR histogram: every power of two is cut into 32 equal parts.

use std::time::Duration;

const PARTS_BITS: u32 = 5;
const PARTS: u64 = 1 << PARTS_BITS;
/// Every bucket a number of 64 bits can fall into.
const BUCKETS: usize = (64 - PARTS_BITS as usize + 1) << PARTS_BITS;

#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0 }
    }
}

impl Histogram {
    pub fn add(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(bucket(nanos)) {
            *count += 1;
            self.total += 1;
        }
    }

    pub fn absorb(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
    }

    pub fn count(&self) -> u64 {
        self.total
    }

    /// The latency that `per_mille` of a thousand requests did not exceed; zero if there were none.
    pub fn quantile(&self, per_mille: u64) -> Duration {
        let wanted = (u128::from(self.total) * u128::from(per_mille)).div_ceil(1000).max(1);
        let mut seen = 0_u128;
        for (index, count) in self.counts.iter().enumerate() {
            seen += u128::from(*count);
            if seen >= wanted {
                return Duration::from_nanos(upper_bound(index));
            }
        }
        Duration::ZERO
    }
}

fn bucket(nanos: u64) -> usize {
    // Numbers below 64 have a bucket each; above, the five bits after the leading one tell the bucket.
    let shift = (u64::BITS - nanos.leading_zeros()).saturating_sub(PARTS_BITS + 1);
    let index = (u64::from(shift) << PARTS_BITS) + (nanos >> shift);
    usize::try_from(index).unwrap_or(usize::MAX)
}

/// The largest number of a bucket.
fn upper_bound(index: usize) -> u64 {
    let index = index as u64;
    if index < 2 * PARTS {
        return index;
    }
    let shift = (index >> PARTS_BITS) - 1;
    let first = u128::from(index - (shift << PARTS_BITS)) << shift;
    u64::try_from(first + (1 << shift) - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_numbers_and_is_no_wider_than_a_32nd() {
        for nanos in [0, 1, 31, 32, 63, 64, 65, 100, 1_000, 999_999, 1 << 40, u64::MAX - 1, u64::MAX] {
            let index = bucket(nanos);
            let most = upper_bound(index);
            assert!(most >= nanos && most - nanos <= nanos / 32, "{nanos} in {index} up to {most}");
            assert!(index == 0 || upper_bound(index - 1) < nanos, "{nanos} is in {index}");
            assert!(index < BUCKETS);
        }
    }

    #[test]
    fn quantiles_are_read_from_the_counts() {
        let mut first = Histogram::default();
        let mut second = Histogram::default();
        for micros in 1..=500 {
            first.add(Duration::from_micros(micros));
            second.add(Duration::from_micros(micros + 500));
        }
        first.absorb(&second);
        assert_eq!(first.count(), 1_000);
        for (per_mille, micros) in [(1, 1), (500, 500), (990, 990), (1000, 1000)] {
            let found = first.quantile(per_mille).as_secs_f64() * 1e6;
            assert!((found - f64::from(micros)).abs() <= f64::from(micros) / 32.0, "{per_mille}: {found}");
        }
        assert_eq!(Histogram::default().quantile(500), Duration::ZERO);
    }
}
