//! The harnesses find what they are for: each of six bugs, planted in the engine's own code where
//! the promise is kept, makes them fail within a bound; without a bug the same work passes.
//!
//! The bugs are in builds of the tests alone (feature `teeth` of omen-provider) and are chosen at
//! run time, for one thread. What recovers a database after a power cut runs with the bug too.

pub mod damage;

use std::time::Instant;

use omen_provider::teeth::{Tooth, plant};

use crate::crash::files::Recorded;
use crate::crash::script::Statement::{Create, Upsert};
use crate::crash::scripts::Script;
use crate::crash::{failing, seam};
use damage::Sound;

/// What looks for losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harness {
    /// The power fails under the local disk's code.
    PowerCut,
    /// The same while statements of many sectors are written.
    TornStatement,
    /// It fails again during recovery.
    CutInRecovery,
    /// Calls of the file system fail.
    FailingCalls,
    /// The power fails at the seam.
    SeamCrash,
    /// Calls of the seam fail.
    SeamFailing,
    /// Bits of the log differ.
    DamagedLog,
    /// Bits of a segment differ.
    DamagedSegment,
}

use Harness::{
    CutInRecovery, DamagedLog, DamagedSegment, FailingCalls, PowerCut, SeamCrash, SeamFailing,
    TornStatement,
};

/// Who must find which bug.
const FOUND_BY: [(Tooth, &[Harness]); 6] = [
    (Tooth::NoLogSync, &[PowerCut, CutInRecovery, SeamCrash, FailingCalls]),
    (Tooth::NoDirectorySync, &[PowerCut, CutInRecovery, FailingCalls]),
    (Tooth::LogRemovedEarly, &[PowerCut, SeamCrash, SeamFailing]),
    (Tooth::ChecksumSkipped, &[DamagedLog, DamagedSegment, TornStatement]),
    (Tooth::AcknowledgedBeforeSync, &[PowerCut, SeamCrash, FailingCalls]),
    (Tooth::NoPoisoning, &[FailingCalls, SeamFailing]),
];

impl Harness {
    const ALL: [Self; 8] = [
        PowerCut,
        TornStatement,
        CutInRecovery,
        FailingCalls,
        SeamCrash,
        SeamFailing,
        DamagedLog,
        DamagedSegment,
    ];

    /// Works until something is lost, at most `most` times; says after how many tries, and what.
    fn first_loss(self, most: usize) -> Option<(u64, String)> {
        let script = Script::thought_of();
        match self {
            PowerCut => Recorded::new(script).first_loss(3, most),
            TornStatement => Recorded::new(long_statements()).first_loss(1, most),
            CutInRecovery => Recorded::new(script).first_loss_in_recovery(7, most),
            FailingCalls => failing::first_false_success(&script, 211, most),
            SeamCrash => seam::first_loss(&script, 1, most),
            SeamFailing => seam::first_false_success(&script, 1, most),
            DamagedLog => Sound::new().first_wrong_answer(".log", most),
            DamagedSegment => Sound::new().first_wrong_answer(".parquet", most),
        }
    }

    /// Within how many tries a bug must be found.
    fn bound(self) -> usize {
        match self {
            PowerCut => 300,
            TornStatement => 1000,
            CutInRecovery => 12,
            FailingCalls => 60,
            SeamCrash | SeamFailing => 150,
            DamagedLog | DamagedSegment => 300,
        }
    }
}

/// Statements of some sectors each, and little else.
fn long_statements() -> Script {
    let upserts = (0..40).map(|i| Upsert("a", (i * 20..i * 20 + 60).collect()));
    let statements = std::iter::once(Create("a")).chain(upserts).collect();
    Script::new("long statements".to_string(), statements, [].into())
}

#[test]
fn every_planted_bug_is_found() {
    let mut missed = Vec::new();
    assert_eq!(FOUND_BY.map(|(tooth, _)| tooth), Tooth::ALL);
    for (tooth, harnesses) in FOUND_BY {
        assert!(harnesses.len() >= 2, "{tooth:?}");
        for harness in harnesses {
            let started = Instant::now();
            let planted = plant(tooth);
            let found = harness.first_loss(harness.bound());
            drop(planted);
            let seconds = started.elapsed();
            match found {
                Some((tries, loss)) => {
                    let loss: String = loss.chars().take(250).collect();
                    println!("{tooth:?}, {harness:?}: after {tries} tries, {seconds:.1?}: {loss}");
                }
                None => missed.push(format!("{tooth:?} by {harness:?} within {seconds:.1?}")),
            }
        }
    }
    assert!(missed.is_empty(), "not found: {}", missed.join("; "));
}

#[test]
fn without_a_planted_bug_nothing_is_found() {
    for harness in Harness::ALL {
        let started = Instant::now();
        let found = harness.first_loss(harness.bound());
        println!("{harness:?}: {} tries, {:.1?}", harness.bound(), started.elapsed());
        assert_eq!(found, None, "{harness:?}");
    }
}

#[test]
fn a_planted_bug_is_gone_with_its_guard_and_on_other_threads() {
    let lossy = || Harness::PowerCut.first_loss(60).is_some();
    let planted = plant(Tooth::NoLogSync);
    assert!(lossy());
    assert!(!std::thread::scope(|scope| scope.spawn(lossy).join().unwrap()));
    drop(planted);
    assert!(!lossy());
}
