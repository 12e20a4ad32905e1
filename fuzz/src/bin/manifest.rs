//! Manifests, and the catalogue in them: `omen_provider::fuzzing::manifest`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: omen_fuzz::begin("manifest"), |input: &[u8]| {
    omen_fuzz::run(input, omen_provider::fuzzing::manifest);
});
