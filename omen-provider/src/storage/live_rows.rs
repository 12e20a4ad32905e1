//! The live rows that a scan of a segment returns: which positions to decode, and which of these
//! to throw away.
//!
//! Deleted rows are kept out of a scan in two ways. A gap in the positions to decode saves decoding
//! but costs the decoder a skip in every column, and memory for the list of gaps. A mask costs a
//! bit for each row, decodes deleted rows for nothing, and filters what was decoded. So few gaps
//! are left out; of many, the long ones are left out and the short ones masked.
//!
//! Made by the snapshot and by compaction; read by the segment's own stream and by the provider.
//! Whoever decodes applies the mask at once: nothing above counts, limits or filters deleted rows.
//!
//! Invariant: `decoded` without what the mask hides is exactly the live rows asked for.

use std::ops::Range;

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::BooleanBuffer;

use super::deletion_vector::DeletionVector;
use super::row_ranges::RowRanges;

/// Short gaps are masked if there is more than one for this many rows to decode.
///
/// Measured with a development build on 1,000,000 rows of four columns, milliseconds with gaps and
/// with a mask: SQL `sum` of one column; SQL aggregates of all four; `range` over all rows.
///
/// | deleted      | one column | all four  | `range`  |
/// |--------------|------------|-----------|----------|
/// | every 2nd    | 223, 61    | 338, 151  | 464, 154 |
/// | every 8th    | 72, 53     | 198, 163  | 195, 147 |
/// | every 16th   | 43, 45     | 152, 153  | 175, 136 |
/// | every 32nd   | 30, 39     | 141, 149  | 148, 120 |
/// | every 256th  | 23, 39     | 120, 140  | 108, 116 |
/// | 16 of 32     | 50, 59     | 140, 138  | 109, 116 |
/// | 256 of 512   | 46, 102    | 131, 196  | 160, 177 |
const ROWS_PER_GAP: u64 = 16;

/// Gaps of at least this many rows are left out even where others are masked: decoding them costs
/// more than skipping them.
const LONG_GAP_ROWS: u32 = 32;

/// Up to this many short gaps are never masked.
const GAPS_MIN: u64 = 16;

/// The rows of a segment that a scan returns.
#[derive(Debug, Clone)]
pub struct LiveRows {
    decoded: RowRanges,
    mask: Option<RowMask>,
    count: u64,
}

/// Which of the rows decoded are live.
#[derive(Debug, Clone)]
pub struct RowMask {
    /// The position of the first bit.
    start: u32,
    live: BooleanBuffer,
}

/// What lies deleted among rows asked for.
#[derive(Debug, Default)]
struct Gaps {
    rows: u64,
    short: u64,
    long: Vec<Range<u32>>,
}

impl From<RowRanges> for LiveRows {
    /// Rows of which none is deleted.
    fn from(rows: RowRanges) -> Self {
        Self { count: rows.row_count(), decoded: rows, mask: None }
    }
}

impl LiveRows {
    /// The rows of `rows` that are not in `dead`.
    pub fn new(rows: RowRanges, dead: &DeletionVector) -> Self {
        if dead.is_empty() {
            return rows.into();
        }
        let gaps = Gaps::of(&rows, dead);
        let count = rows.row_count() - gaps.rows;
        let long_rows: u64 = gaps.long.iter().map(|gap| gap.len() as u64).sum();
        if gaps.short <= GAPS_MIN || gaps.short * ROWS_PER_GAP <= rows.row_count() - long_rows {
            let decoded = rows.without(dead_among(&rows, dead));
            return Self { decoded, mask: None, count };
        }
        let decoded = rows.without(gaps.long.into_iter().flatten());
        let mask = RowMask::new(&decoded, dead);
        Self { decoded, mask: Some(mask), count }
    }

    /// How many rows the scan returns.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The positions to decode.
    pub fn decoded(&self) -> &RowRanges {
        &self.decoded
    }

    /// What to keep of the rows decoded; `None`: all.
    pub fn mask(&self) -> Option<&RowMask> {
        self.mask.as_ref()
    }
}

impl Gaps {
    fn of(rows: &RowRanges, dead: &DeletionVector) -> Self {
        let mut gaps = Self::default();
        for range in rows.iter() {
            let mut gap = range.start..range.start;
            for position in dead.within(range) {
                if position == gap.end {
                    gap.end += 1;
                } else {
                    gaps.add(std::mem::replace(&mut gap, position..position + 1));
                }
            }
            gaps.add(gap);
        }
        gaps
    }

    fn add(&mut self, gap: Range<u32>) {
        let length = gap.end - gap.start;
        self.rows += u64::from(length);
        match length {
            0 => {}
            1..LONG_GAP_ROWS => self.short += 1,
            _ => self.long.push(gap),
        }
    }
}

impl RowMask {
    /// The mask over `rows`.
    fn new(rows: &RowRanges, dead: &DeletionVector) -> Self {
        let start = rows.iter().next().map_or(0, |first| first.start);
        let end = rows.iter().last().map_or(start, |last| last.end);
        let mut live = BooleanBufferBuilder::new((end - start) as usize);
        live.append_n((end - start) as usize, true);
        for position in dead_among(rows, dead) {
            live.set_bit((position - start) as usize, false);
        }
        Self { start, live: live.finish() }
    }

    /// Which rows of a range are live; it lies among the rows decoded.
    pub fn slice(&self, rows: Range<u32>) -> BooleanBuffer {
        self.live.slice((rows.start - self.start) as usize, rows.len())
    }

    /// Which of `positions` are live; `None` if the mask does not know one of them.
    pub fn at(&self, positions: &[i64]) -> Option<BooleanBuffer> {
        let start = i64::from(self.start);
        let known = start..start + self.live.len() as i64;
        if !positions.iter().all(|position| known.contains(position)) {
            return None;
        }
        let bit = |position: i64| (position - start) as usize;
        match positions.first() {
            Some(&first) if positions.windows(2).all(|pair| pair[0] + 1 == pair[1]) => {
                Some(self.live.slice(bit(first), positions.len()))
            }
            _ => Some(BooleanBuffer::collect_bool(positions.len(), |index| {
                self.live.value(bit(positions[index]))
            })),
        }
    }

    /// The first of `rows`, of those decoded, that hold `count` live ones; all, if there are fewer.
    pub fn first(&self, rows: &RowRanges, count: usize) -> RowRanges {
        let mut missing = count;
        let mut taken = Vec::new();
        for range in rows.iter() {
            if missing == 0 {
                break;
            }
            let live = self.slice(range.clone());
            let end = live.find_nth_set_bit_position(0, missing);
            missing -= live.slice(0, end).count_set_bits();
            taken.push(range.start..range.start + end as u32);
        }
        taken.into_iter().collect()
    }
}

/// The deleted ones of `rows`, ascending.
fn dead_among(rows: &RowRanges, dead: &DeletionVector) -> impl Iterator<Item = u32> {
    rows.iter().flat_map(|range| dead.within(range))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Deleted positions: the same thing over and over, at random, or in long stretches.
    fn dead_positions(rows: u32) -> impl Strategy<Value = Vec<u32>> {
        let every = (1u32..80, 0u32..80).prop_map(move |(step, from)| {
            (from..rows).step_by(step as usize).collect::<Vec<u32>>()
        });
        let all_but = (2u32..9).prop_map(move |n| (0..rows).filter(|p| p % n > 0).collect());
        let random = prop::collection::vec(0..rows, 0..300);
        let stretches = prop::collection::vec((0..rows, 1u32..200), 0..20).prop_map(move |list| {
            list.into_iter().flat_map(|(start, length)| start..(start + length).min(rows)).collect()
        });
        (prop_oneof![every, all_but, random.clone(), Just(Vec::new())], stretches, random).prop_map(
            |(a, b, c): (Vec<u32>, Vec<u32>, Vec<u32>)| {
                let keep_more = c.len() % 2 == 0;
                let mut all = if keep_more { a } else { [a, b, c].concat() };
                all.sort_unstable();
                all.dedup();
                all
            },
        )
    }

    fn decoded_and_live(rows: &LiveRows) -> Vec<u32> {
        let decoded = rows.decoded().iter().flatten();
        match rows.mask() {
            None => decoded.collect(),
            Some(mask) => decoded.filter(|&p| mask.slice(p..p + 1).value(0)).collect(),
        }
    }

    proptest! {
        #[test]
        fn live_rows_are_those_not_deleted(
            dead in dead_positions(3000),
            ranges in prop::collection::vec((0u32..3000, 0u32..1500), 1..4),
            limit in 0usize..2000,
        ) {
            let mut vector = DeletionVector::default();
            dead.iter().for_each(|&p| { vector.insert(p); });
            let rows: RowRanges =
                ranges.iter().map(|&(start, n)| start..(start + n).min(3000)).collect();
            let expected: Vec<u32> =
                rows.iter().flatten().filter(|p| !vector.contains(*p)).collect();
            let live = LiveRows::new(rows.clone(), &vector);
            prop_assert_eq!(decoded_and_live(&live), expected.clone());
            prop_assert_eq!(live.count(), expected.len() as u64);
            prop_assert_eq!(live.decoded().intersect(&rows), live.decoded().clone());
            let Some(mask) = live.mask() else { return Ok(()) };
            let first = mask.first(live.decoded(), limit);
            let kept = expected.iter().filter(|&&p| first.intersect(&one(p)) == one(p)).count();
            prop_assert_eq!(kept, limit.min(expected.len()));
            let positions: Vec<i64> = live.decoded().iter().flatten().map(i64::from).collect();
            prop_assert_eq!(mask.at(&positions).unwrap().count_set_bits(), expected.len());
            prop_assert!(mask.at(&[3001]).is_none() && mask.at(&[-1]).is_none());
        }
    }

    fn one(position: u32) -> RowRanges {
        std::iter::once(position..position + 1).collect()
    }

    #[test]
    fn many_short_gaps_are_masked_and_the_others_left_out() {
        let vector = |dead: &mut dyn Iterator<Item = u32>| {
            let mut vector = DeletionVector::default();
            dead.for_each(|p| {
                vector.insert(p);
            });
            vector
        };
        let of = |dead: &mut dyn Iterator<Item = u32>| {
            let live = LiveRows::new(RowRanges::all(100_000), &vector(dead));
            (live.mask().is_some(), live.decoded().iter().count())
        };
        assert_eq!(of(&mut std::iter::empty()), (false, 1));
        assert_eq!(of(&mut (0..100_000).step_by(2)), (true, 1));
        assert_eq!(of(&mut (0..100_000).step_by(1000)), (false, 100));
        assert_eq!(of(&mut (1..100_000)), (false, 1));
        assert_eq!(of(&mut (0..100_000)), (false, 0));
        // The second half gone, of the first every third row.
        let mut mixed = (0..50_000).step_by(3).chain(50_000..100_000);
        assert_eq!(of(&mut mixed), (true, 1));
        // A few rows are never masked, whatever is deleted around them.
        let dense = vector(&mut (0..100_000).step_by(2));
        let few = LiveRows::new(std::iter::once(500..520).collect(), &dense);
        assert!(few.mask().is_none() && few.count() == 10);
    }
}
