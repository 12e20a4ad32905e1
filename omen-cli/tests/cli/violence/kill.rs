//! Kills the command with SIGKILL in the middle of whatever it does, and looks at what is left.
//! What was acknowledged without waiting for the disk (`--may-lose-last-ms`) must be there too.
//!
//! `OMEN_KILLS=2000 OMEN_TEST_SEED=1` is a long run; it says how far it is, and with
//! `OMEN_KILLS_DONE=300` goes on from there.

use super::rounds::{Run, Series};
use crate::omen::Place;

/// How often the command is killed.
const KILLS: u64 = 100;
/// Kills over one database.
const KILLS_OF_SERIES: u64 = 50;
/// Of ten kills during statements, how many must fall between the first and the last
/// acknowledgement.
const OF_TEN_BETWEEN: u64 = 9;

#[test]
fn killed_at_any_moment_it_keeps_what_it_acknowledged_and_nothing_by_halves() {
    let run = Run::new("kills", "OMEN_KILLS", KILLS, KILLS_OF_SERIES);
    run.each(|seed, rounds| {
        let place = Place::new();
        let mut series = Series::new(&place, place.path(), seed).of_any_durability();
        for round in 0..rounds {
            let mut said = String::new();
            let outcome = series.round(|running, _| {
                let ended = running.kill();
                said.clone_from(&ended.said);
                ended
            });
            let wrong = |wrong| format!("kill {round}: {wrong}; {}", series.keep());
            outcome.map_err(wrong)?;
            if said.contains("error") {
                return Err(format!("kill {round}: before it, {said}; {}", series.keep()));
            }
        }
        let (between, all) = series.between;
        println!("{between} of {all} kills during statements between acknowledgements");
        assert!(between * 10 >= all * OF_TEN_BETWEEN, "only {between} of {all} in between");
        Ok(())
    });
}
