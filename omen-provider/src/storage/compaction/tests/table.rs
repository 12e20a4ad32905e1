//! Versions of a table and what is picked of them.

use super::super::parts::{Part, Parts};
use super::super::picker::{CompactionOptions, due, everything};

/// Rows of a full segment.
const FULL: u64 = 1000;

/// A segment: smallest key, largest key, live rows, dead rows. Rows are spread evenly.
type Made = (u32, u32, u64, u64);

pub(super) fn options(segment_rows_max: u64) -> CompactionOptions {
    CompactionOptions {
        segment_rows_max: segment_rows_max as usize,
        segment_bytes_max: usize::MAX / 4,
        set_aside: Vec::new(),
        last: None,
    }
}

/// What is picked of `segments`, as indices into them, ascending; and of everything.
fn picked(segments: &[Made]) -> (Option<Vec<u64>>, Option<Vec<u64>>) {
    let keys: Vec<_> = segments.iter().map(|s| (s.0.to_be_bytes(), s.1.to_be_bytes())).collect();
    let made = keys.iter().zip(segments).enumerate();
    let parts = made.map(|(file, (keys, (min, max, live, dead)))| Part {
        file: file as u64,
        min: &keys.0,
        max: &keys.1,
        live: *live,
        dead: *dead,
        bytes: live + dead,
        impaired: false,
        outdated: false,
        rank: Box::new(move |key| {
            let key = u64::from(u32::from_be_bytes(key.try_into().unwrap()));
            let (min, max) = (u64::from(*min), u64::from(*max));
            (key.clamp(min, max) - min) * live / (max - min).max(1)
        }),
    });
    let parts = Parts::new(parts.collect());
    let files = |members: Vec<usize>| {
        let mut files: Vec<u64> = members.iter().map(|&at| parts.all()[at].file).collect();
        files.sort_unstable();
        files
    };
    let all: Vec<u64> = (0..segments.len() as u64).collect();
    let options = options(FULL);
    (due(&parts, &options).map(files), everything(&parts, &options, &all).map(files))
}

#[test]
fn versions_and_what_is_picked_of_them() {
    // A name, the segments, what is due, what there is to do before nothing is left to do.
    type Case = (&'static str, Vec<Made>, Option<Vec<u64>>, Option<Vec<u64>>);
    let full = |from: u32| (from * 100, from * 100 + 99, FULL, 0);
    let fulls = |n: u32| (0..n).map(full).collect::<Vec<Made>>();
    let and = |mut segments: Vec<Made>, more: &[Made]| {
        segments.extend(more);
        segments
    };
    let some = |files: &[u64]| Some(files.to_vec());
    let cases: Vec<Case> = vec![
        ("nothing", vec![], None, None),
        ("one small segment", vec![(0, 9, 5, 0)], None, None),
        ("one full segment", fulls(1), None, None),
        ("a thousand full disjoint segments", fulls(1000), None, None),
        ("one dead row of many", and(fulls(9), &[(900, 999, 999, 1)]), None, some(&[9])),
        ("a third dead", and(fulls(1), &[(900, 999, 666, 333)]), None, some(&[1])),
        ("more than a third dead", and(fulls(1), &[(900, 999, 660, 340)]), some(&[1]), some(&[1])),
        ("all dead", vec![(0, 99, 0, 50)], some(&[0]), some(&[0])),
        (
            "the most worn first",
            vec![(0, 9, 60, 40), (10, 19, 10, 90), (20, 29, 50, 50)],
            some(&[1]),
            some(&[1]),
        ),
        ("two small neighbours", vec![(0, 9, 5, 0), (10, 19, 5, 0)], None, some(&[0, 1])),
        (
            "four small neighbours",
            (0..4).map(|i| (i * 10, i * 10 + 9, 50, 0)).collect(),
            some(&[0, 1, 2, 3]),
            some(&[0, 1, 2, 3]),
        ),
        (
            "small ones that a full one parts",
            vec![(0, 9, 5, 0), full(1), (300, 309, 5, 0), full(4), (600, 601, 2, 0)],
            None,
            None,
        ),
        (
            "three small ones beside one that has more rows than they have together",
            vec![(0, 9, 5, 0), (10, 19, 5, 0), (20, 29, 5, 0), (30, 39, 400, 0)],
            None,
            some(&[0, 1, 2]),
        ),
        (
            "a tenth of the rows over full segments",
            and(fulls(8), &[(0, 799, 800, 0)]),
            None,
            some(&[0, 1, 2, 3, 4, 5, 6, 8]),
        ),
        (
            "a quarter of the rows over full segments",
            and(fulls(4), &[(0, 399, 1000, 0)]),
            some(&[0, 1, 2, 3, 4]),
            some(&[0, 1, 2, 3, 4]),
        ),
        (
            "a few rows, dense, over one full segment",
            and(fulls(3), &[(110, 111, 200, 0)]),
            None,
            some(&[1, 3]),
        ),
        (
            "four segments over many full ones",
            and(fulls(50), &[(0, 4999, 100, 0); 4]),
            some(&[50, 51, 52, 53]),
            some(&[50, 51, 52, 53]),
        ),
        (
            "three segments over many full ones",
            and(fulls(50), &[(0, 4999, 100, 0); 3]),
            None,
            some(&[50, 51, 52]),
        ),
        (
            "four segments over many full ones, one far larger",
            and(fulls(50), &[(0, 4999, 900, 0), (0, 4999, 9, 0), (0, 4999, 9, 0), (0, 4999, 9, 0)]),
            None,
            some(&[51, 52, 53]),
        ),
        (
            "four small segments in gaps of a larger one",
            and(
                fulls(3),
                &[(110, 111, 9, 0), (120, 121, 9, 0), (130, 131, 9, 0), (140, 141, 9, 0)],
            ),
            some(&[3, 4, 5, 6]),
            some(&[1, 3, 4, 5, 6]),
        ),
        (
            "twenty segments over many full ones",
            and(fulls(50), &[(0, 4999, 10, 0); 20]),
            some(&[50, 51, 52, 53, 54, 55, 56, 57]),
            some(&[50, 51, 52, 53, 54, 55, 56, 57]),
        ),
        (
            "a row of segments, each over the edge of the next",
            (0..20).map(|i| (i * 90, i * 90 + 95, FULL, 0)).collect(),
            some(&[0, 1]),
            some(&[0, 1]),
        ),
    ];
    for (name, segments, expected_due, expected_everything) in cases {
        let (due, everything) = picked(&segments);
        assert_eq!(due, expected_due, "due: {name}");
        assert_eq!(everything, expected_everything, "everything: {name}");
    }
}
