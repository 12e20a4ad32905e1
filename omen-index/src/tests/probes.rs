//! Many random probes: a million in every run, as many as `PROBES` in the environment says.
//!
//! Every key, its neighbours and random values, on all distributions with a new seed each time.

use super::distributions::{self, ALL};
use crate::{Rmi, RmiBuilder};

#[test]
fn random_probes_find_what_binary_search_finds() {
    let wanted = std::env::var("PROBES").ok().and_then(|text| text.parse().ok());
    let wanted = wanted.unwrap_or(1_000_000u64);
    let (mut done, mut seed) = (0, wanted);
    while done < wanted {
        for distribution in ALL {
            seed += 1;
            let keys = distribution.keys(1 << (6 + seed % 12), seed);
            let probes = distributions::probes(&keys, seed);
            let index = Rmi::train(&keys).unwrap();
            let mut positions = vec![0; probes.len()];
            index.lower_bound_batch(&keys, &probes, &mut positions);
            for (&probe, &found) in probes.iter().zip(&positions) {
                let lower = keys.partition_point(|&key| key < probe);
                let range = index.search_range(probe);
                let here = || format!("{probe} among {distribution:?} of seed {seed}");
                assert!(found == lower && index.lower_bound(&keys, probe) == lower, "{}", here());
                assert!(range.start <= lower && lower <= range.end, "{range:?}: {}", here());
            }
            done += probes.len() as u64;
        }
    }
    println!("{done} probes");
}

/// Batches of any length make the index that single keys make.
#[test]
fn builder_takes_batches_of_any_length() {
    for (seed, distribution) in (1..).zip(ALL) {
        let keys = distribution.keys(30_000, seed);
        let mut builder = RmiBuilder::new();
        let mut random = distributions::Random(seed);
        let mut rest = keys.as_slice();
        while !rest.is_empty() {
            let len = (random.below(9_000) as usize).min(rest.len());
            let (batch, after) = rest.split_at(len);
            builder.extend_from_slice(batch).unwrap();
            rest = after;
        }
        assert_eq!(builder.finish().unwrap(), Rmi::train(&keys).unwrap());
    }
}

/// Every set of up to four of 64 keys, every probe; with `EXHAUSTIVE=3`, of up to three of 256.
#[test]
fn every_small_set_of_keys_and_every_probe() {
    let deep = std::env::var("EXHAUSTIVE").ok().and_then(|text| text.parse().ok());
    let (domain, len_max) = deep.map_or((64, 4), |len_max: usize| (256, len_max));
    let mut keys = Vec::new();
    let mut checked = 0u64;
    visit(domain, len_max, 0, &mut keys, &mut checked);
    println!("{checked} lookups");
}

fn visit(domain: u64, len_max: usize, from: u64, keys: &mut Vec<u64>, checked: &mut u64) {
    let index = Rmi::train(keys).unwrap();
    let mut lower = 0;
    for probe in 0..=domain {
        lower += usize::from(lower < keys.len() && keys[lower] < probe);
        let range = index.search_range(probe);
        assert!(range.start <= lower && lower <= range.end, "{probe} in {keys:?}");
        assert_eq!(index.lower_bound(keys, probe), lower, "{probe} in {keys:?}");
        *checked += 1;
    }
    if keys.len() < len_max {
        for key in from..domain {
            keys.push(key);
            visit(domain, len_max, key + 1, keys, checked);
            keys.pop();
        }
    }
}
