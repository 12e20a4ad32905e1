//! Pages by the medium's account: which bytes of the segments were requested, laid over the page
//! index that any Parquet reader sees.

use std::collections::BTreeMap;
use std::ops::Range;

use futures::TryStreamExt;
use omen_provider::{Database, Options};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};
use parquet::file::page_index::column_index::ColumnIndexMetaData;

use super::{COLUMNS, large, options, pages_of};
use crate::harness::media::Medium;
use crate::harness::rows::{Part, Shape, to_batch};
use crate::harness::watched::{Read, Watched};
use crate::harness::{block_on, block_on_without_background};

/// A data page.
#[derive(Debug)]
struct Page {
    file: String,
    column: usize,
    bytes: Range<u64>,
    /// The smallest and the largest key of its rows.
    keys: (i64, i64),
}

/// The data pages of all segments.
fn pages(medium: &Medium) -> Vec<Page> {
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(medium.folder().join("segments")).unwrap() {
        let entry = entry.unwrap();
        let name = format!("segments/{}", entry.file_name().to_str().unwrap());
        let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
        let file = std::fs::File::open(entry.path()).unwrap();
        let metadata = reader.parse_and_finish(&file).unwrap();
        let (places, bounds) = (metadata.offset_index().unwrap(), metadata.column_index().unwrap());
        for (group, columns) in places.iter().enumerate() {
            let ColumnIndexMetaData::INT64(ids) = &bounds[group][0] else { panic!("the key") };
            for (column, places) in columns.iter().enumerate() {
                for (number, place) in places.page_locations().iter().enumerate() {
                    let start = place.offset as u64;
                    pages.push(Page {
                        file: name.clone(),
                        column,
                        bytes: start..start + place.compressed_page_size as u64,
                        keys: (ids.min_values()[number], ids.max_values()[number]),
                    });
                }
            }
        }
    }
    pages
}

/// Indices of the pages of which bytes were read, and how often.
fn requested(reads: &[Read], pages: &[Page]) -> BTreeMap<usize, usize> {
    let mut found = BTreeMap::new();
    for (file, range) in reads {
        for (index, page) in pages.iter().enumerate() {
            if page.file == *file && page.bytes.start < range.end && range.start < page.bytes.end {
                *found.entry(index).or_default() += 1;
            }
        }
    }
    found
}

/// A table of 1,000,000 rows in several segments, on the medium and closed.
struct Made {
    medium: Medium,
    pages: Vec<Page>,
}

impl Made {
    async fn new() -> Self {
        let medium = Medium::disk();
        let database = large(&medium).await;
        database.compact().await.unwrap();
        database.close().await.unwrap();
        // Opening removes the inputs of the compaction.
        medium.open(options()).await.unwrap().close().await.unwrap();
        let pages = pages(&medium);
        let files = pages.iter().filter(|p| p.column == 0).map(|p| &p.file);
        assert!(files.collect::<std::collections::BTreeSet<_>>().len() >= 4, "several segments");
        Self { medium, pages }
    }

    /// What `work` on the database, opened anew, requests.
    async fn requests<F: Future>(
        &self,
        work: impl FnOnce(Database) -> F,
    ) -> BTreeMap<usize, usize> {
        let watched = Watched::new(self.medium.store());
        let database = options().open_store(watched.store()).await.unwrap();
        watched.take_reads();
        work(database.clone()).await;
        requested(&watched.take_reads(), &self.pages)
    }

    /// The pages of `columns` that hold keys of `keys`.
    fn holding(&self, columns: &[usize], keys: Range<i64>) -> Vec<usize> {
        let holds = |page: &Page| {
            columns.contains(&page.column) && page.keys.0 < keys.end && page.keys.1 >= keys.start
        };
        (0..self.pages.len()).filter(|&index| holds(&self.pages[index])).collect()
    }
}

fn once(pages: Vec<usize>) -> BTreeMap<usize, usize> {
    pages.into_iter().map(|page| (page, 1)).collect()
}

#[test]
fn a_key_requests_its_page_of_each_column_and_no_other() {
    block_on(async {
        let made = Made::new().await;
        for id in [3, 1_500_000, 2_999_997] {
            let own = made.holding(&[0, 1, 2, 3], id..id + 1);
            assert_eq!(own.len() as u64, COLUMNS);
            let got = made.requests(|database| async move {
                assert!(database.table("m").unwrap().get(id).await.unwrap().is_some());
            });
            assert_eq!(got.await, once(own.clone()), "get {id}");
            // The plan looks the key up, the scan reads the row: the key's page may come twice.
            let sql = format!("SELECT * FROM m WHERE id = {id}");
            let got = made.requests(|database| async move {
                assert_eq!(pages_of(&database, &sql).await, COLUMNS, "pages that the plan counts");
            });
            let got = got.await;
            assert_eq!(got.keys().copied().collect::<Vec<_>>(), own, "query {id}");
            let most = |page: &usize| if made.pages[*page].column == 0 { 2 } else { 1 };
            assert!(got.iter().all(|(page, times)| *times <= most(page)), "{got:?}");
        }
        // Between two keys, and past all of them.
        let got = made.requests(|database| async move {
            assert!(database.table("m").unwrap().get(1_500_001).await.unwrap().is_none());
        });
        let key_page = made.holding(&[0], 1_500_000..1_500_001);
        assert!(got.await.keys().all(|page| key_page.contains(page)));
        let got = made.requests(|database| async move {
            assert!(database.table("m").unwrap().get(3_000_000).await.unwrap().is_none());
        });
        assert_eq!(got.await, BTreeMap::new());
    });
}

#[test]
fn a_range_requests_the_pages_that_hold_its_rows_and_no_other() {
    block_on(async {
        let made = Made::new().await;
        let keys = 900_000..990_000_i64;
        let range = keys.clone();
        let got = made.requests(|database| async move {
            let rows = database.table("m").unwrap().range(range);
            let batches: Vec<_> = rows.try_collect().await.unwrap();
            assert_eq!(batches.iter().map(|b| b.num_rows()).sum::<usize>(), 30_000);
        });
        let (got, own) = (got.await, made.holding(&[0, 1, 2, 3], keys.clone()));
        assert!(own.len() < made.pages.len() / 10, "a small part of the table");
        // The two ends of the range are looked up first.
        let ends = [keys.start, keys.end].map(|key| made.holding(&[0], key..key + 1)).concat();
        let others = |pages: &mut dyn Iterator<Item = &usize>| {
            pages.filter(|page| !ends.contains(page)).copied().collect::<Vec<_>>()
        };
        assert_eq!(others(&mut got.keys()), others(&mut own.iter()));

        let sql = format!("SELECT value FROM m WHERE id >= {} AND id < {}", keys.start, keys.end);
        let own = made.holding(&[2], keys);
        let count = own.len() as u64;
        let got = made.requests(|database| async move {
            assert_eq!(pages_of(&database, &sql).await, count, "pages that the plan counts");
        });
        assert_eq!(others(&mut got.await.keys()), own, "of the column asked for");
        let own = made.holding(&[2], 0..i64::MAX);
        let count = own.len() as u64;
        let got = made.requests(|database| async move {
            assert_eq!(pages_of(&database, "SELECT sum(value) FROM m").await, count);
        });
        assert_eq!(got.await, once(own), "the whole column");
    });
}

#[test]
fn a_key_that_is_not_there_seldom_costs_a_page() {
    block_on_without_background(async {
        let medium = Medium::disk();
        // Nothing is cached, so every page that is looked at is requested.
        let options = || Options { cache_bytes_max: 0, ..Options::default() };
        let database = medium.open(options()).await.unwrap();
        database.create_table(Shape::Int.definition("t"), false).await.unwrap();
        let table = database.table("t").unwrap();
        let row = |id: i64| (vec![Part::Int(id)], (None, None));
        for third in 0..3 {
            let rows: Vec<_> = (0..2000).map(|i| row(i * 8 + third)).collect();
            table.insert(to_batch(Shape::Int, &rows)).await.unwrap();
            database.checkpoint().await.unwrap();
        }
        // Closing would merge them.
        drop((table, database));
        let watched = Watched::new(medium.store());
        let database = options().open_store(watched.store()).await.unwrap();
        let table = database.table("t").unwrap();
        watched.take_reads();
        for id in 0..500 {
            assert!(table.get(id * 8 + 5).await.unwrap().is_none());
        }
        // Three segments may hold each of 500 keys; three of a hundred pass a filter.
        let reads = watched.take_reads().len();
        assert!(reads <= 150, "{reads} reads");
        assert!(table.get(8).await.unwrap().is_some());
        assert!(!watched.take_reads().is_empty(), "reads are seen");
    });
}
