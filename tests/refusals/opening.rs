//! Who may open a database, and what an opener may do.

use omen_provider::{Database, Error, Options};

use super::{assert_untouched, rows, with_three_rows};
use crate::harness::block_on;
use crate::harness::media::Medium;
use crate::harness::watched::Watched;

fn read_only() -> Options {
    Options { read_only: true, ..Options::default() }
}

#[test]
fn a_second_writer_is_refused_until_the_first_is_gone() {
    block_on(async {
        let medium = Medium::disk();
        let database = with_three_rows(&medium).await;
        match medium.open(Options::default()).await {
            Err(Error::Locked { path }) => {
                assert!(path.contains(medium.folder().to_str().unwrap()), "{path}");
            }
            other => panic!("{:?}", other.map(|_| "opened")),
        }
        assert_untouched(&database).await;
        drop(database);
        let database = medium.open(Options::default()).await.unwrap();
        assert_untouched(&database).await;
        database.close().await.unwrap();
        assert_untouched(&medium.open(Options::default()).await.unwrap()).await;
    });
}

#[test]
fn read_only_sees_acknowledged_rows_and_refuses_writes() {
    for medium in Medium::all() {
        block_on(async {
            let database = with_three_rows(&medium).await;
            database.close().await.unwrap();
            let reader = medium.open(read_only()).await.unwrap();
            assert_untouched(&reader).await;
            let t = reader.table("t").unwrap();
            let refusals = [
                t.insert(rows(vec![9])).await.err(),
                t.upsert(rows(vec![1])).await.err(),
                t.delete([1]).await.err(),
                reader.checkpoint().await.err(),
                reader.compact().await.err(),
            ];
            for refusal in refusals {
                assert!(matches!(refusal, Some(Error::Unavailable(_))), "{refusal:?}");
            }
            assert!(reader.session().sql("CREATE TABLE u (id BIGINT PRIMARY KEY)").await.is_err());
            let insert = reader.session().sql("INSERT INTO t VALUES (9, 'n9', 9.0)").await;
            if let Ok(frame) = insert {
                assert!(frame.collect().await.is_err(), "accepted");
            }
            assert_untouched(&reader).await;
        });
    }
}

#[test]
fn read_only_writes_nothing() {
    for medium in Medium::all() {
        block_on(async {
            // Not closed: there is a log to be read.
            drop(with_three_rows(&medium).await);
            let watched = Watched::new(medium.store());
            let reader = read_only().open_store(watched.store()).await.unwrap();
            assert_untouched(&reader).await;
            assert!(reader.verify().await.unwrap().problems.is_empty());
            drop(reader);
            assert_eq!(watched.writes(), Vec::<String>::new());
        });
    }
}

#[test]
fn read_only_leaves_a_directory_as_it_is() {
    block_on(async {
        let medium = Medium::disk();
        drop(with_three_rows(&medium).await);
        let folder = medium.folder();
        std::fs::remove_file(folder.join("LOCK")).unwrap();
        std::fs::write(folder.join("tmp/00000000000000ff.tmp"), "half a segment").unwrap();
        let files = || {
            let mut all: Vec<_> = ["", "log", "manifest", "segments", "tmp"]
                .iter()
                .flat_map(|name| std::fs::read_dir(folder.join(name)).unwrap())
                .map(|entry| entry.unwrap().path())
                .collect();
            all.sort();
            all
        };
        let before = files();
        assert_untouched(&medium.open(read_only()).await.unwrap()).await;
        assert_eq!(files(), before);
    });
}

#[test]
fn a_reader_beside_a_writer_sees_what_was_acknowledged() {
    block_on(async {
        let medium = Medium::disk();
        let database = with_three_rows(&medium).await;
        let reader = medium.open(read_only()).await.unwrap();
        assert_untouched(&reader).await;
        database.table("t").unwrap().insert(rows(vec![4])).await.unwrap();
        let later = medium.open(read_only()).await.unwrap();
        assert_eq!(later.table("t").unwrap().row_count().unwrap(), 4);
        // The first reader stays at what it opened, whatever the writer does to the files.
        database.compact().await.unwrap();
        assert_untouched(&reader).await;
    });
}

#[test]
fn nothing_to_open_is_said() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let refused = read_only().open(&missing).await;
        assert!(matches!(refused, Err(Error::NotFound(_))), "{:?}", refused.err());
        let refused = Options { create: false, ..Options::default() }.open(&missing).await;
        assert!(matches!(refused, Err(Error::NotFound(_))), "{:?}", refused.err());
        assert!(!missing.exists(), "a refusal made a directory");

        // A directory with somebody else's files is not taken for a new database.
        std::fs::write(folder.path().join("thesis.txt"), "all I have").unwrap();
        let refused = Database::open(folder.path()).await;
        assert!(refused.is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

        let file = folder.path().join("file");
        std::fs::write(&file, "not a directory").unwrap();
        assert!(Database::open(&file).await.is_err());
    });
}

#[test]
fn a_closed_database_says_so() {
    block_on(async {
        let medium = Medium::disk();
        let database = with_three_rows(&medium).await;
        let t = database.table("t").unwrap();
        database.close().await.unwrap();
        let refused = t.insert(rows(vec![9])).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    });
}
