//! A history that fails, made shorter: what is left out is what it fails without.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::Outcome;
use super::steps::Step;

/// How long is tried.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Runs a history; a panic is an error.
pub fn outcome(run: &dyn Fn(&[Step]) -> Outcome, steps: &[Step]) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| run(steps))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}

/// The shortest history that was found to fail, and how. One that does not fail again stays.
pub fn shorten(
    run: &dyn Fn(&[Step]) -> Outcome,
    steps: Vec<Step>,
    error: String,
) -> (Vec<Step>, String) {
    let started = Instant::now();
    let (mut best, mut error) = (steps, error);
    let mut part = best.len().div_ceil(2);
    while part > 0 && started.elapsed() < TIME_MAX {
        let mut at = 0;
        let length = best.len();
        while at < best.len() && started.elapsed() < TIME_MAX {
            let end = (at + part).min(best.len());
            let shorter = [&best[..at], &best[end..]].concat();
            match outcome(run, &shorter) {
                Err(found) => (best, error) = (shorter, found),
                Ok(()) => at = end,
            }
        }
        if part == 1 && best.len() == length {
            break;
        }
        part = if part == 1 { 1 } else { part.div_ceil(2) };
    }
    (best, error)
}

#[test]
fn what_a_failure_does_not_need_is_left_out() {
    let run = |steps: &[Step]| match steps.iter().filter(|s| matches!(s, Step::Compact)).count() {
        0 | 1 => Ok(()),
        count => Err(format!("compacted {count} times")),
    };
    let mut steps = vec![Step::Checkpoint; 40];
    steps[7] = Step::Compact;
    steps[8] = Step::CheckAll;
    steps[31] = Step::Compact;
    let (short, error) = shorten(&run, steps, String::new());
    assert!(matches!(short[..], [Step::Compact, Step::Compact]), "{short:?}");
    assert_eq!(error, "compacted 2 times");
}

#[test]
fn a_panic_is_a_failure() {
    let run = |_: &[Step]| -> Outcome { panic!("as {}", "planned") };
    assert_eq!(outcome(&run, &[]), Err("panic: as planned".to_string()));
}
