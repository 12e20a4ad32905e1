//! What a backup does not write over, and what is not restored.

use omen_provider::Error;

use super::*;

async fn with_rows(medium: &Medium, statements: std::ops::RangeInclusive<i64>) -> Database {
    let database = medium.open(options()).await.unwrap();
    if database.table("t").is_err() {
        database.create_table(Shape::Int.definition("t"), false).await.unwrap();
    }
    for number in statements {
        write(&database, number).await.unwrap();
    }
    database
}

fn copy_directory(from: &Path, to: &Path) {
    for folder in ["log", "manifest", "segments"].iter().filter(|name| from.join(name).is_dir()) {
        std::fs::create_dir_all(to.join(folder)).unwrap();
        for file in files(from, folder) {
            std::fs::copy(&file, to.join(folder).join(file.file_name().unwrap())).unwrap();
        }
    }
}

#[test]
fn directory_of_the_database_is_refused() {
    block_on(async {
        let medium = Medium::disk();
        let database = with_rows(&medium, 1..=50).await;
        let own = medium.folder();
        let link = tempfile::tempdir().unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(own, link.path().join("link")).unwrap();
        let reader = medium.open(reading()).await.unwrap();
        for database in [&database, &reader] {
            for target in [
                own.to_path_buf(),
                own.join("backup"),
                own.join("segments/deep/backup"),
                own.join("segments/.."),
                link.path().join("link/backup"),
            ] {
                if cfg!(not(unix)) && target.starts_with(link.path()) {
                    continue;
                }
                let refused = database.backup(&target).await.unwrap_err();
                assert!(matches!(refused, Error::InvalidInput(_)), "{refused}");
                assert!(!own.join("backup").exists());
            }
        }
        assert_eq!(rows_of(&database).await, model(50));
    });
}

#[test]
fn other_databases_and_other_lines_are_refused() {
    block_on(async {
        let (medium, folder) = (Medium::disk(), tempfile::tempdir().unwrap());
        let at = |name: &str| folder.path().join(name);
        let database = with_rows(&medium, 1..=100).await;
        let refuses = async |database: &Database, target: &str, why: &str| {
            let refused = database.backup(at(target)).await.unwrap_err();
            assert!(refused.to_string().contains(why), "{refused}");
        };
        // A directory with something else in it.
        std::fs::create_dir(at("photos")).unwrap();
        std::fs::write(at("photos").join("cat.jpg"), "a cat").unwrap();
        refuses(&database, "photos", "holds files and no database").await;
        // A database.
        let other = Medium::disk();
        drop(with_rows(&other, 1..=5).await);
        copy_directory(other.folder(), &at("other"));
        refuses(&database, "other", "holds another database").await;
        // One that is open for writing.
        database.backup(at("copy")).await.unwrap();
        database.backup(at("open")).await.unwrap();
        let opened = options().open(at("open")).await.unwrap();
        assert!(matches!(database.backup(at("open")).await, Err(Error::Locked { .. })));
        // One that was.
        write(&opened, 101).await.unwrap();
        opened.close().await.unwrap();
        refuses(&database, "open", "opened for writing").await;
        assert_eq!(rows_in(Store::local(at("open"))).await, model(101));

        // A copy of the directory that goes another way, from the same epoch on.
        drop(database);
        copy_directory(medium.folder(), &at("twin"));
        let database = with_rows(&medium, 101..=150).await;
        database.backup(at("copy")).await.unwrap();
        let twin = options().open(at("twin")).await.unwrap();
        for number in 201..=400 {
            write(&twin, number).await.unwrap();
        }
        twin.compact().await.unwrap();
        refuses(&twin, "copy", "gone another way").await;
        twin.close().await.unwrap();
        let twin = options().open(at("twin")).await.unwrap();
        twin.compact().await.unwrap();
        // It has been opened once more: only its files tell.
        if let Err(refused) = twin.backup(at("copy")).await {
            assert!(refused.to_string().contains("another way"), "{refused}");
            assert_eq!(rows_in(Store::local(at("copy"))).await, model(150));
        }

        // An older state.
        let medium = Medium::disk();
        let database = with_rows(&medium, 1..=10).await;
        copy_directory(medium.folder(), &at("older"));
        let older = reading().open(at("older")).await.unwrap();
        write(&database, 11).await.unwrap();
        database.backup(at("newer")).await.unwrap();
        refuses(&older, "newer", "later state").await;
        assert_eq!(rows_in(Store::local(at("newer"))).await, model(11));
    });
}

/// One that was only opened and not closed: the rows that it has since are in its log.
#[test]
fn backup_that_was_opened_for_writing_is_refused_however_it_was_left() {
    block_on(async {
        let (medium, folder) = (Medium::disk(), tempfile::tempdir().unwrap());
        let copy = folder.path().join("copy");
        with_rows(&medium, 1..=20).await.backup(&copy).await.unwrap();
        let opened = options().open(&copy).await.unwrap();
        write(&opened, 21).await.unwrap();
        drop(opened);
        for number in 21..=25 {
            // Each has opened it once more.
            let database = with_rows(&medium, number..=number).await;
            let refused = database.backup(&copy).await.unwrap_err();
            assert!(matches!(refused, Error::InvalidInput(_)), "{refused}");
        }
        let database = with_rows(&medium, 26..=26).await;
        let refused = database.backup(&copy).await.unwrap_err();
        assert!(refused.to_string().contains("opened for writing"), "{refused}");
        assert_eq!(rows_of(&options().open(&copy).await.unwrap()).await, model(21));
    });
}

/// Files of the backup that are not what their names say are copied anew.
#[test]
fn damaged_file_of_a_backup_is_replaced() {
    block_on(async {
        let (medium, folder) = (Medium::disk(), tempfile::tempdir().unwrap());
        let database = with_rows(&medium, 1..=60).await;
        database.checkpoint().await.unwrap();
        for number in 61..=80 {
            write(&database, number).await.unwrap();
        }
        database.checkpoint().await.unwrap();
        let copy = folder.path().join("copy");
        let whole = database.backup(&copy).await.unwrap();
        for file in files(&copy, "segments") {
            let bytes = std::fs::read(&file).unwrap();
            let mut changed = bytes.clone();
            // In the core of a segment; in a vector.
            let at = bytes.len() - 20;
            changed[at] ^= 4;
            let mut rotten = bytes.clone();
            // In a page; in a vector.
            rotten[bytes.len() / 4] ^= 1;
            let (cut, emptied) = (bytes[..at].to_vec(), vec![0; bytes.len()]);
            for damaged in [cut, changed, rotten, emptied, [&bytes[..], b"x"].concat()] {
                std::fs::write(&file, &damaged).unwrap();
                let report = database.backup(&copy).await.unwrap();
                let anew = u64::from(!is_vector(&file));
                assert_eq!((report.copied, report.kept), (anew, whole.copied - anew), "{file:?}");
                assert_eq!(rows_in(Store::local(&copy)).await, model(80));
                if is_vector(&file) {
                    break;
                }
            }
        }
    });
}

#[test]
fn damaged_database_is_not_backed_up_and_damaged_backup_not_restored() {
    block_on(async {
        let (medium, folder) = (Medium::disk(), tempfile::tempdir().unwrap());
        let database = with_rows(&medium, 1..=60).await;
        database.checkpoint().await.unwrap();
        for number in 61..=80 {
            write(&database, number).await.unwrap();
        }
        let (copy, restored) = (folder.path().join("copy"), folder.path().join("restored"));
        database.backup(&copy).await.unwrap();
        for folder in ["manifest", "segments"] {
            for file in files(&copy, folder) {
                let bytes = std::fs::read(&file).unwrap();
                // The first page, and the end.
                for at in [2, 10, bytes.len() - 6] {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= 1;
                    std::fs::write(&file, &damaged).unwrap();
                    let refused = options().restore(&copy, &restored, &|_, _| {}).await;
                    let Err(Error::Corruption { path, .. }) = refused else {
                        panic!("{file:?}, {at}: {refused:?}");
                    };
                    assert!(file.ends_with(&path), "{path}");
                    assert!(reading().open(&restored).await.is_err());
                }
                std::fs::write(&file, &bytes).unwrap();
            }
        }
        // Whole again, it goes into the directory that was refused before.
        options().restore(&copy, &restored, &|_, _| {}).await.unwrap();
        assert_eq!(rows_in(Store::local(&restored)).await, model(80));
        let refused = options().restore(&copy, &restored, &|_, _| {}).await.unwrap_err();
        assert!(refused.to_string().contains("not empty"), "{refused}");
        let inside = options().restore(&copy, copy.join("in it"), &|_, _| {}).await;
        assert!(matches!(inside, Err(Error::InvalidInput(_))), "{inside:?}");

        // The source itself.
        let file = files(medium.folder(), "segments").remove(0);
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[10] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        let elsewhere = folder.path().join("elsewhere");
        let Err(Error::Corruption { path, .. }) = database.backup(&elsewhere).await else {
            panic!("a damaged page is copied");
        };
        assert!(file.ends_with(&path), "{path}");
        // What is in the earlier backup already is not copied again.
        database.backup(&copy).await.unwrap();
        assert_eq!(rows_in(Store::local(&copy)).await, model(80));
    });
}

#[test]
fn what_a_killed_restore_leaves_is_written_over() {
    block_on(async {
        let (medium, folder) = (Medium::disk(), tempfile::tempdir().unwrap());
        let database = with_rows(&medium, 1..=60).await;
        let (copy, restored) = (folder.path().join("copy"), folder.path().join("restored"));
        database.backup(&copy).await.unwrap();
        let part = &files(&copy, "segments")[0];
        let left = restored.join("segments").join(part.file_name().unwrap());
        let mine = restored.join("segments/mine.parquet");
        std::fs::create_dir_all(restored.join("segments")).unwrap();
        std::fs::write(restored.join("LOCK"), "").unwrap();
        std::fs::write(&left, "a part of it").unwrap();
        std::fs::write(&mine, "somebody's").unwrap();
        options().restore(&copy, &restored, &|_, _| {}).await.unwrap();
        assert_eq!(rows_in(Store::local(&restored)).await, model(60));
        assert_eq!(std::fs::read(&mine).unwrap(), b"somebody's");
        options().restore(&copy, &restored, &|_, _| {}).await.unwrap_err();
        assert_eq!(rows_in(Store::local(&restored)).await, model(60));
    });
}

#[test]
fn damaged_manifest_of_a_backup_is_named_with_its_remedy() {
    block_on(async {
        let (medium, folder) = (Medium::disk(), tempfile::tempdir().unwrap());
        let database = with_rows(&medium, 1..=60).await;
        let copy = folder.path().join("copy");
        database.backup(&copy).await.unwrap();
        let manifest = &files(&copy, "manifest")[0];
        let mut bytes = std::fs::read(manifest).unwrap();
        bytes[100] ^= 1;
        std::fs::write(manifest, bytes).unwrap();
        let refused = database.backup(&copy).await.unwrap_err();
        let Error::Corruption { path, .. } = &refused else { panic!("{refused}") };
        assert!(path.starts_with(&*copy.to_string_lossy()), "{path}");
        assert!(refused.to_string().contains("remove its folder \"manifest\""), "{refused}");
        std::fs::remove_dir_all(copy.join("manifest")).unwrap();
        let report = database.backup(&copy).await.unwrap();
        assert!(report.kept + report.written > 0, "{report:?}");
        assert_eq!(rows_in(Store::local(&copy)).await, model(60));
    });
}
