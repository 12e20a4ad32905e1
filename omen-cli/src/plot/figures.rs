//! What a sample says in numbers: how far predictions are off, how long search ranges are.

use omen_provider::{IndexSample, SampledKey};

/// Keys that a lookup compares at once, around the place where the index expects the key.
pub(super) const WINDOW: u32 = 16;

/// A key less than this far off is in the window.
pub(super) const WITHIN_WINDOW: u32 = WINDOW / 2;

/// Figures of a part.
#[derive(Debug)]
pub(super) struct Figures {
    /// How far each key of the sample is from where it was expected, ascending.
    errors: Vec<u32>,
    /// How long each search range is, ascending.
    ranges: Vec<u32>,
    /// Keys that lie in the page where they were expected.
    in_page: Option<usize>,
}

impl Figures {
    /// Counts a sample.
    pub(super) fn new(sample: &IndexSample) -> Self {
        let keys = &sample.entries;
        let mut errors: Vec<u32> = keys.iter().map(error).collect();
        let mut ranges: Vec<u32> = keys.iter().map(|key| key.range.len() as u32).collect();
        errors.sort_unstable();
        ranges.sort_unstable();
        let in_page = sample.page_rows.map(|page_rows| {
            let last = sample.rows.saturating_sub(1);
            let page = |position: u32| position.min(last) / page_rows.max(1);
            keys.iter().filter(|key| page(key.position) == page(key.predicted)).count()
        });
        Self { errors, ranges, in_page }
    }

    pub(super) fn errors(&self) -> &[u32] {
        &self.errors
    }

    pub(super) fn ranges(&self) -> &[u32] {
        &self.ranges
    }

    /// The share of keys that the first window settles.
    pub(super) fn in_window(&self) -> f64 {
        self.share(self.errors.partition_point(|error| *error < WITHIN_WINDOW))
    }

    /// The share of keys that lie in the page where they were expected; `None` if there are no
    /// pages.
    pub(super) fn in_page(&self) -> Option<f64> {
        self.in_page.map(|keys| self.share(keys))
    }

    /// How far off this share of the keys is at most.
    pub(super) fn error_of(&self, share: f64) -> u32 {
        quantile(&self.errors, share)
    }

    /// How long this share of the search ranges is at most.
    pub(super) fn range_of(&self, share: f64) -> u32 {
        quantile(&self.ranges, share)
    }

    fn share(&self, keys: usize) -> f64 {
        keys as f64 / self.errors.len().max(1) as f64
    }
}

fn quantile(ascending: &[u32], share: f64) -> u32 {
    let wanted = (share * ascending.len() as f64).ceil() as usize;
    ascending.get(wanted.saturating_sub(1)).copied().unwrap_or(0)
}

fn error(key: &SampledKey) -> u32 {
    key.predicted.abs_diff(key.position)
}

/// The bucket of a number: 0, 1, 2–3, 4–7, 8–15, …
pub(super) fn bucket(value: u32) -> usize {
    (u32::BITS - value.leading_zeros()) as usize
}

/// The first number of a bucket.
pub(super) fn bucket_start(bucket: usize) -> u64 {
    if bucket == 0 { 0 } else { 1 << (bucket - 1) }
}

/// The share of numbers in each bucket, up to the last that is not empty.
pub(super) fn shares(numbers: &[u32]) -> Vec<f64> {
    let mut counts = vec![0_usize; numbers.iter().map(|n| bucket(*n) + 1).max().unwrap_or(0)];
    numbers.iter().for_each(|number| counts[bucket(*number)] += 1);
    counts.into_iter().map(|count| count as f64 / numbers.len() as f64).collect()
}

/// A share in per cent, without pretending: `100 %` is all, `0 %` none.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let digits = if (1.0..99.0).contains(&percent) { 0 } else { 1 };
    let shown = match percent {
        p if p <= 0.0 || p >= 100.0 => format!("{:.0}", p.clamp(0.0, 100.0)),
        p if p < 0.05 => "less than 0.1".to_string(),
        p if p > 99.95 => "more than 99.9".to_string(),
        p => format!("{p:.digits$}"),
    };
    format!("{shown} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_double() {
        let of = [0, 1, 2, 3, 4, 7, 8, u32::MAX].map(bucket);
        assert_eq!(of, [0, 1, 2, 2, 3, 3, 4, 32]);
        assert_eq!([0, 1, 2, 3, 33].map(bucket_start), [0, 1, 2, 4, 1 << 32]);
        assert_eq!(shares(&[0, 1, 2, 3]), [0.25, 0.25, 0.5]);
        assert_eq!(shares(&[]), [0.0; 0]);
    }

    #[test]
    fn per_cents_do_not_pretend() {
        let shown = [0.0, 0.0001, 0.004, 0.5, 0.981, 0.9951, 0.99999, 1.0].map(percent);
        let expected =
            ["0 %", "less than 0.1 %", "0.4 %", "50 %", "98 %", "99.5 %", "more than 99.9 %"];
        assert_eq!(shown[..7], expected);
        assert_eq!(shown[7], "100 %");
    }

    #[test]
    fn window_and_page_are_counted() {
        let key = |position, predicted| SampledKey {
            position,
            predicted,
            range: 0..40,
            number: u64::from(position / 2),
        };
        let entries = vec![key(0, 7), key(1, 9), key(12, 9), key(39, 40)];
        let sample = IndexSample {
            rows: 40,
            page_rows: Some(10),
            fixed_width: true,
            entries,
            columns: Vec::new(),
        };
        let figures = Figures::new(&sample);
        assert_eq!(figures.errors(), [1, 3, 7, 8]);
        assert_eq!(figures.in_window(), 0.75);
        assert_eq!(figures.in_page(), Some(0.75));
        assert_eq!((figures.error_of(0.5), figures.error_of(1.0)), (3, 8));
    }
}
