//! The log fails: what is said of the statement, of those after it, and what is there afterwards.

use omen_provider::{Error, Result};

use super::{Case, block_on, contents, let_it_work};
use crate::faulty_disk::files::{EIO, ENOSPC, Failure, FaultyFiles};
use crate::harness::query;

/// Ways in which a write or a sync fails.
const FAILURES: [Failure; 5] = [
    Failure::NoEffect(EIO),
    Failure::NoEffect(ENOSPC),
    Failure::FullEffect(EIO),
    Failure::Short(3),
    Failure::MarksClean,
];

/// What the log does for a statement that has its space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Write = 1,
    Sync = 2,
}

async fn case() -> Case {
    let mut case = Case::new(FaultyFiles::new()).await.unwrap();
    case.upsert_rows(0..5, 1, 50).await.unwrap();
    let_it_work().await;
    case
}

/// A statement during which a call of the log fails, once.
async fn failing(case: &mut Case, call: Call, failure: Failure) -> Result<()> {
    case.disk.fail_call(case.disk.calls() + call as u64, false, failure);
    let outcome = case.upsert_rows(5..8, 2, 50).await;
    case.disk.heal();
    outcome
}

fn is_unknown(outcome: &Result<()>) -> bool {
    matches!(outcome, Err(Error::OutcomeUnknown(_)))
}

/// All failures that the log cannot go on after. (It goes on with what a short write left.)
fn failures() -> impl Iterator<Item = (Call, Failure)> {
    let writes = FAILURES.map(|failure| (Call::Write, failure)).into_iter();
    let writes = writes.filter(|(_, failure)| *failure != Failure::Short(3));
    writes.chain(FAILURES.map(|failure| (Call::Sync, failure)))
}

#[test]
fn failed_write_poisons_the_log() {
    for (call, failure) in failures() {
        block_on(async {
            let mut case = case().await;
            let outcome = failing(&mut case, call, failure).await;
            assert!(is_unknown(&outcome), "{call:?} {failure:?}: {outcome:?}");
            let calls = case.disk.calls();
            for number in 10..20 {
                let refused = case.upsert_rows(number..number + 1, 3, 50).await;
                assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
            }
            assert_eq!(case.disk.calls(), calls, "nothing is written after a failure");
            case.check().await;
        });
    }
}

#[test]
fn write_error_then_sync_must_not_ack() {
    for (call, failure) in failures() {
        block_on(async {
            let mut case = case().await;
            assert!(failing(&mut case, call, failure).await.is_err());
            assert!(case.database.checkpoint().await.is_err());
            assert!(case.database.close().await.is_err());
            // It is there or it is not, at every power cut; what was acknowledged is.
            for seed in 0..20 {
                let disk = case.disk.after_power_cut(seed);
                let found = contents(&super::open(&disk, &case.clock).await.unwrap()).await;
                let more = found.range(5..8).count();
                assert!(more == 0 || more == 3, "{call:?} {failure:?}, seed {seed}: {more} of 3");
                assert!(found.range(..5).eq(&case.model), "{call:?} {failure:?}, seed {seed}");
            }
        });
    }
}

#[test]
fn commits_after_failed_write_survive() {
    for (call, failure) in failures() {
        block_on(async {
            let mut case = case().await;
            assert!(failing(&mut case, call, failure).await.is_err());
            // The cache of the system may show what the medium does not have.
            case.reopen().await.unwrap();
            case.model = contents(&case.database).await;
            for number in 10..14 {
                case.upsert_rows(number..number + 1, 3, 50).await.unwrap();
                case.check_after_power_cut(0..3).await;
            }
            case.database.checkpoint().await.unwrap();
            case.check_after_power_cut(3..6).await;
        });
    }
}

#[test]
fn error_after_durable_is_unknown() {
    block_on(async {
        let mut case = case().await;
        let outcome = failing(&mut case, Call::Sync, Failure::FullEffect(EIO)).await;
        let Err(Error::OutcomeUnknown(message)) = outcome else { panic!("{outcome:?}") };
        assert!(message.contains("log"), "{message}");
        case.check().await;
        for seed in 0..5 {
            let disk = case.disk.after_power_cut(seed);
            let found = contents(&super::open(&disk, &case.clock).await.unwrap()).await;
            assert_eq!(found.len(), 8, "the statement was on the medium");
        }
    });
}

#[test]
fn reads_go_on_after_poison() {
    for (call, failure) in failures() {
        block_on(async {
            let mut case = case().await;
            let table = case.database.table("t").unwrap();
            let snapshot = case.database.snapshot();
            assert!(is_unknown(&failing(&mut case, call, failure).await));
            for _ in 0..3 {
                case.check().await;
                assert!(table.get(3_i64).await.unwrap().is_some());
                assert!(table.get(6_i64).await.unwrap().is_none(), "it was not acknowledged");
                let rows = query(&case.database, "SELECT count(*) AS n FROM t WHERE id < 4").await;
                assert_eq!(rows[0].num_rows(), 1);
                assert_eq!(snapshot.table_names(), ["t"]);
                let_it_work().await;
            }
            assert!(case.database.verify().await.unwrap().problems.is_empty());
        });
    }
}
