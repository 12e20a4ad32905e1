use proptest::prelude::*;

use super::*;

/// Few letters, zeros and long beginnings in common, so that many keys are alike.
fn key() -> impl Strategy<Value = Vec<u8>> {
    let letters = prop::collection::vec(prop_oneof![Just(0), Just(7), Just(255)], 0..14);
    (any::<bool>(), letters).prop_map(|(is_long, letters)| match is_long {
        true => [b"a long beginning".to_vec(), letters].concat(),
        false => letters,
    })
}

fn list(keys: &[Vec<u8>]) -> ByteKeys {
    let mut list = ByteKeys::new();
    keys.iter().for_each(|key| list.push(key));
    list
}

proptest! {
    #[test]
    fn lists_are_sorted_and_merged(
        lists in prop::collection::vec(prop::collection::vec(key(), 1..200), 1..6),
        probes in prop::collection::vec(key(), 1..50),
    ) {
        // Each key's own hash tells that it has kept its value.
        let value = |key: &Vec<u8>| fingerprints::hash(key);
        let with_values = |keys: &Vec<Vec<u8>>| -> Sorted<ByteKeys> {
            (list(keys), keys.iter().map(value).collect())
        };
        let given: Vec<Sorted<ByteKeys>> = lists.iter().map(with_values).collect();
        let sorted_each: Vec<Sorted<ByteKeys>> =
            given.iter().map(|one| ByteKeys::sort(std::slice::from_ref(one))).collect();
        let parts = sorted_each.iter().map(|(keys, values)| Part::all(keys, values)).collect();
        let mut expected: Vec<Vec<u8>> = lists.concat();
        expected.sort();
        for (keys, values) in [ByteKeys::sort(&given), ByteKeys::merge(parts)] {
            prop_assert!(keys.iter().eq(expected.iter()));
            prop_assert!(values.iter().copied().eq(expected.iter().map(value)));
            let index = keys.train();
            prop_assert!(index.is_some());
            let wanted: Vec<&[u8]> = probes.iter().map(Vec::as_slice).collect();
            for index in [index.as_ref(), None] {
                let mut positions = vec![0; wanted.len()];
                keys.lower_bound_batch(index, &wanted, &mut positions);
                for (probe, position) in wanted.iter().zip(positions) {
                    let first = expected.partition_point(|key| key.as_slice() < *probe);
                    prop_assert_eq!((keys.lower_bound(index, probe), position), (first, first));
                }
            }
        }
    }
}

#[test]
fn parts_of_lists_are_appended() {
    let words: Vec<Vec<u8>> = ["", "a", "bcd", "", "ef"].map(|w| w.as_bytes().to_vec()).into();
    let all = list(&words);
    for start in 0..=5 {
        for end in start..=5 {
            let mut joined = list(&words[3..]);
            joined.append(&all, start..end);
            assert_eq!(joined, list(&[&words[3..], &words[start..end]].concat()));
        }
    }
}
