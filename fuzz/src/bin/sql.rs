//! Texts of statements, carried out: `omen_fuzz::sql`.
#![no_main]

use std::cell::RefCell;
use std::time::Duration;

use omen_fuzz::sql::{Answering, Outcome};

/// What a statement may take.
const TIME_MAX: Duration = Duration::from_millis(400);

/// What a statement may take of the memory: operators of DataFusion are bounded, functions are not.
const BYTES_MAX: usize = 2 << 30;

thread_local! {
    static ANSWERING: RefCell<Option<Answering>> = const { RefCell::new(None) };
}

libfuzzer_sys::fuzz_target!(init: omen_fuzz::begin("sql"), |input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    omen_fuzz::note_input(input);
    omen_fuzz::run_within(BYTES_MAX, input, |_| {
        let outcome = ANSWERING.with_borrow_mut(|answering| {
            answering.get_or_insert_with(|| Answering::begin(TIME_MAX)).answer(text)
        });
        // Also those that were caught on their way out of a query; but a planner that panics is
        // answered with an error.
        let panic = omen_fuzz::latest_panic();
        let is_answered =
            matches!(&outcome, Outcome::Refused(error) if error.contains("could not be planned"));
        if let Some(panic) = panic.filter(|_| !is_answered) {
            panic!("{panic}");
        }
        true
    });
});
