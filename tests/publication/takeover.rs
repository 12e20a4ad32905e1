//! Chosen moments: a manifest whose answer is lost, a writer that takes over between two requests
//! of another.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use omen_provider::Error;

use super::objects::{Fate, Request, View};
use super::*;

fn is_manifest(request: Request, path: &str) -> bool {
    request == Request::Put && path.starts_with("manifest/")
}

/// Lets the background and late requests do what they can.
async fn let_it_work() {
    for _ in 0..300 {
        tokio::task::yield_now().await;
    }
}

/// A database with segments, marks on them, and more rows in memory.
async fn filled(view: &View) -> (Database, Rows) {
    let database = made(view.store()).await;
    let mut rows = Rows::new();
    for number in 0..3 {
        let keys = number * 100..number * 100 + 150;
        upsert(&database, keys.clone(), number).await.unwrap();
        rows.extend(keys.map(|key| (key, number)));
        database.checkpoint().await.unwrap();
    }
    upsert(&database, 20..60, 7).await.unwrap();
    rows.extend((20..60).map(|key| (key, 7)));
    (database, rows)
}

#[test]
fn lost_answer_is_read_back() {
    block_on(async {
        let objects = Arc::new(InMemory::new());
        let view = View::new(&objects);
        let (database, rows) = filled(&view).await;
        view.rule(Box::new(|request, path| match is_manifest(request, path) {
            true => Fate::Unanswered,
            false => Fate::Answered,
        }));
        database.checkpoint().await.unwrap();
        database.compact().await.unwrap();
        assert_eq!(rows_of(&database).await, rows);
        assert_eq!(seen(&objects).await, rows);
    });
}

/// A manifest whose publication failed may stand, or come to stand: what it names stays.
#[test]
fn unknown_commit_keeps_files() {
    for (late, compacts) in [(false, false), (false, true), (true, false), (true, true)] {
        block_on(async {
            let objects = Arc::new(InMemory::new());
            let view = View::new(&objects);
            let (database, rows) = filled(&view).await;
            if compacts {
                database.checkpoint().await.unwrap();
            }
            view.rule(Box::new(move |request, path| match request {
                Request::Put if path.starts_with("manifest/") => {
                    if late {
                        Fate::Late(50)
                    } else {
                        Fate::Unanswered
                    }
                }
                Request::Get if path.starts_with("manifest/") => Fate::Lost,
                _ => Fate::Answered,
            }));
            let outcome = match compacts {
                true => database.compact().await,
                false => database.checkpoint().await,
            };
            assert!(matches!(outcome, Err(Error::ObjectStore { .. })), "{outcome:?}");
            assert_eq!(seen(&objects).await, rows, "late {late}, compacts {compacts}");
            let_it_work().await;
            // It stands now, and the writer does not know.
            assert_eq!(seen(&objects).await, rows, "late {late}, compacts {compacts}");
            // Nor when it goes away and another one comes.
            assert!(database.close().await.is_err());
            assert_eq!(seen(&objects).await, rows, "late {late}, compacts {compacts}");
            view.release();
            let next = options().open_store(view.store()).await.unwrap();
            assert_eq!(rows_of(&next).await, rows);
            next.compact().await.unwrap();
            assert_eq!(seen(&objects).await, rows);
        });
    }
}

/// The next one opens between a writer's manifest and its look whether that is the newest.
#[test]
fn fencing_race() {
    for compacts in [false, true] {
        block_on(async {
            let objects = Arc::new(InMemory::new());
            let slow = View::new(&objects);
            let (database, rows) = filled(&slow).await;
            if compacts {
                database.checkpoint().await.unwrap();
            }
            slow.rule(Box::new(|request, path| match request {
                Request::List if path == "manifest" => Fate::Held,
                _ => Fate::Answered,
            }));
            let publishing = {
                let database = database.clone();
                tokio::spawn(async move {
                    match compacts {
                        true => database.compact().await,
                        false => database.checkpoint().await,
                    }
                })
            };
            let_it_work().await;
            assert_eq!(slow.held(), 1, "its manifest stands");
            let next = options().open_store(View::new(&objects).store()).await.unwrap();
            assert_eq!(rows_of(&next).await, rows);
            slow.release();
            let outcome = publishing.await.unwrap();
            assert!(matches!(outcome, Err(Error::Conflict(_))), "{outcome:?}");
            let_it_work().await;
            assert_eq!(seen(&objects).await, rows, "compacts {compacts}");
            assert!(upsert(&database, 0..5, 9).await.is_err());
            assert!(database.close().await.is_err());
            upsert(&next, 500..510, 8).await.unwrap();
            next.compact().await.unwrap();
            let mut rows = rows;
            rows.extend((500..510).map(|key| (key, 8)));
            assert_eq!(seen(&objects).await, rows);
        });
    }
}

/// A writer is slow to remove what nothing names, and meets the files of the next one.
#[test]
fn gc_spares_fence_and_live_epoch() {
    for folder in ["log", "segments"] {
        block_on(async {
            let objects = Arc::new(InMemory::new());
            let asleep = View::new(&objects);
            let (first, mut rows) = filled(&asleep).await;

            let slow = View::new(&objects);
            let manifests = Arc::new(AtomicUsize::new(0));
            slow.rule(Box::new(move |request, path| {
                if is_manifest(request, path) {
                    manifests.fetch_add(1, SeqCst);
                }
                let removes = manifests.load(SeqCst) == 2 && request == Request::List;
                if removes && path == folder { Fate::Held } else { Fate::Answered }
            }));
            let opening = tokio::spawn({
                let store = slow.store();
                async move { options().open_store(store).await }
            });
            let_it_work().await;
            assert_eq!(slow.held(), 1, "it is about to remove files");

            let third = options().open_store(View::new(&objects).store()).await.unwrap();
            upsert(&third, 1000..1200, 3).await.unwrap();
            third.checkpoint().await.unwrap();
            upsert(&third, 1100..1300, 4).await.unwrap();
            rows.extend((1000..1100).map(|key| (key, 3)));
            rows.extend((1100..1300).map(|key| (key, 4)));
            slow.release();
            let second = opening.await.unwrap();
            let_it_work().await;
            assert_eq!(seen(&objects).await, rows, "{folder}");

            // Both that went before meet a fence, though their logs are gone.
            assert!(upsert(&first, 0..5, 9).await.is_err());
            if let Ok(second) = second {
                assert!(upsert(&second, 0..5, 9).await.is_err());
                assert!(second.checkpoint().await.is_err());
            }
            assert!(first.checkpoint().await.is_err());
            drop(third);
            assert_eq!(seen(&objects).await, rows, "{folder}");
        });
    }
}
