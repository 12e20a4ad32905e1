//! Instructions that not every processor has, behind one door.
//!
//! Used by everything that searches: `root`, `search`, `batch`, `paged`; and by the checksum. The
//! only file with `unsafe` code. What the rest of the crate sees is safe:
//!
//! * An [`Isa`] is a token for a set of instructions. A token other than [`Scalar`] is made only
//!   here, after the processor was asked, so whoever holds one may use its instructions.
//! * A [`Kernel`] is a lookup written once, for any token. [`dispatch`] runs it with the best
//!   token there is, compiled with that token's instructions enabled throughout.
//!
//! Invariant: all tokens give the same results on every input, bit for bit; the tests compare
//! them. So nothing but time depends on the processor.
//!
//! The environment variable `OMEN_INDEX_SIMD` (`scalar`, `avx2`, `avx512`), read once, lowers the
//! choice; it never chooses what the processor lacks.

#![allow(unsafe_code)]

use crate::crc32c::TABLES;

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Keys in one cache line.
pub(crate) const LINE: usize = 8;

/// Keys compared in one step: two lines.
pub(crate) const WINDOW: usize = 2 * LINE;

/// A set of instructions that may be used.
pub(crate) trait Isa: Copy {
    /// How many of the keys, in any order, are below `bound`.
    fn count_below<const N: usize>(self, keys: &[u64; N], bound: u64) -> usize;

    /// As [`Isa::count_below`], of keys that lie in bytes, little-endian, at any address.
    fn count_below_le<const N: usize>(self, keys: &[[u8; 8]; N], bound: u64) -> usize;

    /// The CRC-32C register after eight more bytes, read as a little-endian number.
    fn crc32c(self, register: u32, eight: u64) -> u32;
}

/// A lookup that is compiled once for every set of instructions.
///
/// The three arguments stay in registers on their way through [`dispatch`]. An implementation is
/// to be `#[inline(always)]`, and so is all it calls on the hot path: only what is inlined into
/// the function that enables the instructions is compiled with them.
pub(crate) trait Kernel<A, B, C> {
    /// What the lookup returns.
    type Output;

    /// Looks up with the instructions of `isa`.
    fn run<I: Isa>(isa: I, a: A, b: B, c: C) -> Self::Output;
}

/// Plain Rust, for all processors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scalar;

impl Isa for Scalar {
    #[inline(always)]
    fn count_below<const N: usize>(self, keys: &[u64; N], bound: u64) -> usize {
        keys.iter().map(|&key| usize::from(key < bound)).sum()
    }

    #[inline(always)]
    fn count_below_le<const N: usize>(self, keys: &[[u8; 8]; N], bound: u64) -> usize {
        keys.iter().map(|&key| usize::from(u64::from_le_bytes(key) < bound)).sum()
    }

    #[inline(always)]
    fn crc32c(self, register: u32, eight: u64) -> u32 {
        let mixed = (eight ^ u64::from(register)).to_le_bytes();
        let tables = TABLES.iter().rev();
        mixed.iter().zip(tables).fold(0, |sum, (&byte, table)| sum ^ table[usize::from(byte)])
    }
}

/// The sets of instructions by rank; 0 means that nobody asked yet.
const SCALAR: u8 = 1;
const AVX2: u8 = 2;
const AVX512: u8 = 3;

/// The best set of instructions, found at the first lookup.
static BEST: AtomicU8 = AtomicU8::new(0);

/// The rank of the best set of instructions.
#[inline(always)]
fn best() -> u8 {
    match BEST.load(Relaxed) {
        0 => detect(),
        rank => rank,
    }
}

#[cold]
fn detect() -> u8 {
    let allowed = match std::env::var("OMEN_INDEX_SIMD").as_deref() {
        Ok("scalar") => SCALAR,
        Ok("avx2") => AVX2,
        _ => AVX512,
    };
    let rank = supported().min(allowed);
    BEST.store(rank, Relaxed);
    rank
}

/// Runs `K` with each set of instructions that the processor has.
#[cfg(test)]
pub(crate) fn run_on_each<K: Kernel<A, B, C>, A: Clone, B: Clone, C: Clone>(
    a: A,
    b: B,
    c: C,
) -> Vec<K::Output> {
    let ranks = SCALAR..=supported();
    ranks.map(|rank| dispatch_on::<K, A, B, C>(rank, a.clone(), b.clone(), c.clone())).collect()
}

/// Runs `K` with one of three sets of instructions, or the best of the processor below it.
#[cfg(test)]
pub(crate) fn run_on<K: Kernel<A, B, C>, A, B, C>(rank: u8, a: A, b: B, c: C) -> K::Output {
    dispatch_on::<K, A, B, C>((SCALAR + rank).min(supported()), a, b, c)
}

/// Runs the lookup `K` with the best instructions there are.
#[inline(always)]
pub(crate) fn dispatch<K: Kernel<A, B, C>, A, B, C>(a: A, b: B, c: C) -> K::Output {
    dispatch_on::<K, A, B, C>(best(), a, b, c)
}

#[cfg(not(target_arch = "x86_64"))]
mod other {
    //! Other processors: the compiler makes the most of plain Rust.

    pub(super) fn supported() -> u8 {
        super::SCALAR
    }

    #[inline(always)]
    pub(super) fn dispatch_on<K, A, B, C>(_rank: u8, a: A, b: B, c: C) -> K::Output
    where
        K: super::Kernel<A, B, C>,
    {
        K::run(super::Scalar, a, b, c)
    }

    #[inline(always)]
    pub(crate) fn prefetch<T>(_place: Option<&T>) {}
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use other::prefetch;
#[cfg(not(target_arch = "x86_64"))]
use other::{dispatch_on, supported};

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::prefetch;
#[cfg(target_arch = "x86_64")]
use x86::{dispatch_on, supported};

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! AVX2 and AVX-512.

    use std::arch::x86_64::{
        __m256i, __m512i, _MM_HINT_T0, _mm_crc32_u64, _mm_prefetch, _mm256_castsi256_pd,
        _mm256_cmpgt_epi64, _mm256_loadu_si256, _mm256_movemask_pd, _mm256_set1_epi64x,
        _mm256_xor_si256, _mm512_cmplt_epu64_mask, _mm512_loadu_si512, _mm512_set1_epi64,
    };

    use super::{AVX2, AVX512, Isa, Kernel, SCALAR, Scalar};

    /// Proof that the processor has AVX2 and the bit instructions that came with it.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Avx2(());

    /// Proof that the processor has AVX-512 (foundation, BW, DQ, VL).
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Avx512(());

    pub(super) fn supported() -> u8 {
        let avx2 = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt");
        let avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        match (avx2, avx512) {
            (true, true) => AVX512,
            (true, false) => AVX2,
            _ => SCALAR,
        }
    }

    /// Runs the lookup `K` with the instructions of that rank, which is a supported one.
    #[inline(always)]
    pub(super) fn dispatch_on<K: Kernel<A, B, C>, A, B, C>(
        rank: u8,
        a: A,
        b: B,
        c: C,
    ) -> K::Output {
        match rank {
            // SAFETY: no rank is above what `supported` found, so the processor has them.
            AVX512 => unsafe { run_avx512::<K, A, B, C>(a, b, c) },
            // SAFETY: as above.
            AVX2 => unsafe { run_avx2::<K, A, B, C>(a, b, c) },
            _ => K::run(Scalar, a, b, c),
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn run_avx512<K: Kernel<A, B, C>, A, B, C>(a: A, b: B, c: C) -> K::Output {
        K::run(Avx512(()), a, b, c)
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn run_avx2<K: Kernel<A, B, C>, A, B, C>(a: A, b: B, c: C) -> K::Output {
        K::run(Avx2(()), a, b, c)
    }

    /// Asks for the cache line of `place`, if there is one, before it is needed.
    #[inline(always)]
    pub(crate) fn prefetch<T>(place: Option<&T>) {
        if let Some(place) = place {
            // SAFETY: a hint; the address is that of a reference, and it is not read.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast()) }
        }
    }

    impl Isa for Avx2 {
        #[inline(always)]
        fn count_below<const N: usize>(self, keys: &[u64; N], bound: u64) -> usize {
            // SAFETY: this token is proof that the instructions are there; the pointer is that of
            // `N` keys.
            unsafe { count_below_avx2::<N>(keys.as_ptr().cast(), bound) }
        }

        #[inline(always)]
        fn count_below_le<const N: usize>(self, keys: &[[u8; 8]; N], bound: u64) -> usize {
            // SAFETY: as above; x86-64 is little-endian.
            unsafe { count_below_avx2::<N>(keys.as_ptr().cast(), bound) }
        }

        #[inline(always)]
        fn crc32c(self, register: u32, eight: u64) -> u32 {
            // SAFETY: AVX2 implies SSE 4.2, which has this instruction.
            unsafe { crc32c_sse42(register, eight) }
        }
    }

    impl Isa for Avx512 {
        #[inline(always)]
        fn count_below<const N: usize>(self, keys: &[u64; N], bound: u64) -> usize {
            // SAFETY: this token is proof that the instructions are there; the pointer is that of
            // `N` keys.
            unsafe { count_below_avx512::<N>(keys.as_ptr().cast(), bound) }
        }

        #[inline(always)]
        fn count_below_le<const N: usize>(self, keys: &[[u8; 8]; N], bound: u64) -> usize {
            // SAFETY: as above; x86-64 is little-endian.
            unsafe { count_below_avx512::<N>(keys.as_ptr().cast(), bound) }
        }

        #[inline(always)]
        fn crc32c(self, register: u32, eight: u64) -> u32 {
            // SAFETY: AVX-512 implies SSE 4.2, which has this instruction.
            unsafe { crc32c_sse42(register, eight) }
        }
    }

    #[inline]
    #[target_feature(enable = "sse4.2")]
    fn crc32c_sse42(register: u32, eight: u64) -> u32 {
        _mm_crc32_u64(u64::from(register), eight) as u32
    }

    /// # Safety
    /// `keys` is valid for reading `N` numbers, at any alignment.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,bmi1,bmi2,lzcnt,popcnt")]
    unsafe fn count_below_avx512<const N: usize>(keys: *const u64, bound: u64) -> usize {
        const { assert!(N.is_multiple_of(8) && N <= 64) }
        let bounds = _mm512_set1_epi64(bound as i64);
        let mut mask = 0u64;
        for i in (0..N).step_by(8) {
            // SAFETY: `i + 8 <= N`, and the caller vouches for `N` numbers.
            let eight: __m512i = unsafe { _mm512_loadu_si512(keys.add(i).cast()) };
            mask |= u64::from(_mm512_cmplt_epu64_mask(eight, bounds)) << i;
        }
        mask.count_ones() as usize
    }

    /// # Safety
    /// `keys` is valid for reading `N` numbers, at any alignment.
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    unsafe fn count_below_avx2<const N: usize>(keys: *const u64, bound: u64) -> usize {
        const { assert!(N.is_multiple_of(4) && N <= 64) }
        // The comparison is signed; flipping the top bit of both sides makes it unsigned.
        let flip = _mm256_set1_epi64x(i64::MIN);
        let bounds = _mm256_xor_si256(_mm256_set1_epi64x(bound as i64), flip);
        let mut mask = 0u64;
        for i in (0..N).step_by(4) {
            // SAFETY: `i + 4 <= N`, and the caller vouches for `N` numbers.
            let four: __m256i = unsafe { _mm256_loadu_si256(keys.add(i).cast()) };
            let below = _mm256_cmpgt_epi64(bounds, _mm256_xor_si256(four, flip));
            mask |= (_mm256_movemask_pd(_mm256_castsi256_pd(below)) as u64) << i;
        }
        mask.count_ones() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::{Isa, Kernel, run_on_each};

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

    /// Sorted or not, at any alignment, around the sign bit: the numbers are the same.
    #[test]
    fn all_instructions_count_alike() {
        let mut seed = 1u64;
        let mut random = || {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
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
            assert!(
                each.iter().all(|counts| *counts == each[0] && counts[0] == expected),
                "{each:?}"
            );
        }
        println!("{isas} sets of instructions agree");
    }
}
