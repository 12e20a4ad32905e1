//! What indexes over byte strings of the usual kinds cost and how sharp they are, beside a model of
//! eight bytes of each key.

use std::cell::Cell;
use std::ops::Range;

use super::distributions::Random;
use crate::Rmi;
use crate::key::{ByteIndex, ByteIndexBuilder, common_prefix_len, encoding, gallop, model_key};

fn sorted(keys: impl Iterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = keys.collect();
    keys.sort();
    keys.dedup();
    keys
}

/// Pages of 50 sites of unequal size.
fn urls(count: u64) -> Vec<Vec<u8>> {
    let mut random = Random(7);
    sorted((0..count).map(|_| {
        let site = random.below(50).min(random.below(50));
        let (topic, page) = (random.below(30), random.below(40 * count));
        format!("https://www.example-{site:02}.org/topic-{topic}/article/{page}.html").into_bytes()
    }))
}

/// Files in folders in folders.
fn paths(count: u64) -> Vec<Vec<u8>> {
    let mut random = Random(8);
    let folders = ["application", "library", "documentation", "configuration", "tests", "archive"];
    sorted((0..count).map(|_| {
        let mut folder = || folders[random.below(6) as usize];
        let (a, b, c) = (folder(), folder(), folder());
        let file = random.below(100 * count);
        format!("/srv/projects/omen/{a}/current/{b}/version-2/{c}/file-{file:09}.dat").into_bytes()
    }))
}

/// (device, time) with 500 devices that report at about the same times.
fn composites(count: u64) -> Vec<Vec<u8>> {
    let mut random = Random(9);
    sorted((0..count).map(|i| {
        let mut key = Vec::new();
        let device = format!("sensor-{:04}", i % 500);
        encoding::put_bytes_terminated(&mut key, device.as_bytes());
        let time = 1_700_000_000_000_000 + (i / 500) * 60_000_000 + random.below(1_000_000);
        encoding::put_i64(&mut key, time as i64);
        key
    }))
}

/// Identifiers as text.
fn uuids(count: u64) -> Vec<Vec<u8>> {
    let mut random = Random(10);
    sorted((0..count).map(|_| {
        let (high, low) = (random.next(), random.next());
        let node = low & 0xFFFF_FFFF_FFFF;
        let text = format!("{:08x}-{:04x}-4{:03x}", high >> 32, high & 0xFFFF, high >> 16 & 0xFFF);
        format!("{text}-8{:03x}-{node:012x}", low >> 48 & 0xFFF).into_bytes()
    }))
}

fn build(keys: &[Vec<u8>]) -> ByteIndex {
    let mut builder = ByteIndexBuilder::new(common_prefix_len(&keys[0], &keys[keys.len() - 1]));
    keys.iter().for_each(|key| builder.push(key).unwrap());
    builder.finish().unwrap()
}

/// How many keys are compared to find one, on average.
fn mean_compared(keys: &[Vec<u8>], locate: impl Fn(&[u8]) -> (Range<usize>, usize)) -> f64 {
    let count = Cell::new(0u64);
    for (position, key) in keys.iter().enumerate() {
        let (range, hint) = locate(key);
        let found = gallop(keys.len(), range, hint, |at| {
            count.set(count.get() + 1);
            keys[at] < *key
        });
        assert_eq!(found, position);
    }
    count.get() as f64 / keys.len() as f64
}

#[test]
fn usual_keys_have_small_and_sharp_indexes() {
    let kinds = [
        ("urls", urls(100_000), 170.0),
        ("many urls", urls(400_000), 370.0),
        ("paths", paths(100_000), 500.0),
        ("composites", composites(100_000), 210.0),
        ("uuids", uuids(100_000), 120.0),
    ];
    for (name, keys, range_max) in kinds {
        let prefix_len = common_prefix_len(&keys[0], &keys[keys.len() - 1]);
        let plain_keys: Vec<u64> = keys.iter().map(|key| model_key(key, prefix_len)).collect();
        let plain = Rmi::train(&plain_keys).unwrap().stats();
        let index = build(&keys);
        let stats = index.stats();
        let hint_error = keys.iter().enumerate().map(|(i, key)| index.predict(key).abs_diff(i));
        let hint_error = hint_error.sum::<usize>() as f64 / keys.len() as f64;
        let eight = Rmi::train(&plain_keys).unwrap();
        let eight = mean_compared(&keys, |key| {
            let key = model_key(key, prefix_len);
            (eight.search_range(key), eight.predict(key))
        });
        let compares = mean_compared(&keys, |key| index.locate(key));
        let ranges = keys.iter().map(|key| index.search_range(key).len());
        let range_mean = ranges.sum::<usize>() as f64 / keys.len() as f64;
        let bytes = stats.bytes as f64 / keys.len() as f64;
        println!(
            "{name}: {} keys, {} models, {bytes:.3} bytes/key (eight bytes: {:.3}), range {:.1} \
             mean (eight bytes: {:.1}), {} at most (eight bytes: {}), hint off by {hint_error:.1}, \
             {compares:.1} compared (eight bytes: {eight:.1})",
            keys.len(),
            index.models(),
            plain.bytes as f64 / keys.len() as f64,
            range_mean,
            plain.range_mean,
            stats.range_max,
            plain.range_max,
        );
        assert_eq!(index.to_bytes().len(), stats.bytes);
        assert!(bytes <= 0.30, "{name}: {bytes} bytes per key");
        assert!(range_mean <= range_max, "{name}: {range_mean}");
        // An estimate, where runs are listed.
        let estimate = stats.range_mean / range_mean;
        assert!((0.5..=2.0).contains(&estimate), "{name}: {estimate} of {range_mean}");
        assert!(compares <= 10.0, "{name}: {compares} compared");
    }
}
