//! Closing a database on a disk that fails, and looking into it meanwhile.

use futures::FutureExt;
use omen_provider::{Error, Options};

use super::{
    Call, Case, batch, block_on, contents, let_it_work, manifests, new_logs, options, segments,
};
use crate::harness::failing_store::Effect;
use crate::harness::rows::Shape;

#[test]
fn closing_on_a_failed_disk_loses_nothing() {
    type Fails = fn(Call, &str) -> bool;
    let cases: [Fails; 5] =
        [manifests, segments, new_logs, |_, _| true, |call, _| call == Call::Append];
    for (fails, effect) in cases.iter().flat_map(|f| [(*f, Effect::Nothing), (*f, Effect::Whole)]) {
        block_on(async {
            let mut case = Case::new().await;
            for number in 0..5 {
                case.upsert(number, 200).await.unwrap();
            }
            case.store.fail(fails, effect);
            assert!(case.database.close().await.is_err());
            let closed = case.upsert(9, 10).await;
            assert!(matches!(closed, Err(Error::Unavailable(_))), "{closed:?}");
            case.database.close().await.unwrap();
            case.store.mend();
            case.check_from_outside().await;
            case.database = options(&case.clock).open_store(case.store.store()).await.unwrap();
            case.check().await;
            case.assert_tidy().await;
        });
    }
}

#[test]
fn closing_in_vain_frees_the_directory() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let database = Options::default().open(folder.path()).await.unwrap();
        database.create_table(Shape::Int.definition("t"), false).await.unwrap();
        database.table("t").unwrap().insert(batch(0..100, "a")).await.unwrap();
        let (here, away) = (folder.path().join("manifest"), folder.path().join("away"));
        std::fs::rename(&here, &away).unwrap();
        assert!(database.close().await.is_err());
        std::fs::rename(&away, &here).unwrap();
        let again = Options::default().open(folder.path()).await.unwrap();
        assert_eq!(contents(&again, "t").await.len(), 100);
        drop(database);
        again.close().await.unwrap();
    });
}

#[test]
fn inspection_waits_for_no_flush() {
    block_on(async {
        let mut case = Case::new().await;
        case.upsert(1, 100).await.unwrap();
        case.store.fail(manifests, Effect::Waits);
        let flush = {
            let database = case.database.clone();
            tokio::spawn(async move { database.checkpoint().await })
        };
        let_it_work().await;
        assert_eq!(case.store.failures(), 1, "the flush is under way");
        let inspection = case.database.inspect().now_or_never().expect("no waiting");
        assert_eq!(inspection.tables[0].rows, 100);
        case.store.mend();
        flush.await.unwrap().unwrap();
        let manifest = case.database.inspect().await.log.manifest;
        assert_eq!(manifest, inspection.log.manifest + 1);
        case.assert_tidy().await;
    });
}
