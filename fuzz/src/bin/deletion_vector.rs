//! Deletion vectors: `omen_provider::fuzzing::deletion_vector`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: omen_fuzz::begin("deletion_vector"), |input: &[u8]| {
    omen_fuzz::run(input, omen_provider::fuzzing::deletion_vector);
});
