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

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use crate::scalar::Scalar;

/// Keys in one cache line.
pub(crate) const LINE: usize = 8;
/// Keys compared in one step: two lines.
pub(crate) const WINDOW: usize = 2 * LINE;

/// Knots compared in one step.
pub(crate) const KNOTS_MAX: usize = 64;

/// The knots of a cell, and whatever follows them.
pub(crate) type Knots = [u8; 3 * KNOTS_MAX];

/// A set of instructions that may be used.
pub(crate) trait Isa: Copy {
    /// How many of the keys, in any order, are below `bound`.
    fn count_below<const N: usize>(self, keys: &[u64; N], bound: u64) -> usize;

    /// How many of the keys, which ascend, are below `bound`.
    #[inline(always)]
    fn rank<const N: usize>(self, keys: &[u64; N], bound: u64) -> usize {
        self.count_below(keys, bound)
    }

    /// As [`Isa::count_below`], of keys that lie in bytes, little-endian, at any address.
    fn count_below_le<const N: usize>(self, keys: &[[u8; 8]; N], bound: u64) -> usize;

    /// How many of the first `count` knots, at most 64, which ascend, are below `bound`, and how
    /// many are not above it. The knots have 24 bits: first the upper 16 of each, little-endian,
    /// then the lower 8 of each.
    fn count_knots(self, knots: &Knots, count: usize, bound: u32) -> (usize, usize);

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
use other as native;
#[cfg(target_arch = "x86_64")]
use x86 as native;

pub(crate) use native::prefetch;
use native::{dispatch_on, supported};

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! AVX2 and AVX-512.

    use std::arch::x86_64::{
        __m256i, __m512i, _MM_HINT_T0, _bzhi_u64, _mm_crc32_u64, _mm_prefetch, _mm256_castsi256_pd,
        _mm256_cmpeq_epi8, _mm256_cmpeq_epi16, _mm256_cmpgt_epi64, _mm256_loadu_si256,
        _mm256_min_epu8, _mm256_min_epu16, _mm256_movemask_epi8, _mm256_movemask_pd,
        _mm256_packs_epi16, _mm256_permute4x64_epi64, _mm256_set1_epi8, _mm256_set1_epi16,
        _mm256_set1_epi64x, _mm256_xor_si256, _mm512_cmpeq_epu16_mask, _mm512_cmple_epu8_mask,
        _mm512_cmplt_epu8_mask, _mm512_cmplt_epu16_mask, _mm512_cmplt_epu64_mask,
        _mm512_loadu_si512, _mm512_set1_epi8, _mm512_set1_epi16, _mm512_set1_epi64,
    };

    use super::{AVX2, AVX512, Isa, KNOTS_MAX, Kernel, Knots, SCALAR, Scalar};

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
        fn rank<const N: usize>(self, keys: &[u64; N], bound: u64) -> usize {
            // The eight among which the bound lies: comparing all of them takes more instructions.
            let (eights, _) = keys.as_chunks::<8>();
            let before = eights.iter().take(N / 8 - 1).map(|eight| usize::from(eight[7] < bound));
            let before: usize = before.sum();
            let eight: Option<&[u64; 8]> = eights.get(before);
            8 * before + eight.map_or(0, |eight| self.count_below(eight, bound))
        }

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
        fn count_knots(self, knots: &Knots, count: usize, bound: u32) -> (usize, usize) {
            // SAFETY: this token is proof that the instructions are there.
            unsafe { count_knots_avx2(knots, count, bound) }
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
        fn count_knots(self, knots: &Knots, count: usize, bound: u32) -> (usize, usize) {
            // SAFETY: this token is proof that the instructions are there.
            unsafe { count_knots_avx512(knots, count, bound) }
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

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn count_knots_avx512(knots: &Knots, count: usize, bound: u32) -> (usize, usize) {
        let lower = 2 * count.min(KNOTS_MAX);
        // SAFETY: 64 bytes are read from the first on, from the 64th, and from `lower` on, which is
        // at most 128.
        let (low_half, high_half, lower): (__m512i, __m512i, __m512i) = unsafe {
            let knots = knots.as_ptr();
            (
                _mm512_loadu_si512(knots.cast()),
                _mm512_loadu_si512(knots.add(64).cast()),
                _mm512_loadu_si512(knots.add(lower).cast()),
            )
        };
        let bounds = _mm512_set1_epi16((bound >> 8) as i16);
        let lower_bounds = _mm512_set1_epi8(bound as i8);
        // One bit for each knot, from comparisons of the two halves.
        let mask = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
        let less = mask(
            _mm512_cmplt_epu16_mask(low_half, bounds),
            _mm512_cmplt_epu16_mask(high_half, bounds),
        );
        let same = mask(
            _mm512_cmpeq_epu16_mask(low_half, bounds),
            _mm512_cmpeq_epu16_mask(high_half, bounds),
        );
        let counted = _bzhi_u64(u64::MAX, count as u32);
        let below = less | same & _mm512_cmplt_epu8_mask(lower, lower_bounds);
        let not_above = less | same & _mm512_cmple_epu8_mask(lower, lower_bounds);
        ((below & counted).count_ones() as usize, (not_above & counted).count_ones() as usize)
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn count_knots_avx2(knots: &Knots, count: usize, bound: u32) -> (usize, usize) {
        let bounds = _mm256_set1_epi16((bound >> 8) as i16);
        let lower_bounds = _mm256_set1_epi8(bound as i8);
        let (mut below, mut not_above) = (0u64, 0u64);
        for half in (0..KNOTS_MAX).step_by(32) {
            let lower = 2 * count.min(KNOTS_MAX) + half;
            // SAFETY: 64 bytes are read from `2 * half` on, which is at most 64, and 32 from
            // `lower` on, which is at most 160.
            let (upper_a, upper_b, lower): (__m256i, __m256i, __m256i) = unsafe {
                let knots = knots.as_ptr();
                (
                    _mm256_loadu_si256(knots.add(2 * half).cast()),
                    _mm256_loadu_si256(knots.add(2 * half + 32).cast()),
                    _mm256_loadu_si256(knots.add(lower).cast()),
                )
            };
            let bits = |equal| _mm256_movemask_epi8(equal) as u32;
            // One bit for each knot, from comparisons of the two parts.
            let mask =
                |a, b| bits(_mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi16(a, b)));
            // A number is at most another if it is the smaller of the two.
            let at_most = |knots| _mm256_cmpeq_epi16(_mm256_min_epu16(knots, bounds), knots);
            let equal = |knots| _mm256_cmpeq_epi16(knots, bounds);
            let same = mask(equal(upper_a), equal(upper_b));
            let less = mask(at_most(upper_a), at_most(upper_b)) & !same;
            let lower_same = bits(_mm256_cmpeq_epi8(lower, lower_bounds));
            let lower_at_most = _mm256_min_epu8(lower, lower_bounds);
            let lower_at_most = bits(_mm256_cmpeq_epi8(lower_at_most, lower));
            below |= u64::from(less | same & lower_at_most & !lower_same) << half;
            not_above |= u64::from(less | same & lower_at_most) << half;
        }
        let counted = _bzhi_u64(u64::MAX, count as u32);
        ((below & counted).count_ones() as usize, (not_above & counted).count_ones() as usize)
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
