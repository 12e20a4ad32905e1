//! Samples of a table's indexes, for a picture of them.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Engine;
use super::inspect::{TableInspection, inspect_table};
use crate::error::{Error, Result};
use crate::storage::index_sample::IndexSample;
use crate::storage::version::TableVersion;

/// What to sample.
#[derive(Debug, Clone, Copy)]
pub struct SampleLimits {
    /// Parts, the largest ones.
    pub parts_max: usize,
    /// Keys of a part, about.
    pub keys_max: u32,
}

/// The state of a table and samples of the largest indexes in it, all of one moment.
#[derive(Debug, Clone)]
pub struct TableSample {
    /// The table.
    pub table: TableInspection,
    /// Index into the table's parts and the sample, largest part first.
    pub parts: Vec<(usize, IndexSample)>,
}

impl Engine {
    /// Samples the largest parts of a table that have an index; `progress` is told how many keys
    /// of how many were read.
    pub async fn sample_indexes(
        &self,
        table: &str,
        limits: SampleLimits,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<TableSample> {
        let version = self.published.get();
        let missing = || Error::NotFound(format!("table \"{table}\""));
        let table = version.table_named(table).map(Arc::clone).ok_or_else(missing)?;
        let inspection = inspect_table(&table);
        let parts = largest_indexed(&inspection, limits.parts_max);
        let keys = |&part: &usize| inspection.parts[part].rows.min(u64::from(limits.keys_max));
        let total = parts.iter().map(keys).sum();
        let done = AtomicU64::new(0);
        let count = |keys: u64| {
            let before = done.fetch_add(keys, Relaxed);
            progress((before + keys).min(total), total);
        };
        let mut samples = Vec::with_capacity(parts.len());
        for part in parts {
            let sample = sample_part(&table, part, limits.keys_max, &count).await?;
            samples.extend(sample.map(|sample| (part, sample)));
        }
        Ok(TableSample { table: inspection, parts: samples })
    }
}

/// The parts with an index, largest first, in their order if they are of one size.
fn largest_indexed(table: &TableInspection, parts_max: usize) -> Vec<usize> {
    let indexed = |part: &usize| table.parts[*part].index.is_some();
    let mut parts: Vec<usize> = (0..table.parts.len()).filter(indexed).collect();
    parts.sort_by_key(|&part| Reverse(table.parts[part].rows));
    parts.truncate(parts_max);
    parts
}

/// Samples a part by its place among the parts of the table's inspection: segments, then runs.
async fn sample_part(
    table: &TableVersion,
    part: usize,
    keys_max: u32,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<Option<IndexSample>> {
    if let Some(view) = table.segments.get(part) {
        return view.segment.sample(keys_max, progress).await;
    }
    let run = table.runs.iter().nth(part - table.segments.len());
    run.map_or(Ok(None), |run| run.sample(&table.schema.key, keys_max))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
    use arrow::datatypes::Int64Type;

    use super::*;
    use crate::storage::index_sample::SampledKey;
    use crate::storage::store::Store;
    use crate::{Database, Options, TableDefinition};

    const ALL: SampleLimits = SampleLimits { parts_max: usize::MAX, keys_max: u32::MAX };

    fn integers(count: i64) -> Vec<i64> {
        // Neither even nor dense, and every key once.
        (0..count).map(|i| i * i * 3 - 50_000).collect()
    }

    fn batch(keys: &[i64], as_text: bool) -> RecordBatch {
        let key: ArrayRef = match as_text {
            true => Arc::new(StringArray::from_iter_values(keys.iter().map(|key| name(*key)))),
            false => Arc::new(Int64Array::from(keys.to_vec())),
        };
        let note: ArrayRef = Arc::new(Int64Array::from(keys.to_vec()));
        RecordBatch::try_from_iter([("note", note), ("id", key)]).unwrap()
    }

    fn name(key: i64) -> String {
        format!("user/{:09}", key + 50_000)
    }

    async fn database(keys: &[i64], as_text: bool, segment_rows_max: usize) -> Database {
        let blobs = Arc::new(object_store::memory::InMemory::new());
        let options = Options { row_group_rows: 700, segment_rows_max, ..Options::default() };
        let db = options.open_store(Store::object_store(blobs, "memory")).await.unwrap();
        let rows = batch(keys, as_text);
        let definition = TableDefinition::new("t", &rows.schema()).primary_key(["id"]);
        db.create_table(definition, false).await.unwrap();
        db.table("t").unwrap().insert(rows).await.unwrap();
        db
    }

    fn text_of(sample: &IndexSample) -> Vec<String> {
        let column = sample.columns[0].as_ref();
        match column.as_string_opt::<i32>() {
            Some(texts) => texts.iter().map(|text| text.unwrap().to_string()).collect(),
            None => {
                let keys = column.as_primitive::<Int64Type>();
                keys.values().iter().map(|key| name(*key)).collect()
            }
        }
    }

    /// Compares a sample with the sorted keys of its part, written as text.
    #[track_caller]
    fn check(sample: &IndexSample, part: &[String]) {
        assert_eq!((sample.rows as usize, sample.columns.len()), (part.len(), 1));
        assert_eq!(sample.columns[0].len(), sample.entries.len());
        for (entry, text) in sample.entries.iter().zip(text_of(sample)) {
            assert_eq!(part[entry.position as usize], text, "the key at {}", entry.position);
            let range = entry.range.start..=entry.range.end;
            assert!(range.contains(&entry.position), "{entry:?}");
            assert!(range.contains(&entry.predicted), "{entry:?}");
        }
        assert!(sample.entries.is_sorted_by(|a, b| a.position < b.position));
        assert!(sample.entries.is_sorted_by(|a, b| a.number <= b.number));
        assert!(sample.entries.last().unwrap().number > sample.entries[0].number);
        let errors = |e: &SampledKey| e.position.abs_diff(e.predicted);
        let mean = sample.entries.iter().map(errors).sum::<u32>() as usize / sample.entries.len();
        assert!(mean * 10 < part.len(), "predictions are {mean} off");
    }

    #[tokio::test]
    async fn samples_hold_keys_positions_and_predictions() {
        let keys = integers(2_500);
        for as_text in [false, true] {
            let db = database(&keys, as_text, 1_000).await;
            let texts: Vec<String> = keys.iter().map(|key| name(*key)).collect();
            // Too few rows in memory for an index.
            let in_memory = db.sample_indexes("t", ALL, &|_, _| {}).await.unwrap();
            assert!(in_memory.parts.is_empty() && in_memory.table.parts[0].kind == "run");

            db.compact().await.unwrap();
            let gone: Vec<i64> = keys.iter().copied().filter(|key| key % 4 == 0).collect();
            let table = db.table("t").unwrap();
            match as_text {
                true => table.delete(gone.iter().map(|key| name(*key))).await.unwrap(),
                false => table.delete(gone.iter().copied()).await.unwrap(),
            };
            let on_disk = db.sample_indexes("t", ALL, &|_, _| {}).await.unwrap();
            let rows: Vec<u64> =
                on_disk.parts.iter().map(|(at, _)| on_disk.table.parts[*at].rows).collect();
            assert_eq!(rows.iter().sum::<u64>(), 2_500);
            assert!(rows.is_sorted_by(|a, b| a >= b), "{rows:?}");
            // Deleted rows keep their positions, which is what the index was trained on.
            let deleted = on_disk.table.parts.iter().map(|part| part.deleted).sum::<u64>();
            assert_eq!(deleted, gone.len() as u64);
            let mut seen = HashSet::new();
            for (at, sample) in &on_disk.parts {
                assert!(sample.is_whole() && sample.page_rows.is_some());
                let texts_of_part = text_of(sample);
                let begin = texts.iter().position(|text| *text == texts_of_part[0]).unwrap();
                check(sample, &texts[begin..begin + on_disk.table.parts[*at].rows as usize]);
                seen.extend(texts_of_part);
            }
            assert_eq!(seen.len(), keys.len());
        }
    }

    #[tokio::test]
    async fn samples_are_bounded_and_progress_is_told() {
        let keys = integers(2_500);
        let texts: Vec<String> = keys.iter().map(|key| name(*key)).collect();
        let db = database(&keys, false, 1 << 20).await;
        db.compact().await.unwrap();
        let told = std::sync::Mutex::new(Vec::new());
        let progress = |done, total| told.lock().unwrap().push((done, total));
        let limits = SampleLimits { parts_max: 6, keys_max: 100 };
        let sample = db.sample_indexes("t", limits, &progress).await.unwrap();
        let (_, sample) = &sample.parts[0];
        assert!(!sample.is_whole() && (90..=110).contains(&sample.entries.len()));
        assert_eq!(sample.entries.last().unwrap().position, 2_499);
        check(sample, &texts);
        let told = told.into_inner().unwrap();
        assert!(told.is_sorted() && told.last() == Some(&(100, 100)), "{told:?}");
        let none = SampleLimits { parts_max: 0, ..limits };
        assert!(db.sample_indexes("t", none, &|_, _| {}).await.unwrap().parts.is_empty());
        let missing = db.sample_indexes("u", limits, &|_, _| {}).await;
        assert!(matches!(missing, Err(Error::NotFound(_))));
    }
}
