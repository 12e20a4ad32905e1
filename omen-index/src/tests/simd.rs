//! All sets of instructions give the same results.

use super::distributions::Random;
use crate::simd::{Isa, KNOTS_MAX, Kernel, Knots, run_on_each};

struct Counts;

impl Kernel<&[u64], u64, ()> for Counts {
    type Output = [usize; 6];

    #[inline(always)]
    fn run<I: Isa>(isa: I, keys: &[u64], bound: u64, (): ()) -> [usize; 6] {
        let bytes: Vec<u8> = keys.iter().flat_map(|key| key.to_le_bytes()).collect();
        let le = bytes.as_chunks::<8>().0;
        [
            isa.count_below::<8>(keys.first_chunk().unwrap(), bound),
            isa.count_below::<16>(keys.first_chunk().unwrap(), bound),
            isa.count_below::<16>(keys.last_chunk().unwrap(), bound),
            isa.count_below_le::<8>(le.last_chunk().unwrap(), bound),
            isa.count_below_le::<16>(le.first_chunk().unwrap(), bound),
            isa.crc32c(bound as u32, keys[3]) as usize,
        ]
    }
}

struct Ranks;

impl Kernel<&[u64; 32], (&Knots, usize), u64> for Ranks {
    type Output = (usize, (usize, usize));

    #[inline(always)]
    fn run<I: Isa>(
        isa: I,
        keys: &[u64; 32],
        (knots, count): (&Knots, usize),
        bound: u64,
    ) -> Self::Output {
        (isa.rank(keys, bound), isa.count_knots(knots, count, bound as u32))
    }
}

/// Of keys and knots that ascend, the numbers are those of the definition. What lies after the
/// knots does not count.
#[test]
fn all_instructions_rank_alike() {
    let mut random = Random(7);
    for round in 0..50_000 {
        let shift = 64 - 8 * (round % 8);
        let mut keys = [(); 32].map(|()| random.next() >> (shift % 64));
        keys.sort_unstable();
        // From many that are equal to none.
        let shift = random.below(25);
        let mut knots = [(); KNOTS_MAX].map(|()| random.next() as u32 >> 8 >> shift);
        let count = random.below(65) as usize;
        knots[..count].sort_unstable();
        let mut bytes = [0xA5; 192];
        for (i, knot) in knots[..count].iter().enumerate() {
            let [low, middle, high, _] = knot.to_le_bytes();
            [bytes[2 * i], bytes[2 * i + 1], bytes[2 * count + i]] = [middle, high, low];
        }
        let mut bounds = vec![0, (1 << 24) - 1, random.next() >> 40 >> shift, random.next()];
        bounds.push(knots[random.below(64) as usize].into());
        bounds.push(keys[random.below(32) as usize]);
        for bound in bounds {
            // A coordinate has 24 bits.
            let coordinate = bound as u32 & 0xFF_FFFF;
            let rank = keys.partition_point(|&key| key < bound);
            for ranks in run_on_each::<Ranks, _, _, _>(&keys, (&bytes, count), bound) {
                assert_eq!(ranks.0, rank, "{bound} in {keys:?}");
            }
            let below = knots[..count].partition_point(|&knot| knot < coordinate);
            let not_above = knots[..count].partition_point(|&knot| knot <= coordinate);
            let bound = u64::from(coordinate);
            for ranks in run_on_each::<Ranks, _, _, _>(&keys, (&bytes, count), bound) {
                assert_eq!(ranks.1, (below, not_above), "{coordinate} in {knots:?}, {count}");
            }
        }
    }
}

/// Sorted or not, at any alignment, around the sign bit: the numbers are the same.
#[test]
fn all_instructions_count_alike() {
    let mut seed = 1u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match seed >> 61 {
            0 => 0,
            1 => u64::MAX,
            2 => (1 << 63) + (seed >> 50 & 1),
            3 => (1 << 63) - 1,
            _ => seed ^ seed >> 31,
        }
    };
    let mut isas = 0;
    for _ in 0..100_000 {
        let keys: Vec<u64> = (0..24).map(|_| random()).collect();
        let at = (random() % 5) as usize;
        let bound = if at == 0 { random() } else { keys[at] };
        let keys = &keys[at..];
        let expected = keys[..8].iter().filter(|&&key| key < bound).count();
        let each = run_on_each::<Counts, _, _, _>(keys, bound, ());
        isas = each.len();
        assert!(each.iter().all(|counts| *counts == each[0] && counts[0] == expected), "{each:?}");
    }
    println!("{isas} sets of instructions agree");
}
