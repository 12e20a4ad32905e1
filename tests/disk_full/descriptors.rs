//! The process may have so many open files and no more: a statement that needs one more fails
//! alone, and whoever can do without goes on.

use std::time::Duration;

use omen_provider::{Error, Result};

use super::{Case, block_on, let_it_work};
use crate::faulty_disk::files::FaultyFiles;

/// Whether a call did what it was asked, or says that there are too many open files.
#[track_caller]
fn succeeded<T: std::fmt::Debug>(outcome: Result<T>) -> bool {
    match outcome {
        Ok(_) => true,
        Err(Error::Exhausted { .. }) => false,
        Err(error) if error.to_string().contains("open files") => false,
        Err(error) => panic!("not for want of descriptors: {error:?}"),
    }
}

/// A database with segments, marks on them, and rows in its log.
async fn case() -> Case {
    let mut case = Case::new(FaultyFiles::new()).await.unwrap();
    for number in 0..6 {
        case.upsert(number).await.unwrap();
        if number % 2 == 1 {
            case.database.checkpoint().await.unwrap();
        }
    }
    case.delete(3..7).await.unwrap();
    let_it_work().await;
    case
}

/// Whatever happens while `max` files may be open at most; how much of it was refused.
async fn under_limit(case: &mut Case, max: usize) -> usize {
    case.disk.limit_descriptors(Some(max));
    let mut refused = 0;
    for number in 100..140 {
        let was_done = match number % 5 {
            0 => succeeded(case.delete(number..number + 1).await),
            1 => succeeded(case.database.checkpoint().await),
            2 => succeeded(case.database.compact().await),
            _ => succeeded(case.upsert(number).await),
        };
        refused += usize::from(!was_done);
        let_it_work().await;
    }
    // What is in memory or in the log is deleted without opening anything.
    refused
}

/// Nobody has to open the database again when files may be opened again.
#[test]
fn statements_are_taken_again_when_files_can_be_opened() {
    let (mut most, mut least) = (0, usize::MAX);
    for max in 0..14 {
        block_on(async {
            let mut case = case().await;
            let refused = under_limit(&mut case, max).await;
            println!("{max} descriptors: {refused} of 40 refused");
            (most, least) = (most.max(refused), least.min(refused));
            case.disk.limit_descriptors(None);
            case.clock.advance(Duration::from_secs(20));
            case.check().await;
            case.check_after_power_cut(0..2).await;
            case.upsert(200).await.unwrap();
            case.delete(8..10).await.unwrap();
            case.database.checkpoint().await.unwrap();
            case.database.compact().await.unwrap();
            case.check().await;
            case.check_after_power_cut(2..4).await;
        });
    }
    assert!(least == 0 && most >= 10, "between {least} and {most} of 40 refused");
}

/// Closing without a descriptor loses nothing, and the next process starts from there.
#[test]
fn closing_without_descriptors_loses_nothing() {
    for max in 0..14 {
        block_on(async {
            let mut case = case().await;
            let clock = case.clock.clone();
            under_limit(&mut case, max).await;
            let _ = succeeded(case.database.close().await);
            // With as few files nothing is opened, or all is.
            if succeeded(super::open(&case.disk, &clock).await) {
                println!("{max} descriptors: opened");
            }
            case.disk.limit_descriptors(None);
            case.reopen().await.unwrap();
            case.check().await;
            case.upsert(300).await.unwrap();
            case.check_after_power_cut(0..2).await;
        });
    }
}
