//! Seeded key sequences that a model may find hard.

/// The distributions by name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Distribution {
    Dense,
    Uniform,
    HeavyDuplicates,
    AllEqual,
    Extremes,
    Steps,
    Lognormal,
    Outliers,
    NearTwoTo53,
    NearTwoTo63,
    NearMax,
    Bursts,
    Doubling,
    Gaps,
    Towns,
}

use Distribution::*;

pub(crate) const ALL: [Distribution; 15] = [
    Dense,
    Uniform,
    HeavyDuplicates,
    AllEqual,
    Extremes,
    Steps,
    Lognormal,
    Outliers,
    NearTwoTo53,
    NearTwoTo63,
    NearMax,
    Bursts,
    Doubling,
    Gaps,
    Towns,
];

impl Distribution {
    /// `count` sorted keys.
    pub(crate) fn keys(self, count: usize, seed: u64) -> Vec<u64> {
        let mut random = Random(seed);
        let mut keys: Vec<u64> =
            (0..count as u64).map(|i| self.key(i, seed, &mut random)).collect();
        keys.sort_unstable();
        keys
    }

    fn key(self, i: u64, seed: u64, random: &mut Random) -> u64 {
        match self {
            Dense => (seed >> 8) + i,
            Uniform => random.next(),
            HeavyDuplicates => {
                let bound = 1 + random.below(20);
                random.below(bound)
            }
            AllEqual => seed,
            Extremes => match random.below(4) {
                0 => 0,
                1 => u64::MAX,
                2 => random.below(1_000),
                _ => u64::MAX - random.below(1_000),
            },
            Steps => (i / 500) << 40 | random.below(600),
            Lognormal => {
                let bell: u64 = (0..12).map(|_| random.below(1 << 20)).sum();
                (bell as f64 / (1 << 18) as f64).exp() as u64
            }
            Outliers => {
                if random.below(500) == 0 {
                    u64::MAX - random.below(1 << 60)
                } else {
                    random.below(1 << 32)
                }
            }
            NearTwoTo53 => (1 << 53) - 2_000 + random.below(4_000),
            NearTwoTo63 => (1 << 63) - 50_000 + random.below(100_000),
            NearMax => u64::MAX - random.below(3_000),
            Bursts => random.below(30) * 1_000_000_007 + random.below(300) * (i % 300),
            Doubling => {
                let bits = random.below(64);
                random.next() >> bits
            }
            // About as many gaps of each magnitude, from 0 on.
            Gaps => {
                let bits = random.below(24);
                (i << 22) + random.below(1 << bits)
            }
            // A few places, some wide and some narrow, and one key in twenty anywhere.
            Towns => {
                let town = random.below(12);
                match random.below(20) {
                    0 => random.next(),
                    _ => (town * town + 1) << 54 | random.below(1 << (8 + 2 * town)) << (2 * town),
                }
            }
        }
    }
}

/// Keys, their neighbours, the middles of gaps, the ends of the key space and random values.
pub(crate) fn probes(keys: &[u64], seed: u64) -> Vec<u64> {
    let mut random = Random(seed);
    let mut probes = vec![0, 1, u64::MAX - 1, u64::MAX, 1 << 53, 1 << 63, (1 << 63) - 1];
    for &key in keys {
        probes.extend([key, key.wrapping_sub(1), key.wrapping_add(1), random.next()]);
    }
    probes.extend(keys.windows(2).map(|pair| pair[0] + (pair[1] - pair[0]) / 2));
    if let (Some(&first), Some(&last)) = (keys.first(), keys.last()) {
        let span = (last - first).saturating_add(1);
        probes.extend(keys.iter().map(|_| first + random.below(span)));
    }
    probes
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
