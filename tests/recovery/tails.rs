//! Ends of logs as power cuts leave them: what was acknowledged is there, the database opens, and
//! it takes statements again.

use crate::crash::script::Statement::{Create, Insert, Upsert};
use crate::crash::script::{State, read, states};
use crate::crash::{block_on, compare, open, options};
use crate::faulty_disk::SECTOR_BYTES;
use crate::faulty_disk::files::FaultyFiles;
use crate::teeth::damage::used_bytes;

/// What a medium may write in any order: pages of the cache.
const PAGE_BYTES: usize = 4096;

/// A disk on which a small statement was acknowledged, and what a larger one does to it.
struct Tail {
    disk: FaultyFiles,
    before: State,
    after: State,
}

impl Tail {
    fn new(rows: i64) -> Self {
        let script =
            [Create("a"), Insert("a", (0..5).collect()), Upsert("a", (3..3 + rows).collect())];
        let disk = FaultyFiles::new();
        super::run(&disk, options(), &script[..2]);
        let states = states(&script);
        Self { disk, before: states[2].clone(), after: states[3].clone() }
    }

    /// Runs the larger statement.
    fn go_on(&self) {
        let (after, before) = (self.after.clone(), self.before.clone());
        let keys: Vec<i64> = after["a"].keys().copied().filter(|key| *key > 2).collect();
        block_on(async {
            let database = open(self.disk.store()).await.unwrap();
            assert_eq!(read(&database).await.unwrap(), before);
            Upsert("a", keys).run(&database, 2).await.unwrap();
        });
    }
}

/// Opens what is left twice, with a statement between: it must be in one of these states.
fn opens(left: &FaultyFiles, allowed: &[&State]) -> Result<State, String> {
    block_on(async {
        let database = compare(left.store(), allowed).await?;
        let mut found = read(&database).await.map_err(|e| e.to_string())?;
        let more = Create("more");
        more.run(&database, 9).await.map_err(|e| format!("takes no statement: {e}"))?;
        more.apply(&mut found, 9);
        drop(database);
        drop(compare(left.after_power_cut(1).store(), &[&found]).await?);
        found.remove("more");
        Ok(found)
    })
}

#[test]
fn lost_unsynced_bytes_still_boot() {
    let tail = Tail::new(150);
    tail.disk.record();
    tail.go_on();
    let (mut with, mut without) = (0, 0);
    for (moment, snapshot) in tail.disk.snapshots().iter().enumerate() {
        for seed in 0..40 {
            let left = snapshot.after_power_cut(seed);
            let found = opens(&left, &[&tail.before, &tail.after]);
            let found = found.unwrap_or_else(|e| panic!("change {moment}, seed {seed}: {e}"));
            *if found == tail.after { &mut with } else { &mut without } += 1;
        }
    }
    assert!(with > 0 && without > 0, "{with} with the statement, {without} without");
}

#[test]
fn large_log_write_out_of_page_order() {
    let tail = Tail::new(300);
    tail.disk.record();
    tail.go_on();
    let moments = tail.disk.snapshots();
    let moments: Vec<_> = moments.iter().map(|moment| moment.as_it_is().all_files()).collect();
    let after = moments.last().unwrap();
    let log = super::newest_log(after);
    // The last moment at which the log was another one.
    let before = moments.iter().rfind(|files| files.get(&log) != after.get(&log)).unwrap();
    let (old, new) = (&before[&log], &after[&log]);
    let same = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let end = used_bytes(new);
    let pages: Vec<_> = (same / PAGE_BYTES..end.div_ceil(PAGE_BYTES)).collect();
    assert!(end - same >= 12 << 10 && pages.len() < 8, "{} bytes, {pages:?}", end - same);
    for kept in 0..1_u32 << pages.len() {
        let mut bytes = old.clone();
        bytes.resize(new.len(), 0);
        let mut last = old.len();
        for (_, page) in pages.iter().enumerate().filter(|(i, _)| kept >> i & 1 == 1) {
            let range = page * PAGE_BYTES..((page + 1) * PAGE_BYTES).min(new.len());
            bytes[range.clone()].copy_from_slice(&new[range.clone()]);
            last = last.max(range.end);
        }
        let whole = kept + 1 == 1 << pages.len();
        let expected = if whole { &tail.after } else { &tail.before };
        // The length is written down apart from the bytes.
        for length in [last, new.len()] {
            let mut files = before.clone();
            bytes.truncate(length);
            bytes.resize(length, 0);
            files.insert(log.clone(), bytes.clone());
            let outcome = opens(&FaultyFiles::holding(&files), &[expected]);
            outcome.unwrap_or_else(|e| panic!("pages {kept:b} of {pages:?}, {length} bytes: {e}"));
        }
    }
}

#[test]
fn grown_but_unsynced_file_opens() {
    let tail = Tail::new(1);
    let files = tail.disk.all_files();
    let log = super::newest_log(&files);
    for zeros in [1, 27, SECTOR_BYTES - 1, SECTOR_BYTES, SECTOR_BYTES + 1, PAGE_BYTES, 1 << 20] {
        let mut files = files.clone();
        let bytes = files.get_mut(&log).unwrap();
        bytes.resize(bytes.len() + zeros, 0);
        // A file without a name yet, likewise.
        files.insert("/db/tmp/00000000000000aa.tmp".into(), vec![0; zeros]);
        let outcome = opens(&FaultyFiles::holding(&files), &[&tail.before]);
        outcome.unwrap_or_else(|e| panic!("{zeros} zeros: {e}"));
    }
}
