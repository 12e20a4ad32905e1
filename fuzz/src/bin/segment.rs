//! Segments: tail, footer, layout, pages, rows: `omen_provider::fuzzing::segment`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: omen_fuzz::begin("segment"), |input: &[u8]| {
    omen_fuzz::run(input, omen_provider::fuzzing::segment);
});
