//! Segments against plain lists of rows: every key, present or absent, every row, every byte.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use arrow::array::*;
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::*;
use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use proptest::prelude::*;

use super::index::Place;
use super::*;
use crate::error::{Error, Result};
use crate::storage::deletion_vector::DeletionVector;
use crate::storage::key::{KeyModelBuilder, KeyRange, Keys};
use crate::storage::live_rows::LiveRows;
use crate::storage::record::SegmentRecord;
use crate::storage::row_ranges::RowRanges;
use crate::storage::schema::{Column, TableSchema};
use crate::storage::store::{BlobInfo, BlobWriter, Blobs, LogFile, Logs, Store};

mod byte_keys;

type Files = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// Blobs in memory, which tests may damage.
#[derive(Debug, Clone, Default)]
struct Memory(Files);

struct Unfinished(Files, String, Vec<u8>);

#[async_trait]
impl BlobWriter for Unfinished {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.2.extend_from_slice(&bytes);
        Ok(())
    }
    async fn finish(self: Box<Self>) -> Result<()> {
        let Self(files, name, bytes) = *self;
        files.lock().unwrap().insert(name, bytes);
        Ok(())
    }
}

#[async_trait]
impl Blobs for Memory {
    async fn put_if_absent(&self, _: &str, _: Bytes) -> Result<()> {
        Err(Error::Unavailable("not needed by these tests"))
    }
    async fn create(&self, name: &str) -> Result<Box<dyn BlobWriter>> {
        Ok(Box::new(Unfinished(Arc::clone(&self.0), name.to_string(), Vec::new())))
    }
    async fn read_ranges(&self, name: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let files = self.0.lock().unwrap();
        let file = files.get(name).ok_or_else(|| Error::NotFound(name.to_string()))?;
        let cut = |range: &Range<u64>| match file.get(range.start as usize..range.end as usize) {
            Some(bytes) => Ok(Bytes::copy_from_slice(bytes)),
            None => Err(Error::corruption(name, range.start, "past the end")),
        };
        ranges.iter().map(cut).collect()
    }
    async fn read(&self, _: &str) -> Result<Bytes> {
        Err(Error::Unavailable("not needed by these tests"))
    }
    async fn list(&self, _: &str) -> Result<Vec<BlobInfo>> {
        Err(Error::Unavailable("not needed by these tests"))
    }
    async fn delete(&self, _: &str) -> Result<()> {
        Err(Error::Unavailable("not needed by these tests"))
    }
    async fn clean(&self) -> Result<()> {
        Err(Error::Unavailable("not needed by these tests"))
    }
}

/// Segments write no log.
#[derive(Debug)]
struct NoLogs;

#[async_trait]
impl Logs for NoLogs {
    async fn create(&self, _: &str) -> Result<Box<dyn LogFile>> {
        Err(Error::Unavailable("not needed by these tests"))
    }
    async fn read(&self, _: &str) -> Result<Bytes> {
        Err(Error::Unavailable("not needed by these tests"))
    }
    async fn take_over(&self, _: &str) -> Result<Bytes> {
        Err(Error::Unavailable("not needed by these tests"))
    }
    async fn list(&self) -> Result<Vec<String>> {
        Err(Error::Unavailable("not needed by these tests"))
    }
    async fn delete(&self, _: &str) -> Result<()> {
        Err(Error::Unavailable("not needed by these tests"))
    }
}

fn memory() -> (Memory, Store) {
    let blobs = Memory::default();
    let store = Store {
        blobs: Arc::new(blobs.clone()),
        logs: Arc::new(NoLogs),
        location: "memory".to_string(),
    };
    (blobs, store)
}

fn cache() -> Arc<PageCache> {
    Arc::new(PageCache::new(64 << 20))
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn table(fields: Vec<Field>, key: &[usize]) -> Arc<TableSchema> {
    let column = |(i, field): (usize, Field)| Column::new(i as u32 + 1, Arc::new(field));
    let columns = fields.into_iter().enumerate().map(column).collect();
    Arc::new(TableSchema::new(1, "t", columns, key.to_vec()).unwrap())
}

/// `arrays` as rows of `schema`, sorted by key, without those whose key occurred before.
fn sorted(schema: &TableSchema, arrays: Vec<ArrayRef>) -> (RecordBatch, Keys) {
    let rows = RecordBatch::try_new(Arc::clone(schema.stored()), arrays).unwrap();
    let keys = keys_of(schema, &rows);
    let mut order = keys.sorted_order();
    order.dedup_by(|b, a| keys.compare(*a as usize, &keys, *b as usize).is_eq());
    let rows = take_record_batch(&rows, &UInt32Array::from(order)).unwrap();
    let keys = keys_of(schema, &rows);
    (rows, keys)
}

fn keys_of(schema: &TableSchema, rows: &RecordBatch) -> Keys {
    let columns: Vec<_> = schema.key.iter().map(|&i| rows.column(i).clone()).collect();
    schema.codec().encode(&columns).unwrap()
}

#[derive(Debug)]
struct Shape {
    row_group_rows: usize,
    batch_rows: usize,
    fingerprints: bool,
}

const SMALL: Shape = Shape { row_group_rows: 1, batch_rows: 100, fingerprints: true };

async fn write(
    store: &Store,
    schema: &Arc<TableSchema>,
    rows: &RecordBatch,
    shape: &Shape,
) -> SegmentRecord {
    let keys = keys_of(schema, rows);
    let bounds = (keys.get(0), keys.get(keys.len() - 1));
    let mut writer = SegmentWriter::create(
        store,
        7,
        schema,
        (&bounds.0, &bounds.1),
        shape.row_group_rows,
        shape.fingerprints,
    )
    .await
    .unwrap();
    for start in (0..rows.num_rows()).step_by(shape.batch_rows) {
        let part = rows.slice(start, shape.batch_rows.min(rows.num_rows() - start));
        writer.write(&part, &keys_of(schema, &part)).await.unwrap();
    }
    assert_eq!(writer.rows() as usize, rows.num_rows());
    writer.finish().await.unwrap().unwrap()
}

/// Byte strings around every key: the key, one below, one above, cut, extended.
fn probes(keys: &Keys) -> Vec<Vec<u8>> {
    let mut probes = vec![vec![], vec![0], vec![255; 20]];
    for key in (0..keys.len()).map(|i| keys.get(i)) {
        let mut near = key.to_vec();
        probes.push(near.clone());
        probes.push(near[..near.len() / 2].to_vec());
        probes.push([&near, &[0][..]].concat());
        if let Some(last) = near.last_mut() {
            *last = last.wrapping_add(1);
            probes.push(near.clone());
            let last = near.len() - 1;
            near[last] = near[last].wrapping_sub(2);
            probes.push(near);
        }
    }
    probes
}

/// Compares every way to find a key with a search of the list.
async fn check_search(segment: &Segment, keys: &Keys) {
    let stats = ReadStats::default();
    let probes = probes(keys);
    let lower = |probe: &[u8]| keys.lower_bound_in(0..keys.len(), probe) as u32;
    for (i, probe) in probes.iter().enumerate() {
        let expected = lower(probe);
        let present = (expected as usize) < keys.len()
            && keys.compare_bytes(expected as usize, probe).is_eq();
        check_place(segment, probe, expected, present);
        assert_eq!(segment.lower_bound(probe, &stats).await.unwrap(), expected, "{probe:?}");
        let found = segment.find(probe, &stats).await.unwrap();
        assert_eq!(found, present.then_some(expected), "{probe:?}");
        let end = &probes[(i * 7 + 3) % probes.len()];
        let range = KeyRange { start: probe.clone(), end: Some(end.clone()) };
        let rows = segment.row_range(&range, &stats).await.unwrap();
        let expected = expected..lower(end);
        assert!(rows == expected || (rows.is_empty() && expected.is_empty()), "{range:?}");
    }
    let mut many = Keys::new(match keys {
        Keys::Fixed { width, .. } => Some(*width),
        Keys::Bytes { .. } => None,
    });
    let fits = |probe: &&Vec<u8>| match keys {
        Keys::Fixed { width, .. } => probe.len() == *width,
        Keys::Bytes { .. } => true,
    };
    probes.iter().filter(fits).for_each(|probe| many.push(probe));
    let order = many.sorted_order();
    let expected: Vec<(u32, u32)> = (order.iter())
        .map(|&i| (i, lower(&many.get(i as usize))))
        .filter(|&(i, p)| {
            (p as usize) < keys.len() && many.compare(i as usize, keys, p as usize).is_eq()
        })
        .collect();
    assert_eq!(segment.find_many(&many, &order, &stats).await.unwrap(), expected);
}

/// What the resident index says of a probe: its lower bound, or the page that ends at or behind it
/// and a window that holds it.
fn check_place(segment: &Segment, probe: &[u8], expected: u32, present: bool) {
    match segment.index.locate(probe) {
        Place::At { position, found } => {
            assert_eq!((position, found), (expected, present), "{probe:?}");
        }
        Place::In { page, window, hint } => {
            let positions = segment.layout.positions(page);
            assert!(positions.start < expected && expected <= positions.end, "{page} {probe:?}");
            assert!(window.start <= expected && expected <= window.end, "{window:?} {probe:?}");
            assert!(hint <= segment.rows());
        }
    }
}

/// Compares rows read in both ways with the rows written.
async fn check_rows(segment: &Arc<Segment>, rows: &RecordBatch, ranges: RowRanges) {
    let stats = ReadStats::default();
    let indices = UInt32Array::from_iter_values(ranges.iter().flatten());
    let expected = take_record_batch(rows, &indices).unwrap();
    let read = segment.read_rows(&ranges, None, &stats).await.unwrap();
    same(&read, &expected);
    let batches: Vec<_> = segment.scan(ranges.clone(), None, 70).try_collect().await.unwrap();
    assert!(batches.iter().all(|b| b.num_rows() <= 70));
    same(&concat_batches(rows.schema_ref(), &batches).unwrap(), &expected);
    let last = rows.num_columns() - 1;
    let some = [last, 0];
    let read = segment.read_rows(&ranges, Some(&some), &stats).await.unwrap();
    same(&read, &expected.project(&some).unwrap());
    let batches: Vec<_> =
        segment.scan(ranges.clone(), Some(some.to_vec()), 1000).try_collect().await.unwrap();
    same(&concat_batches(read.schema_ref(), &batches).unwrap(), &read);
    let none: Vec<_> = segment.scan(ranges.clone(), Some(vec![]), 9).try_collect().await.unwrap();
    assert_eq!(none.iter().map(|b| b.num_rows() as u64).sum::<u64>(), ranges.row_count());
}

/// Compares rows read through a mask with the rows written.
async fn check_masked(
    segment: &Arc<Segment>,
    rows: &RecordBatch,
    part: Range<u32>,
    dead: &dyn Fn(u32) -> bool,
) {
    let mut vector = DeletionVector::default();
    (0..rows.num_rows() as u32).filter(|&i| dead(i)).for_each(|i| {
        vector.insert(i);
    });
    let live = LiveRows::new(std::iter::once(part.clone()).collect(), &vector);
    assert!(live.mask().is_some());
    let expected = UInt32Array::from_iter_values(part.filter(|&i| !dead(i)));
    let expected = take_record_batch(rows, &expected).unwrap();
    for batch_rows in [70, 1 << 20] {
        let batches: Vec<_> =
            segment.scan(live.clone(), None, batch_rows).try_collect().await.unwrap();
        assert!(batches.iter().all(|batch| batch.num_rows() <= batch_rows));
        same(&concat_batches(rows.schema_ref(), &batches).unwrap(), &expected);
    }
    let none: Vec<_> = segment.scan(live.clone(), Some(vec![]), 9).try_collect().await.unwrap();
    assert_eq!(none.iter().map(|b| b.num_rows() as u64).sum::<u64>(), live.count());
}

/// Equal in type and value; dictionaries may hold their values in any order.
fn same(found: &RecordBatch, expected: &RecordBatch) {
    assert_eq!(found.schema(), expected.schema());
    assert_eq!(found.num_rows(), expected.num_rows());
    for (found, expected) in found.columns().iter().zip(expected.columns()) {
        assert_eq!(found.data_type(), expected.data_type());
        let plain = |array: &ArrayRef| match array.as_any_dictionary_opt() {
            Some(d) => arrow::compute::take(d.values(), d.keys(), None).unwrap(),
            None => array.clone(),
        };
        assert_eq!(&plain(found), &plain(expected));
    }
}

/// A table of most kinds of columns, wide enough for pages of 128 rows.
fn many_types() -> Arc<TableSchema> {
    let item = |t| Arc::new(Field::new_list_field(t, true));
    let pair = Fields::from(vec![
        Field::new("a", DataType::Int32, true),
        Field::new("b", DataType::List(item(DataType::Utf8)), true),
    ]);
    let entries = Fields::from(vec![
        Field::new("keys", DataType::Utf8, false),
        Field::new("values", DataType::Int64, true),
    ]);
    let entries = Arc::new(Field::new("entries", DataType::Struct(entries), false));
    let dictionary = DataType::Dictionary(Box::new(DataType::Int16), Box::new(DataType::Utf8));
    table(
        vec![
            Field::new("id", DataType::Int64, false),
            Field::new(
                "at",
                DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Rome".into())),
                true,
            ),
            Field::new("money", DataType::Decimal128(20, 3), true),
            Field::new("kind", dictionary, true),
            Field::new("text", DataType::Utf8View, true),
            Field::new("list", DataType::List(item(DataType::Int64)), true),
            Field::new("pair", DataType::Struct(pair), true),
            Field::new("map", DataType::Map(entries, false), true),
            Field::new("flag", DataType::Boolean, true),
            Field::new("blob", DataType::LargeBinary, true),
        ],
        &[0],
    )
}

fn many_types_rows(schema: &TableSchema, count: usize) -> RecordBatch {
    let some = |i: usize, n: usize| !i.is_multiple_of(n);
    let ids = Int64Array::from_iter_values((0..count as i64).map(|i| i * 3 - 500));
    let at = (0..count).map(|i| some(i, 5).then_some(i as i64 * 1_000_003));
    let at = TimestampMicrosecondArray::from_iter(at).with_timezone("Europe/Rome");
    let money = (0..count).map(|i| some(i, 7).then_some(i as i128 * 991));
    let money = Decimal128Array::from_iter(money).with_precision_and_scale(20, 3).unwrap();
    let kind: DictionaryArray<Int16Type> =
        (0..count).map(|i| some(i, 11).then_some(["red", "green", "blue"][i % 3])).collect();
    // Distinct texts: their dictionary outgrows its limit within a row group.
    let text = (0..count).map(|i| some(i, 4).then(|| format!("text {i} {}", "x".repeat(600))));
    let text = StringViewArray::from_iter(text);
    let mut list = ListBuilder::new(Int64Builder::new());
    let strings = ListBuilder::new(StringBuilder::new());
    let mut pair = StructBuilder::new(
        match schema.columns[6].field.data_type() {
            DataType::Struct(fields) => fields.clone(),
            _ => unreachable!(),
        },
        vec![Box::new(Int32Builder::new()), Box::new(strings)],
    );
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    for i in 0..count {
        (0..i % 4).for_each(|j| list.values().append_option(some(j, 3).then_some(j as i64)));
        list.append(some(i, 6));
        pair.field_builder::<Int32Builder>(0)
            .unwrap()
            .append_option(some(i, 2).then_some(i as i32));
        let strings = pair.field_builder::<ListBuilder<StringBuilder>>(1).unwrap();
        (0..i % 3)
            .for_each(|j| strings.values().append_value(format!("{i}/{j} {}", "y".repeat(300))));
        strings.append(true);
        pair.append(some(i, 9));
        (0..i % 3).for_each(|j| {
            map.keys().append_value(format!("k{j}"));
            map.values().append_value(j as i64);
        });
        map.append(some(i, 8)).unwrap();
    }
    let flags = BooleanArray::from_iter((0..count).map(|i| some(i, 13).then_some(i % 2 == 0)));
    let blob = (0..count).map(|i| some(i, 3).then(|| vec![i as u8; i % 50]));
    let blob = LargeBinaryArray::from_iter(blob);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(ids),
        Arc::new(at),
        Arc::new(money),
        Arc::new(kind),
        Arc::new(text),
        Arc::new(list.finish()),
        Arc::new(pair.finish()),
        Arc::new(map.finish()),
        Arc::new(flags),
        Arc::new(blob),
    ];
    RecordBatch::try_new(Arc::clone(schema.stored()), columns).unwrap()
}

#[test]
fn every_type_comes_back_from_any_rows() {
    run(async {
        let schema = many_types();
        let rows = many_types_rows(&schema, 2000);
        let (_, store) = memory();
        let shape = Shape { row_group_rows: 700, batch_rows: 333, fingerprints: false };
        let record = write(&store, &schema, &rows, &shape).await;
        assert_eq!((record.page_rows, record.row_group_rows), (128, 768));
        let segment = Segment::open(&store, &cache(), record, &schema).await.unwrap();
        let all = RowRanges::all(2000);
        check_rows(&segment, &rows, all.clone()).await;
        check_rows(&segment, &rows, RowRanges::default()).await;
        check_rows(
            &segment,
            &rows,
            [127..129, 500..501, 760..800, 1999..2000].into_iter().collect(),
        )
        .await;
        check_rows(&segment, &rows, all.without((0..2000).filter(|i| i % 7 != 0))).await;
        for (part, period) in [(0..2000, 2), (0..2000, 7), (130..1999, 3), (768..1536, 2)] {
            check_masked(&segment, &rows, part, &|i| i % period == 0 || (300..600).contains(&i))
                .await;
        }
        segment.verify().await.unwrap();
    });
}

#[test]
fn a_column_added_later_reads_as_null_and_a_renamed_one_is_found() {
    run(async {
        let field = |name: &str, t| Field::new(name, t, true);
        let old = table(vec![field("id", DataType::Int64), field("a", DataType::Int64)], &[0]);
        let new = vec![
            Column::new(3, Arc::new(field("added", DataType::Utf8))),
            Column::new(2, Arc::new(field("b", DataType::Int64))),
            Column::new(1, Arc::new(field("id", DataType::Int64))),
        ];
        let new = Arc::new(TableSchema::new(1, "t", new, vec![2]).unwrap());
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..300));
        let values: ArrayRef = Arc::new(Int64Array::from_iter_values(1000..1300));
        let rows =
            RecordBatch::try_new(Arc::clone(old.stored()), vec![ids.clone(), values.clone()]);
        let (_, store) = memory();
        let record = write(&store, &old, &rows.unwrap(), &SMALL).await;
        let segment = Segment::open(&store, &cache(), record, &new).await.unwrap();
        let nulls = new_null_array(&DataType::Utf8, 300);
        let expected = RecordBatch::try_new(Arc::clone(new.stored()), vec![nulls, values, ids]);
        check_rows(&segment, &expected.unwrap(), RowRanges::all(300)).await;
        check_search(
            &segment,
            &new.codec().encode(&[Arc::new(Int64Array::from_iter_values(0..300))]).unwrap(),
        )
        .await;
    });
}

#[test]
fn an_open_segment_is_counted_as_long_as_it_is_open() {
    let schema = many_types();
    let rows = many_types_rows(&schema, 2000);
    run(async {
        let ((_, store), cache) = (memory(), cache());
        let shape = Shape { row_group_rows: 1 << 20, batch_rows: 2000, fingerprints: true };
        let record = write(&store, &schema, &rows, &shape).await;
        assert_eq!(cache.resident(), 0);
        let segment = Segment::open(&store, &cache, record, &schema).await.unwrap();
        let tail = segment.record().bytes - segment.record().tail_offset;
        // Metadata takes more room in memory than in the file.
        assert!((tail / 2..20 * tail).contains(&cache.resident()), "{}", cache.resident());
        drop(segment);
        assert_eq!(cache.resident(), 0);
    });
}

#[test]
fn a_lookup_reads_one_page_per_column() {
    run(async {
        let schema = many_types();
        let rows = many_types_rows(&schema, 2000);
        let (_, store) = memory();
        let shape = Shape { row_group_rows: 1 << 20, batch_rows: 2000, fingerprints: false };
        let record = write(&store, &schema, &rows, &shape).await;
        let keys = keys_of(&schema, &rows);
        let segment = Segment::open(&store, &cache(), record, &schema).await.unwrap();
        let leaves = segment.layout.leaves() as u64;
        let stats = ReadStats::default();
        let position = segment.find(&keys.get(1234), &stats).await.unwrap().unwrap();
        assert_eq!((position, stats.pages_from_storage.load(Relaxed)), (1234, 1));
        let one = RowRanges::from_iter([position..position + 1]);
        segment.read_rows(&one, None, &stats).await.unwrap();
        assert_eq!(stats.pages_from_storage.load(Relaxed), leaves);
        assert_eq!(stats.pages.load(Relaxed), leaves + 1);
        // Once more, from the cache.
        segment.find(&keys.get(1234), &stats).await.unwrap();
        segment.read_rows(&one, None, &stats).await.unwrap();
        assert_eq!(stats.pages_from_storage.load(Relaxed), leaves);
        // All present and absent keys of a page together take one page.
        let cold = Segment { cache: cache(), ..segment.as_ref().clone() };
        let stats = ReadStats::default();
        let mut some = Keys::new(Some(8));
        (256..384).for_each(|i| some.push_from(&keys, i));
        let found = cold.find_many(&some, &some.sorted_order(), &stats).await.unwrap();
        assert_eq!((found.len(), stats.pages_from_storage.load(Relaxed)), (128, 1));
    });
}

#[test]
fn the_learned_index_leaves_few_positions_to_search() {
    run(async {
        let fields = vec![Field::new("id", DataType::Int64, false)];
        let schema = table(fields, &[0]);
        let ids = Int64Array::from_iter_values((0..40_000).map(|i| i * 7));
        let (rows, keys) = sorted(&schema, vec![Arc::new(ids)]);
        let (_, store) = memory();
        let record = write(&store, &schema, &rows, &SMALL).await;
        assert_eq!(record.page_rows, 8192);
        let segment = Segment::open(&store, &cache(), record, &schema).await.unwrap();
        let (mut widest, mut distance, mut farthest, mut pages) = (0, 0, 0, 0);
        for index in 0..keys.len() {
            let key = keys.get(index);
            match segment.index.locate(&key) {
                Place::At { .. } => pages += 1,
                Place::In { window, .. } => widest = widest.max(window.len()),
            }
            let beside = segment.index.locate_in_file(&key).1.abs_diff(index as u32);
            distance += beside as usize;
            farthest = farthest.max(beside);
        }
        // The first key of each page is known without reading it.
        assert_eq!(pages, 40_000usize.div_ceil(8192));
        assert!(widest <= 512, "{widest} of 8192 positions");
        // Only in the last leaf, which the last key ends early, is it off by more than a few.
        assert!(distance < 2 * 40_000, "{distance} positions beside, all together");
        assert!(farthest <= 64, "expected {farthest} positions beside");
    });
}

#[test]
fn a_page_is_searched_within_the_window() {
    let strings = |numbers: &mut dyn Iterator<Item = u64>| {
        let mut keys = Keys::new(None);
        numbers.for_each(|number| keys.push(&number.to_be_bytes()));
        keys
    };
    let mut builder = KeyModelBuilder::new(false, 0);
    builder.push(&strings(&mut (0..64))).unwrap();
    let model = builder.finish().unwrap();
    let search = |keys: &Keys, window: &Range<usize>, hint: usize, key: u64| {
        let expected = (window.clone(), hint);
        model.lower_bound_in_page(keys, 1000, expected, &key.to_be_bytes())
    };
    // Keys out of order outside of the window: looking there would lead astray.
    let is_inside = |i: &u64| (20..40).contains(i);
    let keys = strings(&mut (0..64).map(|i| if is_inside(&i) { i } else { u64::MAX }));
    for key in 21..40u64 {
        for hint in [0, 1000, 1020, 1030, 1039, 1063, 2000] {
            assert_eq!(search(&keys, &(1020..1040), hint, key), key as usize);
        }
    }
    // A window that is wrong costs time, not the answer.
    let keys = strings(&mut (0..64));
    for key in 0..64u64 {
        for window in [0..0, 1000..1000, 1064..1064, 1030..1031, 2000..3000] {
            assert_eq!(search(&keys, &window, 1000 + key as usize / 2, key), key as usize);
        }
    }
}

#[test]
fn any_parquet_reader_reads_the_file() {
    run(async {
        let schema = many_types();
        let rows = many_types_rows(&schema, 1000);
        let (blobs, store) = memory();
        let record = write(&store, &schema, &rows, &SMALL).await;
        let file = Bytes::from(blobs.0.lock().unwrap()[&record.file_name()].clone());
        assert_eq!(file.len() as u64, record.bytes);
        let builder =
            parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file.clone())
                .unwrap();
        let parquet = builder.parquet_schema();
        let ids: Vec<i32> = (parquet.root_schema().get_fields().iter())
            .map(|field| field.get_basic_info().id())
            .collect();
        assert_eq!(ids, (1..=10).collect::<Vec<_>>());
        let sorting = builder.metadata().row_group(0).sorting_columns().unwrap();
        assert_eq!((sorting.len(), sorting[0].column_idx), (1, 0));
        let read: Vec<_> = builder.build().unwrap().map(|b| b.unwrap()).collect();
        same(&concat_batches(schema.stored(), &read).unwrap(), &rows);

        // The same through the segment, whole, in odd pieces, and again from the cache.
        let segment = Segment::open(&store, &cache(), record, &schema).await.unwrap();
        let end = file.len() as u64;
        let chunk = segment.layout.chunk_pages(4);
        let chunk = segment.run_range(&chunk);
        let mut ranges = vec![0..end, 0..2, 3..5, end - 5..end, 1000..1000, chunk.clone()];
        ranges.push(chunk.start + 1..chunk.end + 1);
        ranges.push(segment.record.tail_offset - 3..segment.record.tail_offset + 3);
        ranges.extend((0..40u64).map(|i| i * end / 57..i * end / 41));
        for _ in 0..2 {
            let stats = ReadStats::default();
            let read = segment.read_bytes(&ranges, &stats).await.unwrap();
            for (range, bytes) in ranges.iter().zip(read) {
                assert_eq!(bytes, file[range.start as usize..range.end as usize], "{range:?}");
            }
        }
        let stats = ReadStats::default();
        segment.read_bytes(&ranges, &stats).await.unwrap();
        assert_eq!(stats.pages_from_storage.load(Relaxed), 0);
        assert!(segment.read_bytes(&[5..end + 1], &stats).await.is_err());
    });
}

/// Everything that can be asked of a small segment, in one list; `None`: refused.
async fn answers(
    store: &Store,
    record: &SegmentRecord,
    schema: &Arc<TableSchema>,
) -> Vec<Option<RecordBatch>> {
    let all = RowRanges::all(record.rows);
    let Ok(segment) = Segment::open(store, &cache(), record.clone(), schema).await else {
        return vec![None; 3];
    };
    let stats = ReadStats::default();
    let read = segment.read_rows(&all, None, &stats).await.ok();
    let scanned: Result<Vec<_>> = segment.scan(all, None, 1 << 20).try_collect().await;
    let scanned = scanned.ok().map(|b| concat_batches(schema.stored(), &b).unwrap());
    let found = segment.find(&record.max_key, &stats).await;
    let found = match found {
        Ok(Some(at)) => {
            segment.read_rows(&RowRanges::from_iter([at..at + 1]), None, &stats).await.ok()
        }
        Ok(None) => panic!("the last key is gone"),
        Err(_) => None,
    };
    vec![read, scanned, found]
}

#[test]
fn a_flipped_byte_is_an_error_or_changes_nothing() {
    run(async {
        let text = Field::new("text", DataType::Utf8, true);
        let schema = table(vec![Field::new("id", DataType::Int32, false), text], &[0]);
        let ids: ArrayRef = Arc::new(Int32Array::from_iter_values(0..300));
        let texts =
            StringArray::from_iter((0..300).map(|i| (i % 4 != 0).then(|| format!("{}", i % 9))));
        let (rows, _) = sorted(&schema, vec![ids, Arc::new(texts)]);
        let (blobs, store) = memory();
        let record = write(&store, &schema, &rows, &SMALL).await;
        let intact = answers(&store, &record, &schema).await;
        assert!(intact.iter().all(Option::is_some));
        let name = record.file_name();
        let flip = |at: usize| blobs.0.lock().unwrap().get_mut(&name).unwrap()[at] ^= 1 << (at % 8);
        for at in 0..record.bytes as usize {
            flip(at);
            let damaged = answers(&store, &record, &schema).await;
            for (damaged, intact) in damaged.iter().zip(&intact) {
                assert!(damaged.is_none() || damaged == intact, "byte {at}");
            }
            // Reading all rows needs every byte but the magic number and the hints.
            let is_hint = (record.tail_offset..record.core_offset).contains(&(at as u64));
            assert!(at < 4 || is_hint || damaged[0].is_none(), "byte {at}");
            assert!(!is_hint || damaged == intact, "byte {at}");
            let segment = Segment::open(&store, &cache(), record.clone(), &schema).await;
            match segment {
                Ok(segment) => match segment.verify().await {
                    Err(Error::Corruption { path, offset, .. }) => {
                        assert_eq!(path, name);
                        assert!(offset <= at as u64, "{offset} {at}");
                    }
                    other => panic!("byte {at}: {other:?}"),
                },
                Err(Error::Corruption { offset, .. }) => {
                    assert!(offset == record.core_offset && offset <= at as u64, "byte {at}");
                }
                Err(other) => panic!("byte {at}: {other}"),
            }
            flip(at);
        }
        for bytes in [0, 4, record.bytes / 2, record.bytes - 1] {
            let whole = blobs.0.lock().unwrap()[&name].clone();
            blobs.0.lock().unwrap().insert(name.clone(), whole[..bytes as usize].to_vec());
            assert!(Segment::open(&store, &cache(), record.clone(), &schema).await.is_err());
            let shorter = SegmentRecord { bytes, ..record.clone() };
            assert!(Segment::open(&store, &cache(), shorter, &schema).await.is_err());
            blobs.0.lock().unwrap().insert(name.clone(), whole);
        }
    });
}

/// The record of a file whose tail was changed.
fn sealed_anew(record: &SegmentRecord, bytes: &[u8]) -> SegmentRecord {
    let (tail, core) = (record.tail_offset as usize, record.core_offset as usize);
    let (hints_crc, core_crc) =
        (crc32c::crc32c(&bytes[tail..core]), crc32c::crc32c(&bytes[core..]));
    SegmentRecord { hints_crc, core_crc, ..record.clone() }
}

#[test]
fn hostile_sections_with_right_checksums_do_not_panic() {
    run(async {
        let schema = table(vec![Field::new("id", DataType::Utf8, false)], &[0]);
        let ids = (0..300).map(|i| format!("key {i:04}"));
        let (rows, keys) = sorted(&schema, vec![Arc::new(StringArray::from_iter_values(ids))]);
        let (blobs, store) = memory();
        let record = write(&store, &schema, &rows, &SMALL).await;
        let name = record.file_name();
        let whole = blobs.0.lock().unwrap()[&name].clone();
        let number = |at: usize| u32::from_le_bytes(*whole[at..].first_chunk().unwrap());
        let mut section = record.tail_offset as usize;
        let mut opened = 0;
        // Four sections; each byte of each payload in turn.
        for kind in [1, 4, 2, 3] {
            assert_eq!(number(section), kind);
            let end = section + 8 + number(section + 4) as usize;
            for at in section + 8..end {
                for change in [1u8, 0x80, 0xFF] {
                    let mut bytes = whole.clone();
                    bytes[at] ^= change;
                    let crc = crc32c::crc32c(&bytes[section..end]);
                    bytes[end..end + 4].copy_from_slice(&crc.to_le_bytes());
                    let record = sealed_anew(&record, &bytes);
                    blobs.0.lock().unwrap().insert(name.clone(), bytes);
                    let segment = Segment::open(&store, &cache(), record, &schema).await;
                    let Ok(segment) = segment else { continue };
                    opened += 1;
                    let stats = ReadStats::default();
                    for i in [0, 77, 299] {
                        let found = segment.find(&keys.get(i), &stats).await;
                        assert!(found.is_err() || found.unwrap().is_none_or(|p| p < 300));
                    }
                    let _ = segment.read_rows(&RowRanges::all(300), None, &stats).await;
                    assert!(segment.verify().await.is_err() || kind == 1 || kind == 4);
                }
            }
            section = end + 4;
        }
        assert!(opened > 100);
    });
}

#[test]
fn a_dictionary_of_narrow_keys_holds_more_values_than_its_type_in_a_row_group() {
    run(async {
        let kind = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
        let fields =
            vec![Field::new("id", DataType::Int64, false), Field::new("kind", kind, false)];
        let schema = table(fields, &[0]);
        let (_, store) = memory();
        let (low, high) = ([0; 8], [255; 8]);
        let mut writer =
            SegmentWriter::create(&store, 7, &schema, (&low, &high), 1 << 20, false).await.unwrap();
        let mut written = Vec::new();
        for part in 0..20i64 {
            let ids = Int64Array::from_iter_values((0..8192).map(|i| part * 8192 + i));
            let kinds: DictionaryArray<Int8Type> = (0..8192)
                .map(|i| Some(format!("{part} {}", i % 100)))
                .collect::<Vec<_>>()
                .iter()
                .map(|s| s.as_deref())
                .collect();
            let columns: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(kinds)];
            let rows = RecordBatch::try_new(Arc::clone(schema.stored()), columns).unwrap();
            writer.write(&rows, &keys_of(&schema, &rows)).await.unwrap();
            written.push(rows);
        }
        let record = writer.finish().await.unwrap().unwrap();
        let segment = Segment::open(&store, &cache(), record, &schema).await.unwrap();
        for (part, rows) in written.iter().enumerate() {
            let start = part as u32 * 8192;
            let ranges = RowRanges::from_iter([start..start + 8192]);
            let stats = ReadStats::default();
            same(&segment.read_rows(&ranges, None, &stats).await.unwrap(), rows);
        }
    });
}

#[test]
fn rows_out_of_order_are_refused() {
    run(async {
        let schema = table(vec![Field::new("id", DataType::Int32, false)], &[0]);
        let (_, store) = memory();
        let (low, high) = ([0; 4], [255; 4]);
        let mut writer =
            SegmentWriter::create(&store, 1, &schema, (&low, &high), 100, false).await.unwrap();
        let batch = |ids: Vec<i32>| {
            let ids: ArrayRef = Arc::new(Int32Array::from(ids));
            RecordBatch::try_new(Arc::clone(schema.stored()), vec![ids]).unwrap()
        };
        for (ids, accepted) in [
            (vec![], true),
            (vec![1, 5], true),
            (vec![5, 6], false),
            (vec![4], false),
            (vec![7, 7], false),
            (vec![9, 8], false),
            (vec![6, 9], true),
        ] {
            let rows = batch(ids);
            let written = writer.write(&rows, &keys_of(&schema, &rows)).await;
            assert_eq!(written.is_ok(), accepted, "{rows:?} {written:?}");
        }
        let rows = batch(vec![10, 11]);
        assert!(writer.write(&rows, &Keys::new(Some(4))).await.is_err());
        assert_eq!(writer.finish().await.unwrap().unwrap().rows, 4);
        let empty = SegmentWriter::create(&store, 2, &schema, (&low, &high), 100, false).await;
        assert_eq!(empty.unwrap().finish().await.unwrap(), None);
    });
}

fn check_keys(schema: &Arc<TableSchema>, arrays: Vec<ArrayRef>, shape: &Shape) {
    let (rows, keys) = sorted(schema, arrays);
    run(async {
        let (_, store) = memory();
        let record = write(&store, schema, &rows, shape).await;
        assert_eq!(*record.min_key, *keys.get(0));
        assert_eq!(*record.max_key, *keys.get(keys.len() - 1));
        let segment = Segment::open(&store, &cache(), record, schema).await.unwrap();
        check_search(&segment, &keys).await;
        check_rows(&segment, &rows, RowRanges::all(segment.rows())).await;
        segment.verify().await.unwrap();
    });
}

fn shapes() -> impl Strategy<Value = Shape> {
    (1usize..600, 1usize..400, any::<bool>()).prop_map(
        |(row_group_rows, batch_rows, fingerprints)| Shape {
            row_group_rows,
            batch_rows,
            fingerprints,
        },
    )
}

/// A text column wide enough to make pages of 128 rows.
fn padding(rows: usize) -> ArrayRef {
    Arc::new(StringArray::from_iter_values((0..rows).map(|_| "p".repeat(1000))))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn integer_keys_are_found(
        mut ids in prop_oneof![
            prop::collection::vec(any::<i64>(), 1..500),
            prop::collection::vec(-300i64..300, 1..500),
            prop::collection::vec((i64::MAX - 40..=i64::MAX).prop_map(|x| x), 1..60),
        ],
        shape in shapes(),
    ) {
        ids.push(ids[0]);
        let text = Field::new("p", DataType::Utf8, false);
        let fields = vec![Field::new("id", DataType::Int64, false), text];
        let rows = ids.len();
        let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(ids)), padding(rows)];
        check_keys(&table(fields, &[0]), columns, &shape);
    }

    #[test]
    fn text_keys_are_found(
        mut ids in prop_oneof![
            prop::collection::vec("[ab]{0,9}", 1..400),
            prop::collection::vec("same prefix[\\x00a]{0,12}", 1..400),
            prop::collection::vec(".{0,4}", 1..400),
        ],
        shape in shapes(),
    ) {
        ids.push(ids[0].clone());
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        let fields = vec![text("id"), text("p")];
        let rows = ids.len();
        let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(ids)), padding(rows)];
        check_keys(&table(fields, &[0]), columns, &shape);
    }

    #[test]
    fn composite_keys_are_found(
        ids in prop::collection::vec(("[a-c]{0,3}", 0i32..9, any::<bool>()), 1..400),
        shape in shapes(),
    ) {
        let fields = vec![
            Field::new("p", DataType::Utf8, false),
            Field::new("flag", DataType::Boolean, false),
            Field::new("number", DataType::Int32, false),
            Field::new("name", DataType::Utf8, false),
        ];
        let arrays: Vec<ArrayRef> = vec![
            padding(ids.len()),
            Arc::new(BooleanArray::from_iter(ids.iter().map(|(_, _, flag)| Some(*flag)))),
            Arc::new(Int32Array::from_iter_values(ids.iter().map(|(_, number, _)| *number))),
            Arc::new(StringArray::from_iter_values(ids.iter().map(|(name, _, _)| name))),
        ];
        check_keys(&table(fields, &[3, 2, 1]), arrays, &shape);
    }
}
