//! Stored learned indexes and fingerprints, and lookups by them: `omen_provider::fuzzing::index`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: omen_fuzz::begin("index"), |input: &[u8]| {
    omen_fuzz::run(input, omen_provider::fuzzing::index);
});
