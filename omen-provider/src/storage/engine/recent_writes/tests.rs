//! What is noted is found, what is forgotten is said to be.

use super::*;

fn keys(values: &[u64]) -> Keys {
    let mut keys = Keys::new(Some(8));
    values.iter().for_each(|value| keys.push(&value.to_be_bytes()));
    keys
}

fn texts(values: &[&str]) -> Keys {
    let mut keys = Keys::new(None);
    values.iter().for_each(|value| keys.push(value.as_bytes()));
    keys
}

fn key(value: u64) -> Vec<u8> {
    value.to_be_bytes().to_vec()
}

#[test]
fn a_key_is_found_whichever_list_is_longer() {
    let written = Written::keys(keys(&[3, 7, 9]));
    assert_eq!(written.among(&keys(&[7])), Some(key(7)));
    assert_eq!(written.among(&keys(&[1, 2, 4, 5, 8, 9])), Some(key(9)));
    assert_eq!(written.among(&keys(&[1, 2, 4, 5, 8, 10])), None);
    assert_eq!(written.among(&keys(&[8])), None);
    let written = Written::keys(texts(&["b", "bb"]));
    assert_eq!(written.among(&texts(&["a", "bb", "c"])), Some(b"bb".to_vec()));
    assert_eq!(written.among(&texts(&["", "ba", "bbb"])), None);
}

#[test]
fn of_bulk_statements_the_range_is_kept() {
    let many: Vec<u64> = (100..100 + KEYS_BYTES_MAX as u64).map(|value| 2 * value).collect();
    let written = Written::keys(keys(&many));
    assert!(matches!(written, Written::Between(..)));
    assert!(written.bytes() < 1_000);
    assert_eq!(written.among(&keys(&[7, 301])), Some(key(301)), "it may have been written");
    assert_eq!(written.among(&keys(&[7, u64::MAX])), None);
    assert_eq!(Written::All.among(&keys(&[7])), Some(key(7)));
    assert_eq!(Written::All.among(&keys(&[])), None);
}

#[test]
fn only_what_came_later_counts_and_only_of_the_table() {
    let mut recent = RecentWrites::new(10);
    recent.note(12, vec![(1, Written::keys(keys(&[1]))), (2, Written::keys(keys(&[2])))]);
    recent.note(15, vec![(1, Written::All)]);
    let count = |lsn, table| recent.since(lsn, table).map(|written| written.len());
    assert_eq!(count(10, 1), Some(2));
    assert_eq!(count(12, 1), Some(1));
    assert_eq!(count(15, 1), Some(0));
    assert_eq!(count(11, 2), Some(1));
    assert_eq!(count(11, 3), Some(0));
    assert_eq!(count(9, 3), None, "before the first note");
}

#[test]
fn notes_are_bounded_and_what_is_forgotten_is_known() {
    let mut recent = RecentWrites::new(0);
    let long: Vec<u64> = (0..KEYS_BYTES_MAX as u64 / 8).collect();
    for lsn in 1..=100 {
        recent.note(lsn, vec![(1, Written::keys(keys(&long)))]);
        assert!(recent.bytes <= BYTES_MAX);
    }
    let kept = recent.notes.len() as u64;
    assert!((10..20).contains(&kept), "{kept}");
    assert!(recent.since(99 - kept, 1).is_none());
    assert_eq!(recent.since(100 - kept, 1).map(|written| written.len()), Some(kept as usize));
}

#[test]
fn more_is_kept_while_there_are_transactions() {
    let kept = |watches| {
        let mut recent = RecentWrites::new(0);
        recent.watches = watches;
        let long: Vec<u64> = (0..KEYS_BYTES_MAX as u64 / 8).collect();
        for lsn in 1..=100 {
            recent.note(lsn, vec![(1, Written::keys(keys(&long)))]);
        }
        recent.notes.len()
    };
    assert!(kept(1) > 3 * kept(0), "{} and {}", kept(1), kept(0));
}
