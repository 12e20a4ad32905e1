//! Entries of a segment's rows in an index, and rows read by them:
//! `omen_provider::fuzzing::entries`.
#![no_main]

/// As for the target `segment`: a page says itself how long it is when it is decompressed.
const BYTES_MAX: usize = 5 << 30;

libfuzzer_sys::fuzz_target!(init: omen_fuzz::begin("entries"), |input: &[u8]| {
    omen_fuzz::run_within(BYTES_MAX, input, omen_provider::fuzzing::entries);
});
