//! Segments whose keys are byte strings that agree in many bytes: found whatever the index says.

use omen_index::Rmi;
use omen_index::key::{common_prefix_len, model_key};

use super::super::index::{KeyIndex, KeyIndexBuilder};
use super::*;

/// A table of one key column of bytes, and rows of it.
fn bytes_table(keys: &[Vec<u8>]) -> (Arc<TableSchema>, RecordBatch, Keys) {
    let schema = table(vec![Field::new("id", DataType::Binary, false)], &[0]);
    let column: ArrayRef = Arc::new(BinaryArray::from_iter_values(keys));
    let (rows, keys) = sorted(&schema, vec![column]);
    (schema, rows, keys)
}

/// Keys that agree in 8, 16 and 24 bytes, end in zero bytes, or begin like others go on.
pub(super) fn hostile_keys(stem: &[u8], each: u32) -> Vec<Vec<u8>> {
    let mut keys = vec![vec![], vec![0], vec![0xFF; 40]];
    for shared in [0, 1, 7, 8, 9, 16, 24] {
        for fill in [0, b'a', 0xFF] {
            let head = [stem, &vec![fill; shared]].concat();
            keys.extend((0..each).map(|i| [&head[..], &i.to_be_bytes()].concat()));
            keys.extend((0..each / 9).map(|i| [&head[..], &vec![fill; i as usize]].concat()));
            keys.extend((0..each / 2).map(|i| [&head[..], &i.to_le_bytes(), b"end"].concat()));
        }
    }
    keys
}

fn open(store: &Store, schema: &Arc<TableSchema>, rows: &RecordBatch) -> Arc<Segment> {
    run(async {
        let record = write(store, schema, rows, &SMALL).await;
        Segment::open(store, &cache(), record, schema).await.unwrap()
    })
}

#[test]
fn keys_that_agree_in_many_bytes_are_found() {
    for (stem, each) in [(&b""[..], 90), (b"stem", 30), (b"\0\0\0\0\0\0\0\0\0\0", 90)] {
        let (schema, rows, keys) = bytes_table(&hostile_keys(stem, each));
        let segment = open(&memory().1, &schema, &rows);
        run(async {
            check_search(&segment, &keys).await;
            segment.verify().await.unwrap();
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn any_byte_keys_are_found(
        stems in prop::collection::vec(prop::collection::vec(
            prop_oneof![Just(0u8), Just(0xFF), Just(b'a'), any::<u8>()], 0..26), 1..4),
        rests in prop::collection::vec(
            (0usize..4, prop::collection::vec(any::<u8>(), 0..4)), 1..900),
    ) {
        let keys = rests.into_iter();
        let keys = keys.map(|(stem, rest)| [&stems[stem % stems.len()][..], &rest].concat());
        let keys: Vec<Vec<u8>> = keys.collect();
        let (schema, rows, keys) = bytes_table(&keys);
        let segment = open(&memory().1, &schema, &rows);
        run(async {
            check_search(&segment, &keys).await;
            segment.verify().await.unwrap();
        });
    }
}

/// `segment` with the index of other keys, as many.
fn misled(segment: &Segment, keys: &Keys, others: &Keys, fixed_width: Option<usize>) -> Segment {
    let sections = |keys: &Keys| {
        let bounds = (keys.get(0), keys.get(keys.len() - 1));
        let mut builder = KeyIndexBuilder::new((&bounds.0, &bounds.1), fixed_width);
        for index in (0..keys.len()).step_by(segment.layout.page_rows() as usize) {
            builder.push_fence(keys, index);
        }
        builder.push(keys).unwrap();
        builder.finish().unwrap()
    };
    let (index, _) = sections(others);
    let (_, fences) = sections(keys);
    let mut misled = KeyIndex::of_fences(&fences, fixed_width, &segment.layout).unwrap();
    misled.set_model(&index).unwrap();
    Segment { index: Arc::new(misled), ..segment.clone() }
}

/// As [`check_search`], but for what the index says.
async fn check_answers(segment: &Segment, keys: &Keys) {
    let stats = ReadStats::default();
    for probe in probes(keys) {
        let expected = keys.lower_bound_in(0..keys.len(), &probe) as u32;
        assert_eq!(segment.lower_bound(&probe, &stats).await.unwrap(), expected, "{probe:?}");
        let is_there = (expected as usize) < keys.len()
            && keys.compare_bytes(expected as usize, &probe).is_eq();
        let found = segment.find(&probe, &stats).await.unwrap();
        assert_eq!(found, is_there.then_some(expected), "{probe:?}");
    }
}

#[test]
fn every_key_is_found_without_an_index() {
    let numbers = table(vec![Field::new("id", DataType::Int64, false)], &[0]);
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values((0..900).map(|i| i * i)));
    let (number_rows, number_keys) = sorted(&numbers, vec![ids]);
    let (schema, rows, keys) = bytes_table(&hostile_keys(b"abc", 900));
    for (schema, rows, keys) in [(schema, rows, keys), (numbers, number_rows, number_keys)] {
        let (blobs, store) = memory();
        run(async {
            let record = write(&store, &schema, &rows, &SMALL).await;
            let name = record.file_name();
            blobs.0.lock().unwrap().get_mut(&name).unwrap()[record.tail_offset as usize + 20] ^= 1;
            let segment = Segment::open(&store, &cache(), record.clone(), &schema).await.unwrap();
            assert!(segment.is_impaired() && segment.index_stats().is_none());
            assert!(segment.fingerprints.is_none());
            check_answers(&segment, &keys).await;
            let stats = ReadStats::default();
            let core = record.core_offset..record.bytes;
            segment.read_bytes(std::slice::from_ref(&core), &stats).await.unwrap();
            let all = record.tail_offset..record.bytes;
            assert!(segment.read_bytes(std::slice::from_ref(&all), &stats).await.is_err());
        });
    }
}

#[test]
fn an_index_of_other_keys_misleads_no_search() {
    let text = Field::new("p", DataType::Utf8, false);
    let schema = table(vec![Field::new("id", DataType::Binary, false), text.clone()], &[0]);
    let numbers = table(vec![Field::new("id", DataType::UInt64, false), text], &[0]);
    for (schema, is_fixed) in [(schema, false), (numbers, true)] {
        let column = |factor: u64| -> ArrayRef {
            let keys = (0..700u64).map(|i| i * i * factor + 1_000);
            match is_fixed {
                true => Arc::new(UInt64Array::from_iter_values(keys)),
                false => Arc::new(BinaryArray::from_iter_values(
                    keys.map(|key| [&b"common prefix"[..], &key.to_be_bytes()].concat()),
                )),
            }
        };
        let (rows, keys) = sorted(&schema, vec![column(3), padding(700)]);
        let fixed_width = schema.codec().fixed_width();
        assert_eq!(fixed_width.is_some(), is_fixed);
        let segment = open(&memory().1, &schema, &rows);
        assert!(segment.layout.page_count() > 3);
        run(check_answers(&misled(&segment, &keys, &keys, fixed_width), &keys));
        let mut last = Keys::new(fixed_width);
        let mut first = Keys::new(fixed_width);
        for i in 0..700u64 {
            let width = fixed_width.unwrap_or(21);
            last.push(&[&[0xFF; 30][..], &(i + (0xFF << 56)).to_be_bytes()].concat()[38 - width..]);
            first.push(&[&[0; 30][..], &i.to_be_bytes()].concat()[38 - width..]);
        }
        let (_, squares) = sorted(&schema, vec![column(900), padding(700)]);
        for others in [&first, &last, &squares] {
            let segment = Arc::new(misled(&segment, &keys, others, fixed_width));
            run(check_answers(&segment, &keys));
            assert!(run(segment.verify()).is_err());
        }
    }
}

/// The file `name` with bytes replaced at `at`, sealed anew, and its record.
fn replaced(
    blobs: &Memory,
    record: &SegmentRecord,
    section: Option<usize>,
    at: usize,
    patch: &[u8],
) -> SegmentRecord {
    let mut files = blobs.0.lock().unwrap();
    let bytes = files.get_mut(&record.file_name()).unwrap();
    bytes[at..at + patch.len()].copy_from_slice(patch);
    if let Some(section) = section {
        let len = u32::from_le_bytes(*bytes[section + 4..].first_chunk().unwrap()) as usize;
        let end = section + 8 + len;
        let crc = crc32c::crc32c(&bytes[section..end]);
        bytes[end..end + 4].copy_from_slice(&crc.to_le_bytes());
    }
    sealed_anew(record, bytes)
}

#[test]
fn another_version_is_refused_by_name() {
    let (schema, rows, _) = bytes_table(&hostile_keys(b"", 9));
    let (blobs, store) = memory();
    run(async {
        let record = write(&store, &schema, &rows, &SMALL).await;
        let bytes = blobs.0.lock().unwrap()[&record.file_name()].clone();
        let name = b"omendb.format";
        let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
        let version = at + name.len() + 2;
        assert_eq!(&bytes[version - 1..version + 1], [1, b'3']);
        for other in [b"2", b"4"] {
            let record = replaced(&blobs, &record, None, version, other);
            let error = Segment::open(&store, &cache(), record, &schema).await.unwrap_err();
            let Error::InvalidInput(message) = &error else { panic!("{error}") };
            assert!(message.contains("segments/0000000000000007.parquet"), "{message}");
            assert!(message.contains("reads version 3"), "{message}");
        }
        let record = replaced(&blobs, &record, None, version, b"3");
        Segment::open(&store, &cache(), record, &schema).await.unwrap();
    });
}

#[test]
fn an_index_of_another_kind_is_damage() {
    let numbers = table(vec![Field::new("id", DataType::Int64, false)], &[0]);
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..500));
    let (number_rows, _) = sorted(&numbers, vec![ids]);
    let (schema, rows, _) = bytes_table(&hostile_keys(b"", 9));
    for (schema, rows, right) in [(schema, rows, 0u32), (numbers, number_rows, 8)] {
        let (blobs, store) = memory();
        run(async {
            let record = write(&store, &schema, &rows, &SMALL).await;
            let section = record.tail_offset as usize;
            for width in [0u32, 1, 4, 8, 9, u32::MAX] {
                let width = width.to_le_bytes();
                let record = replaced(&blobs, &record, Some(section), section + 8, &width);
                let segment = Segment::open(&store, &cache(), record, &schema).await;
                match segment {
                    Ok(_) => assert_eq!(width, right.to_le_bytes()),
                    Err(Error::Corruption { offset, .. }) => {
                        assert_ne!(width, right.to_le_bytes());
                        assert_eq!(offset as usize, section);
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        });
    }
}

/// Addresses of pages of 50 sites, 200,000 of them.
#[test]
fn addresses_have_a_small_and_sharp_index() {
    let count = 200_000;
    let schema = table(vec![Field::new("url", DataType::Utf8, false)], &[0]);
    let urls = (0..count as u64).map(|i| {
        let random = i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let (site, topic, page) = ((random >> 58) % 50, (random >> 40) % 30, random % 9_999_991);
        format!("https://www.example-{site:02}.org/topic-{topic}/article/{page}.html")
    });
    let column: ArrayRef = Arc::new(StringArray::from_iter_values(urls));
    let (rows, keys) = sorted(&schema, vec![column]);
    let shared = common_prefix_len(&keys.get(0), &keys.get(keys.len() - 1));
    let plain: Vec<u64> = (0..keys.len()).map(|i| model_key(&keys.get(i), shared)).collect();
    let plain = Rmi::train(&plain).unwrap().stats();
    let shape = Shape { row_group_rows: 1 << 17, batch_rows: 50_000, fingerprints: false };
    let segment = run(async {
        let (_, store) = memory();
        let record = write(&store, &schema, &rows, &shape).await;
        Segment::open(&store, &cache(), record, &schema).await.unwrap()
    });
    let stats = segment.index_stats().unwrap();
    for (name, stats) in [("eight bytes", plain), ("segment", stats)] {
        println!(
            "{name}: {} keys, {:.1} positions on average, {} at most, {:.3} bytes per key",
            stats.keys,
            stats.range_mean,
            stats.range_max,
            stats.bytes as f64 / stats.keys as f64
        );
    }
    assert!(stats.range_mean * 10.0 < plain.range_mean && stats.bytes < stats.keys / 3);
}
