//! CRC-32C, the checksum at the end of a stored index.
//!
//! Castagnoli's polynomial 0x1EDC6F41, bits reflected (0x82F63B78), initial value and final
//! exclusive-or 0xFFFFFFFF; the checksum of the nine bytes `123456789` is 0xE3069283. Eight bytes
//! are taken in one step, by eight tables or by the processor.

use crate::simd::{self, Isa, Kernel};

const POLYNOMIAL_REFLECTED: u32 = 0x82F6_3B78;

/// `TABLES[t][b]`: the effect of byte `b` followed by `t` zero bytes.
pub(crate) static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL_REFLECTED } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut t = 1;
    while t < 8 {
        let mut byte = 0;
        while byte < 256 {
            let shorter = tables[t - 1][byte];
            tables[t][byte] = (shorter >> 8) ^ tables[0][(shorter & 0xFF) as usize];
            byte += 1;
        }
        t += 1;
    }
    tables
}

/// Bytes of one of the three stretches that are taken together.
const STRETCH: usize = 1 << STRETCH_LOG2;
const STRETCH_LOG2: u32 = 10;

/// `AFTER[i]`: what bit `i` of the register has become after a stretch of zero bytes.
static AFTER: [u32; 32] = after_stretch();

const fn after_stretch() -> [u32; 32] {
    let mut after = [0; 32];
    let mut bit = 0;
    while bit < 32 {
        let register: u32 = 1 << bit;
        after[bit] = (register >> 8) ^ tables()[0][(register & 0xFF) as usize];
        bit += 1;
    }
    // One zero byte; twice as many each time.
    let mut doubled = 0;
    while doubled < STRETCH_LOG2 {
        let once = after;
        let mut bit = 0;
        while bit < 32 {
            after[bit] = combine(&once, once[bit]);
            bit += 1;
        }
        doubled += 1;
    }
    after
}

const fn combine(after: &[u32; 32], register: u32) -> u32 {
    let (mut sum, mut bit) = (0, 0);
    while bit < 32 {
        if register >> bit & 1 == 1 {
            sum ^= after[bit];
        }
        bit += 1;
    }
    sum
}

/// The checksum of `bytes`.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    simd::dispatch::<Checksum, _, _, _>(bytes, (), ())
}

/// [`crc32c`]. The register of a stretch depends on all bytes before; but it is linear, so three
/// stretches are taken at a time, the latter two from a register of zero, and put together.
struct Checksum;

impl Kernel<&[u8], (), ()> for Checksum {
    type Output = u32;

    #[inline(always)]
    fn run<I: Isa>(isa: I, bytes: &[u8], (): (), (): ()) -> u32 {
        let mut register = u32::MAX;
        let (triples, rest) = bytes.as_chunks::<{ 3 * STRETCH }>();
        for triple in triples {
            let (eights, _) = triple.as_chunks::<8>();
            let (first, others) = eights.split_at(STRETCH / 8);
            let (second, third) = others.split_at(STRETCH / 8);
            let mut three = [register, 0, 0];
            for ((a, b), c) in first.iter().zip(second).zip(third) {
                three[0] = isa.crc32c(three[0], u64::from_le_bytes(*a));
                three[1] = isa.crc32c(three[1], u64::from_le_bytes(*b));
                three[2] = isa.crc32c(three[2], u64::from_le_bytes(*c));
            }
            register = combine(&AFTER, combine(&AFTER, three[0]) ^ three[1]) ^ three[2];
        }
        let (eights, rest) = rest.as_chunks::<8>();
        for eight in eights {
            register = isa.crc32c(register, u64::from_le_bytes(*eight));
        }
        for &byte in rest {
            register = (register >> 8) ^ TABLES[0][(register as u8 ^ byte) as usize];
        }
        !register
    }
}
