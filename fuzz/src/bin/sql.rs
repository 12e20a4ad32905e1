//! Texts of statements, carried out: `omen_fuzz::sql`.
#![no_main]

use std::cell::RefCell;
use std::time::Duration;

use omen_fuzz::sql::Answering;

/// What a statement may take.
const TIME_MAX: Duration = Duration::from_millis(400);

thread_local! {
    static ANSWERING: RefCell<Option<Answering>> = const { RefCell::new(None) };
}

libfuzzer_sys::fuzz_target!(init: omen_fuzz::begin("sql"), |input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    ANSWERING.with_borrow_mut(|answering| {
        omen_fuzz::note_input(input);
        answering.get_or_insert_with(|| Answering::begin(TIME_MAX)).answer(text);
        // Also those that were caught on their way out of a query.
        if let Some(panic) = omen_fuzz::latest_panic() {
            eprintln!("{panic}");
            std::process::abort();
        }
    });
});
