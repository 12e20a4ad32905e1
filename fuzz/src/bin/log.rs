//! Log files: `omen_provider::fuzzing::log`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: omen_fuzz::begin("log"), |input: &[u8]| {
    omen_fuzz::run(input, omen_provider::fuzzing::log);
});
