//! Ten distributions of keys, each a function of the count alone.

use crate::random::{Random, mixed};

/// Where ids and times begin: not at 0, which would be a special case of every model.
const FIRST: u64 = 1_000_000;

pub(super) fn sequential(count: usize) -> Vec<u64> {
    (0..count as u64).map(|i| FIRST + i).collect()
}

pub(super) fn interleaved(count: usize) -> Vec<u64> {
    const DEVICES: u64 = 16;
    let mut random = Random::new(3);
    let mut keys = Vec::with_capacity(count);
    for device in 0..DEVICES {
        let share = (count as u64 + device) / DEVICES;
        // A reading each second, give or take a tenth, in milliseconds.
        let ticks = (0..share).map(|i| device << 48 | (FIRST + i * 1_000 + random.below(200)));
        keys.extend(ticks);
    }
    keys
}

pub(super) fn zipfian(count: usize) -> Vec<u64> {
    let mut random = Random::new(4);
    from_gaps(count, || random.log_uniform(1, 100_000))
}

pub(super) fn random(count: usize) -> Vec<u64> {
    let mut random = Random::new(5);
    distinct(count, || random.any())
}

pub(super) fn lognormal(count: usize) -> Vec<u64> {
    let mut random = Random::new(6);
    distinct(count, || ((2.0 * random.normal()).exp() * (1u64 << 40) as f64) as u64)
}

pub(super) fn outliers(count: usize) -> Vec<u64> {
    let mut random = Random::new(7);
    let far = 21.min(count / 2);
    let mut keys = distinct(count - far, || random.below(1 << 38));
    // Spread evenly by magnitude from 2^43 to 2^63.
    keys.extend((1..=far as u32).map(|i| 1u64 << (42 + i) | u64::from(i)));
    keys
}

pub(super) fn bursty(count: usize) -> Vec<u64> {
    let mut random = Random::new(8);
    let mut left_in_burst = 0;
    from_gaps(count, || {
        if left_in_burst == 0 {
            left_in_burst = random.log_uniform(1, 4_096);
            return random.log_uniform(10_000, 10_000_000);
        }
        left_in_burst -= 1;
        random.log_uniform(1, 64)
    })
}

pub(super) fn steps(count: usize) -> Vec<u64> {
    let mut random = Random::new(9);
    let mut left_in_step = 0;
    from_gaps(count, || {
        if left_in_step == 0 {
            left_in_step = random.log_uniform(16, 65_536);
            return random.log_uniform(1 << 20, 1 << 44);
        }
        left_in_step -= 1;
        1
    })
}

pub(super) fn clustered(count: usize) -> Vec<u64> {
    const TOWNS: usize = 20_000;
    let mut random = Random::new(10);
    let mut inhabitants = 0;
    let towns: Vec<(u64, f64, f64, f64)> = (0..TOWNS)
        .map(|_| {
            let size = random.log_uniform(1, 10_000);
            inhabitants += size;
            // A larger town is wider, but also denser.
            let radius = 2_000.0 * (size as f64).powf(0.4);
            (inhabitants, random.unit(), random.unit(), radius)
        })
        .collect();
    distinct(count, || {
        let inhabitant = random.below(inhabitants);
        let (_, x, y, radius) = towns[towns.partition_point(|town| town.0 <= inhabitant)];
        // One place in fifty is in the open country.
        if random.below(50) == 0 {
            return random.any();
        }
        let mut at = |centre: f64| {
            (centre * f64::from(u32::MAX) + random.normal() * radius).clamp(0.0, 4.2e9) as u32
        };
        along_curve(at(x), at(y))
    })
}

pub(super) fn cascade(count: usize) -> Vec<u64> {
    // The widest range that can be halved 63 times; what is left to do, lowest range on top.
    let mut ranges = vec![(0u64, 63u32, count as u64)];
    let mut keys = Vec::with_capacity(count);
    let mut random = Random::new(11);
    while let Some((first, bits, share)) = ranges.pop() {
        if share <= 4 || share == 1 << bits {
            put_even(&mut keys, first, bits, share, &mut random);
            continue;
        }
        let half = 1u64 << (bits - 1);
        let many = (share * 3 / 4).min(half);
        let low_is_full = mixed(first ^ u64::from(bits)) & 1 == 0;
        let low = if low_is_full { many } else { share - many };
        ranges.push((first + half, bits - 1, share - low));
        ranges.push((first, bits - 1, low));
    }
    keys
}

/// `share` keys in the `2^bits` values from `first`, one in each equal slice.
fn put_even(keys: &mut Vec<u64>, first: u64, bits: u32, share: u64, random: &mut Random) {
    if let Some(slice) = (1u64 << bits).checked_div(share) {
        keys.extend((0..share).map(|i| first + i * slice + random.below(slice)));
    }
}

/// Keys whose distances `gap` gives.
fn from_gaps(count: usize, mut gap: impl FnMut() -> u64) -> Vec<u64> {
    let mut key = FIRST;
    let mut next = || {
        key += gap();
        key
    };
    (0..count).map(|_| next()).collect()
}

/// Exactly `count` different keys of those that `draw` gives.
pub(super) fn distinct<K: Ord>(count: usize, mut draw: impl FnMut() -> K) -> Vec<K> {
    let mut keys: Vec<K> = Vec::with_capacity(count + count / 64 + 64);
    while keys.len() < count {
        let missing = count - keys.len();
        keys.extend((0..missing + missing / 64 + 16).map(|_| draw()));
        keys.sort_unstable();
        keys.dedup();
    }
    // Too many: leave some out, spread over all.
    let surplus = keys.len() - count;
    let total = keys.len();
    let mut index = 0;
    keys.retain(|_| {
        let dropped = (index + 1) * surplus / total > index * surplus / total;
        index += 1;
        !dropped
    });
    keys
}

/// The number of a place on the Z-order curve: the bits of the coordinates, taken in turns.
fn along_curve(x: u32, y: u32) -> u64 {
    let spread = |coordinate: u32| {
        let mut bits = u64::from(coordinate);
        bits = (bits | bits << 16) & 0x0000_FFFF_0000_FFFF;
        bits = (bits | bits << 8) & 0x00FF_00FF_00FF_00FF;
        bits = (bits | bits << 4) & 0x0F0F_0F0F_0F0F_0F0F;
        bits = (bits | bits << 2) & 0x3333_3333_3333_3333;
        (bits | bits << 1) & 0x5555_5555_5555_5555
    };
    spread(x) | spread(y) << 1
}
