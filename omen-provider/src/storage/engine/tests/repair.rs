//! Cutting a damaged log by explicit order.

use super::*;

const STATEMENTS: i64 = 6;

/// A database with `STATEMENTS` inserts of 40 rows in its log, not closed.
async fn unclosed(folder: &std::path::Path) {
    let db = Options::default().open(folder).await.unwrap();
    db.create_table(definition(), false).await.unwrap();
    for i in 0..STATEMENTS {
        db.table("t").unwrap().insert(rows(i * 40..i * 40 + 40, "n")).await.unwrap();
    }
}

fn restore(folder: &std::path::Path, files: &[(String, Vec<u8>)]) {
    std::fs::remove_dir_all(folder).unwrap();
    for (name, bytes) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

#[tokio::test]
async fn a_cut_keeps_every_statement_before_the_damage_and_the_log_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    unclosed(&path).await;
    std::fs::create_dir_all(path.join("segments")).unwrap();
    let whole = files_of(&path);
    let (name, log) = whole.iter().find(|(name, _)| name.starts_with("log")).unwrap();
    let options = Options::default;
    assert!(options().find_log_damage(&path).await.unwrap().is_none());
    assert!(options().cut_damaged_log(&path).await.unwrap().is_none());
    assert_eq!(files_of(&path), whole);
    let mut kept = Vec::new();
    for at in (0..log.len()).step_by(331) {
        let mut files = whole.clone();
        for (other, bytes) in &mut files {
            if other == name {
                bytes[at] ^= 2;
            }
        }
        restore(&path, &files);
        std::fs::create_dir_all(path.join("segments")).unwrap();
        assert!(matches!(options().open(&path).await, Err(Error::Corruption { .. })), "{at}");
        let found = options().find_log_damage(&path).await.unwrap().unwrap();
        assert!(matches!(&found.damage, Error::Corruption { path, .. } if path == name));
        let mut before = files_of(&path);
        // A writer that was refused has claimed the database all the same.
        before.retain(|(name, _)| name.starts_with("log"));
        let cut = options().cut_damaged_log(&path).await.unwrap().unwrap();
        assert_eq!((cut.statements, cut.bytes), (found.statements, found.bytes));
        let lost = std::fs::read(path.join(name.replace("log/", "lost/"))).unwrap();
        assert_eq!(lost, before[0].1);
        assert!(options().cut_damaged_log(&path).await.unwrap().is_none());

        let db = options().open(&path).await.unwrap();
        if cut.statements == 0 {
            assert!(db.table_names().is_empty());
        } else {
            assert!(contents(&db).await.into_keys().eq(0..(cut.statements as i64 - 1) * 40));
        }
        assert!(db.verify().await.unwrap().problems.is_empty());
        kept.push(cut.statements);
        drop(db);
    }
    // All of them, one after the other: nothing before the damage is given up.
    kept.dedup();
    assert_eq!(kept, (0..=STATEMENTS as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_cut_ends_a_chain_of_logs_at_its_first_damage() {
    let folder = tempfile::tempdir().unwrap();
    let db = Options::default().open(folder.path()).await.unwrap();
    db.create_table(definition(), false).await.unwrap();
    let table = db.table("t").unwrap();
    table.insert(rows(0..10, "a")).await.unwrap();
    let writer = db.handle().engine().writer().unwrap();
    let next = writer.log.prepare_next((1 << 32) + 77).await.unwrap();
    writer.log.rotate(next, 5).await.unwrap();
    table.insert(rows(10..20, "b")).await.unwrap();
    drop((table, db));
    let (first, second) = (log_name((1 << 32) + 1), log_name((1 << 32) + 77));
    let log = std::fs::read(folder.path().join(&first)).unwrap();
    std::fs::write(folder.path().join(&first), &log[..log.len() - 10]).unwrap();
    let cut = Options::default().cut_damaged_log(folder.path()).await.unwrap().unwrap();
    assert!(matches!(&cut.damage, Error::Corruption { path, .. } if *path == first));
    for name in [first, second] {
        assert!(folder.path().join(name.replace("log/", "lost/")).is_file());
    }
    let db = Options::default().open(folder.path()).await.unwrap();
    assert!(contents(&db).await.into_keys().eq(0..10));
}
