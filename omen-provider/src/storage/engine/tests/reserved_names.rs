//! Tables of the names of system tables, from before there were any.

use super::super::Within;
use super::super::change::Change;
use super::*;
use crate::storage::system_tables::SYSTEM_TABLES;

/// A definition of a table of that name.
fn named(name: &str) -> TableDefinition {
    TableDefinition::new(name, &rows([1], "a").schema()).primary_key(["id"])
}

async fn texts(db: &Database, sql: &str) -> Vec<String> {
    let batches = db.session().sql(sql).await.unwrap().collect().await.unwrap();
    let columns = batches.iter().map(|batch| batch.column(0).as_string::<i32>());
    columns.flat_map(|texts| texts.iter().map(|text| text.unwrap().to_string())).collect()
}

#[tokio::test]
async fn a_table_that_has_such_a_name_keeps_it() {
    let blobs = Arc::new(object_store::memory::InMemory::new());
    let open = || Options::default().open_store(Store::object_store(blobs.clone(), "memory"));
    let db = open().await.unwrap();
    let engine = db.handle().engine();
    for name in SYSTEM_TABLES {
        assert!(matches!(db.create_table(named(name), false).await, Err(Error::InvalidInput(_))));
        assert!(matches!(db.table(name), Err(Error::InvalidInput(_))));
    }
    // As a program made it that knew no such names.
    let schema = engine.new_schema(named("omen_parts"), false).unwrap();
    engine.carry_out(&Within::default(), None, vec![Change::Create(schema)]).await.unwrap();
    for round in 0..2 {
        let db = if round == 0 { db.clone() } else { open().await.unwrap() };
        db.table("omen_parts").unwrap().upsert(rows([round], "n")).await.unwrap();
        let notes = texts(&db, "SELECT note FROM omen_parts ORDER BY id").await;
        assert_eq!(notes, ["n0", "n1"][..=round as usize]);
        let parts = "SELECT DISTINCT table_name FROM information_schema.omen_parts";
        assert_eq!(texts(&db, parts).await, ["omen_parts"]);
        assert_eq!(texts(&db, "SELECT file FROM omen_log").await.len(), 1);
        assert!(!db.create_table(named("omen_parts"), true).await.unwrap(), "IF NOT EXISTS");
        db.close().await.unwrap();
    }
    let db = open().await.unwrap();
    assert!(db.drop_table("omen_parts", false).await.unwrap());
    assert!(matches!(
        db.create_table(named("omen_parts"), false).await,
        Err(Error::InvalidInput(_))
    ));
}

#[tokio::test]
async fn a_reader_knows_the_log_it_reads_and_the_writer_those_it_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(folder.path()).await.unwrap();
    db.create_table(definition(), false).await.unwrap();
    db.table("t").unwrap().upsert(rows(0..10, "a")).await.unwrap();
    let files = db.handle().engine().log_files();
    assert_eq!(files.len(), 1);
    let written = &files[0];
    let on_disk = std::fs::metadata(folder.path().join(&written.file)).unwrap();
    assert!(written.bytes > 0 && written.bytes <= on_disk.len());
    assert_eq!((written.is_written, written.last_lsn), (Some(true), Some(db.snapshot().lsn())));
    assert!(written.first_lsn <= written.last_lsn);

    let reader = Options { read_only: true, ..Options::default() };
    let reader = reader.open(folder.path()).await.unwrap();
    let read = reader.handle().engine().log_files();
    assert_eq!(read.len(), 1);
    assert_eq!((&read[0].file, read[0].is_written), (&written.file, None));
    assert_eq!(read[0].last_lsn, written.last_lsn);

    db.checkpoint().await.unwrap();
    let begun = db.handle().engine().log_files();
    assert!(begun.len() == 1 && begun[0].file != written.file && begun[0].last_lsn.is_none());
}
