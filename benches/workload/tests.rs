use super::{ALL, Gaps, MISS, Pool};
use crate::random::Random;

#[test]
fn every_workload_ascends_at_every_size_and_repeats_itself() {
    for workload in ALL {
        for count in [2, 1_000, 30_000] {
            // `keys` compares the count and the order.
            assert_eq!(workload.keys(count), workload.keys(count), "{}", workload.name);
        }
    }
}

#[test]
fn real_keys_are_all_different() {
    for (name, count) in super::real_sizes() {
        let workload = ALL.iter().find(|workload| workload.name == name);
        assert!(workload.is_some_and(|workload| workload.keys(count).len() == count));
    }
}

#[test]
fn probes_know_their_answers() {
    for workload in ALL {
        let keys = workload.keys(5_000);
        let mut random = Random::new(1);
        let mut present = Pool::present(&keys, 2_000, &mut random);
        let mut absent = Pool::absent(&keys, &Gaps::of(&keys), 2_000, &mut random);
        for _ in 0..2 {
            let probes = present.fresh(1_000);
            let found = |(key, &at): (&u64, &usize)| keys.get(at) == Some(key);
            assert!(probes.keys.iter().zip(probes.positions).all(found), "{}", workload.name);
            let probes = absent.fresh(1_000);
            let bound = |(&key, &at): (&u64, &usize)| {
                keys.partition_point(|&k| k < key) == at && keys.get(at) != Some(&key)
            };
            assert!(probes.keys.iter().zip(probes.positions).all(bound), "{}", workload.name);
        }
        assert!(keys.len() < MISS);
    }
}
