//! Segments: tail, footer, layout, pages, rows: `omen_provider::fuzzing::segment`.
#![no_main]

/// The header of a page may say that the page is as long as this when it is decompressed. The
/// Parquet reader takes as much before it looks; it touches only what there is.
const BYTES_MAX: usize = 5 << 30;

libfuzzer_sys::fuzz_target!(init: omen_fuzz::begin("segment"), |input: &[u8]| {
    omen_fuzz::run_within(BYTES_MAX, input, omen_provider::fuzzing::segment);
});
