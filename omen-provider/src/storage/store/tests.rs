//! What every implementation of the seam must do.

use object_store::memory::InMemory;

use super::*;

/// Runs a check on each implementation.
async fn on_each<F: Future<Output = ()>>(check: impl Fn(Store) -> F) {
    let directory = tempfile::tempdir().unwrap();
    check(Store::local(directory.path().join("db"))).await;
    check(Store::object_store(Arc::new(InMemory::new()), "some/prefix")).await;
}

fn taken<T>(result: Result<T>) -> bool {
    matches!(result, Err(Error::AlreadyExists(_)))
}

fn missing<T>(result: Result<T>) -> bool {
    matches!(result, Err(Error::NotFound(_)))
}

async fn names(store: &Store, folder: &str) -> Vec<String> {
    store.blobs.list(folder).await.unwrap().into_iter().map(|info| info.name).collect()
}

#[tokio::test]
async fn blob_is_published_once_and_unchanged() {
    on_each(|store| async move {
        let blobs = &store.blobs;
        blobs.put_if_absent("manifest/02.manifest", Bytes::from("two")).await.unwrap();
        blobs.put_if_absent("manifest/01.manifest", Bytes::from("one")).await.unwrap();
        assert!(taken(blobs.put_if_absent("manifest/01.manifest", Bytes::from("other")).await));
        assert_eq!(blobs.read("manifest/01.manifest").await.unwrap(), "one");
        let expected = [
            BlobInfo { name: "manifest/01.manifest".into(), bytes: 3 },
            BlobInfo { name: "manifest/02.manifest".into(), bytes: 3 },
        ];
        assert_eq!(blobs.list("manifest").await.unwrap(), expected);
        blobs.delete("manifest/01.manifest").await.unwrap();
        blobs.delete("manifest/01.manifest").await.unwrap();
        assert!(missing(blobs.read("manifest/01.manifest").await));
        assert!(missing(
            blobs.read_ranges("manifest/01.manifest", std::slice::from_ref(&(0..1))).await
        ));
        assert_eq!(names(&store, "manifest").await, ["manifest/02.manifest"]);
        assert!(names(&store, "segments").await.is_empty());
        blobs.clean().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn written_blob_appears_only_when_finished() {
    on_each(|store| async move {
        let name = "segments/0a.parquet";
        let mut writer = store.blobs.create(name).await.unwrap();
        writer.write(Bytes::from("hello ")).await.unwrap();
        writer.write(Bytes::from("world")).await.unwrap();
        assert!(names(&store, "segments").await.is_empty());
        let mut late = store.blobs.create(name).await.unwrap();
        late.write(Bytes::from("late")).await.unwrap();
        drop(store.blobs.create(name).await.unwrap());
        writer.finish().await.unwrap();
        assert!(taken(late.finish().await));
        assert_eq!(store.blobs.read(name).await.unwrap(), "hello world");
        assert_eq!(names(&store, "segments").await, [name]);
    })
    .await;
}

#[tokio::test]
async fn ranges_are_read_and_bounded() {
    on_each(|store| async move {
        let name = "segments/0b.parquet";
        store.blobs.put_if_absent(name, Bytes::from("0123456789")).await.unwrap();
        let read = store.blobs.read_ranges(name, &[0..2, 9..10, 0..10, 3..5]).await.unwrap();
        assert_eq!(read, ["01", "9", "0123456789", "34"]);
        assert!(store.blobs.read_ranges(name, &[]).await.unwrap().is_empty());
        for range in [5..11, 11..12, 10..11, u64::MAX - 1..u64::MAX] {
            let result = store.blobs.read_ranges(name, std::slice::from_ref(&range)).await;
            assert!(
                matches!(&result, Err(Error::Corruption { path, .. }) if path == name),
                "{range:?} {result:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn log_keeps_what_was_synced_in_order() {
    on_each(|store| async move {
        let name = "log/0000000100000001.log";
        let mut log = store.logs.create(name).await.unwrap();
        assert_eq!(store.logs.read(name).await.unwrap(), "");
        log.sync().await.unwrap();
        for group in ["a", "bc", "def"] {
            for byte in group.bytes() {
                log.append(Bytes::from(vec![byte])).await.unwrap();
            }
            log.sync().await.unwrap();
        }
        let content = store.logs.read(name).await.unwrap();
        let (written, behind) = content.split_at(6);
        assert!(written == b"abcdef" && behind.iter().all(|byte| *byte == 0));
        assert!(taken(store.logs.create(name).await));
        store.logs.create("log/0000000100000000.log").await.unwrap();
        assert_eq!(store.logs.list().await.unwrap(), ["log/0000000100000000.log", name]);
        store.logs.delete(name).await.unwrap();
        store.logs.delete(name).await.unwrap();
        assert!(missing(store.logs.read(name).await));
        assert!(missing(store.logs.take_over(name).await));
        assert_eq!(store.logs.list().await.unwrap(), ["log/0000000100000000.log"]);
    })
    .await;
}

#[tokio::test]
async fn names_never_leave_the_store() {
    on_each(|store| async move {
        let long = "a".repeat(1 << 20);
        let bad = [
            "",
            "/",
            "log",
            "log/",
            "log/01",
            "/log/01.log",
            "../log/01.log",
            "log/../01.log",
            "log/01.log/02",
            "log/01.LOG",
            "log/0g.log",
            "log/01.",
            "log/.log",
            "log/01.log\0",
            "log/01.a.b",
            "log\\01.log",
            "🙂/01.log",
            &long,
        ];
        for name in bad {
            let put = store.blobs.put_if_absent(name, Bytes::new()).await;
            assert!(matches!(put, Err(Error::InvalidInput(_))), "{name}");
            assert!(store.blobs.create(name).await.is_err());
            assert!(store.blobs.read(name).await.is_err());
            assert!(store.blobs.delete(name).await.is_err());
            assert!(store.logs.create(name).await.is_err());
            assert!(store.logs.read(name).await.is_err());
            assert!(store.logs.delete(name).await.is_err());
        }
    })
    .await;
}

#[tokio::test]
async fn fenced_writer_fails_and_its_group_is_not_there() {
    let store = Store::object_store(Arc::new(InMemory::new()), "");
    let name = "log/01.log";
    let mut log = store.logs.create(name).await.unwrap();
    log.append(Bytes::from("kept")).await.unwrap();
    log.sync().await.unwrap();
    log.append(Bytes::from("late")).await.unwrap();
    assert_eq!(store.logs.take_over(name).await.unwrap(), "kept");
    assert!(matches!(log.sync().await, Err(Error::Conflict(_))));
    assert!(log.sync().await.is_err());
    assert_eq!(store.logs.take_over(name).await.unwrap(), "kept");
    assert_eq!(store.logs.read(name).await.unwrap(), "kept");
}

#[tokio::test]
async fn fence_outlives_the_log() {
    let store = Store::object_store(Arc::new(InMemory::new()), "p");
    let mut log = store.logs.create("log/01.log").await.unwrap();
    store.logs.take_over("log/01.log").await.unwrap();
    store.logs.delete("log/01.log").await.unwrap();
    assert!(store.logs.list().await.unwrap().is_empty());
    log.append(Bytes::from("late")).await.unwrap();
    assert!(matches!(log.sync().await, Err(Error::Conflict(_))));
}

#[tokio::test]
async fn gap_in_a_log_is_damage() {
    let objects = Arc::new(InMemory::new());
    let store = Store::object_store(Arc::clone(&objects) as _, "p");
    let mut log = store.logs.create("log/01.log").await.unwrap();
    for text in ["a", "b"] {
        log.append(Bytes::from(text)).await.unwrap();
        log.sync().await.unwrap();
    }
    let first = object_store::path::Path::from("p/log/01.log/00000000000000000001");
    object_store::ObjectStoreExt::delete(objects.as_ref(), &first).await.unwrap();
    assert!(matches!(store.logs.read("log/01.log").await, Err(Error::Corruption { .. })));
}
