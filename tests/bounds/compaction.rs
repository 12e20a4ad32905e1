//! A compaction task has windows of its inputs in memory, however large they are: what it has read
//! and not written yet is bounded.
//!
//! Rows hold nothing that compresses, so that output has as many bytes as the input that it stands
//! for; a store that counts both sees how far reading is ahead.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;
use bytes::Bytes;
use omen_provider::store::{BlobInfo, BlobWriter, Blobs, Store};
use omen_provider::{Options, Result, TableDefinition};

use crate::harness::media::Medium;
use crate::harness::{assert_sound, block_on_without_background};

const MIB: i64 = 1 << 20;
const NOTE_BYTES: usize = 1000;
/// Rows of a row group, which has 12 MB: each byte of the notes holds six bits.
const GROUP_ROWS: i64 = 16_384;
const GROUP_BYTES: i64 = GROUP_ROWS * NOTE_BYTES as i64 * 6 / 8;
/// Inputs of the task, of one row group each.
const INPUTS: i64 = 4;
/// Rows of a statement.
const BATCH_ROWS: i64 = 1024;
/// What is read of an input at once.
const WINDOW: i64 = 4 * MIB;
/// Small things: pages begun, batches on the way, where pages lie.
const REST: i64 = 3 * MIB;

/// Blobs, and by how many bytes reading is ahead of writing.
#[derive(Debug, Clone)]
struct Gauge {
    inner: Arc<dyn Blobs>,
    ahead: Arc<AtomicI64>,
    most: Arc<AtomicI64>,
    /// The most bytes that were read at once.
    largest: Arc<AtomicI64>,
}

struct GaugedWriter {
    inner: Box<dyn BlobWriter>,
    gauge: Gauge,
}

impl Gauge {
    fn read(&self, bytes: i64) {
        let ahead = self.ahead.fetch_add(bytes, SeqCst) + bytes;
        self.most.fetch_max(ahead, SeqCst);
        self.largest.fetch_max(bytes, SeqCst);
    }

    /// Forgets what was.
    fn reset(&self) {
        self.ahead.store(0, SeqCst);
        self.most.store(0, SeqCst);
        self.largest.store(0, SeqCst);
    }
}

#[async_trait]
impl BlobWriter for GaugedWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.gauge.ahead.fetch_sub(bytes.len() as i64, SeqCst);
        self.inner.write(bytes).await
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        self.inner.finish().await
    }
}

#[async_trait]
impl Blobs for Gauge {
    async fn put_if_absent(&self, name: &str, bytes: Bytes) -> Result<()> {
        self.inner.put_if_absent(name, bytes).await
    }

    async fn create(&self, name: &str) -> Result<Box<dyn BlobWriter>> {
        let inner = self.inner.create(name).await?;
        Ok(Box::new(GaugedWriter { inner, gauge: self.clone() }))
    }

    async fn read_ranges(&self, name: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.read(ranges.iter().map(|range| (range.end - range.start) as i64).sum());
        self.inner.read_ranges(name, ranges).await
    }

    async fn read(&self, name: &str) -> Result<Bytes> {
        let bytes = self.inner.read(name).await?;
        self.read(bytes.len() as i64);
        Ok(bytes)
    }

    async fn list(&self, folder: &str) -> Result<Vec<BlobInfo>> {
        self.inner.list(folder).await
    }

    async fn delete(&self, name: &str) -> Result<()> {
        self.inner.delete(name).await
    }

    async fn clean(&self) -> Result<()> {
        self.inner.clean().await
    }
}

/// Text that does not compress.
fn noise(state: &mut u64) -> String {
    let mut text = Vec::with_capacity(NOTE_BYTES + 10);
    while text.len() < NOTE_BYTES {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        let mixed = *state ^ *state >> 29;
        text.extend((0..10).map(|i| 48 + (mixed >> (6 * i) & 63) as u8));
    }
    String::from_utf8(text).unwrap()
}

/// Rows with every fourth key, the first one `first`.
fn batch(first: i64, noises: &mut u64) -> RecordBatch {
    let columns = [("id", DataType::Int64), ("note", DataType::Utf8)];
    let fields = columns.map(|(name, kind)| Field::new(name, kind, false));
    let ids = Int64Array::from_iter_values((0..BATCH_ROWS).map(|i| first + INPUTS * i));
    let notes = StringArray::from_iter_values((0..BATCH_ROWS).map(|_| noise(noises)));
    let schema = Arc::new(Schema::new(fields.to_vec()));
    RecordBatch::try_new(schema, vec![Arc::new(ids), Arc::new(notes)]).unwrap()
}

#[test]
fn compaction_holds_windows_of_its_inputs() {
    let below = Medium::objects().store();
    let inner = below.blobs;
    let (ahead, most, largest) = Default::default();
    let gauge = Gauge { inner, ahead, most, largest };
    let store =
        Store { blobs: Arc::new(gauge.clone()), logs: below.logs, location: below.location };
    // Nothing is flushed but by request, and pages are not kept.
    let options = Options {
        memtable_bytes_max: 256 << 20,
        cache_bytes_max: 0,
        row_group_rows: GROUP_ROWS as usize,
        ..Options::default()
    };
    block_on_without_background(async {
        let database = options.open_store(store).await.unwrap();
        let schema = batch(0, &mut 0).schema();
        let definition = TableDefinition::new("t", &schema).primary_key(["id"]);
        database.create_table(definition, false).await.unwrap();
        let (table, mut noises) = (database.table("t").unwrap(), 1);
        for input in 0..INPUTS {
            for number in 0..GROUP_ROWS / BATCH_ROWS {
                let first = INPUTS * BATCH_ROWS * number + input;
                table.insert(batch(first, &mut noises)).await.unwrap();
            }
            database.checkpoint().await.unwrap();
        }
        gauge.reset();
        database.compact().await.unwrap();
        let (most, left) = (gauge.most.load(SeqCst), gauge.ahead.load(SeqCst));
        let largest = gauge.largest.load(SeqCst);
        let parts = &database.inspect().await.tables[0].parts;
        let bytes: u64 = parts.iter().map(|part| part.bytes).sum();
        println!("{most} bytes ahead at most, of {bytes}; {largest} read at once");
        // All was read once, and written.
        assert!(parts.len() == 1 && bytes as i64 > INPUTS * GROUP_BYTES, "{parts:?}");
        assert!(left.abs() < REST, "{left} bytes more were read than written");
        assert!(largest <= WINDOW, "{largest} bytes were read at once");
        let bound = INPUTS * WINDOW + GROUP_BYTES + REST;
        assert!(most <= bound, "{most} bytes were read ahead of writing");
        assert_sound(&database).await;
    });
}
