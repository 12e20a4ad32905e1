//! Taking space fails, at every place where it is taken.

use omen_provider::Result;

use super::{Case, block_on, is_exhausted, let_it_work};
use crate::faulty_disk::files::FaultyFiles;

/// Statements, flushes and deletions in turn; how many were refused for want of space.
async fn script(case: &mut Case) -> usize {
    let mut refused = 0;
    for number in 0..40 {
        let outcome: Result<()> = match number % 10 {
            3 => case.delete(number * 5..number * 5 + 30).await,
            9 if number > 20 => case.database.checkpoint().await,
            _ => case.upsert(number).await,
        };
        assert!(outcome.is_ok() || is_exhausted(&outcome), "statement {number}: {outcome:?}");
        refused += usize::from(outcome.is_err());
        if number % 4 == 0 {
            let_it_work().await;
        }
        if refused > 0 || number % 10 == 0 {
            case.check().await;
        }
    }
    refused
}

/// Runs the script on a disk where a write of zeros fails; says how many there were and how many
/// statements were refused.
async fn fail_fill(failure: Option<(u64, bool)>) -> (u64, usize) {
    let disk = FaultyFiles::new();
    if let Some((number, lasting)) = failure {
        disk.fail_fill(number, lasting);
    }
    let case = Case::new(disk.clone()).await;
    let mut case = match case {
        Ok(case) => case,
        refused => {
            assert!(is_exhausted(&refused), "only for want of space");
            disk.heal();
            Case::new(disk.clone()).await.unwrap()
        }
    };
    let refused = script(&mut case).await;
    let fills = disk.zero_fills();
    // There is space again, and nobody has to open the database again.
    disk.heal();
    case.upsert(100).await.unwrap();
    case.check().await;
    case.check_after_power_cut(0..2).await;
    case.reopen().await.unwrap();
    case.check().await;
    case.upsert(101).await.unwrap();
    case.database.checkpoint().await.unwrap();
    case.check().await;
    case.check_after_power_cut(2..3).await;
    (fills, refused)
}

#[test]
fn a_statement_without_space_fails_alone() {
    let (fills, refused) = block_on(fail_fill(None));
    assert!(fills > 10 && refused == 0, "{fills} fills, {refused} refused");
    let mut most = 0;
    for number in 1..=fills {
        let (_, refused) = block_on(fail_fill(Some((number, false))));
        assert!(refused <= 1, "fill {number} failed once, {refused} statements were refused");
        let (_, refused) = block_on(fail_fill(Some((number, true))));
        most = most.max(refused);
    }
    println!("{fills} fills, at most {most} statements refused");
    assert!(most > 10, "without space hardly a statement is refused");
}

/// A small database takes little of the disk, and a closed one no more than it needs.
#[test]
fn a_small_database_stays_small() {
    block_on(async {
        let disk = FaultyFiles::new();
        let mut case = Case::new(disk.clone()).await.unwrap();
        case.upsert_rows(0..10, 1, 20).await.unwrap();
        let_it_work().await;
        assert!(disk.bytes_used() < 400 << 10, "{} bytes", disk.bytes_used());
        let reserve = 256 << 10;
        case.database.close().await.unwrap();
        assert!(disk.bytes_used() < reserve + (20 << 10), "{} bytes", disk.bytes_used());
        case.reopen().await.unwrap();
        case.check().await;
    });
}
