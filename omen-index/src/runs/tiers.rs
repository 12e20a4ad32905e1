//! Which runs to merge: those of one size.
//!
//! A run belongs to the tier of its size, each tier [`TIER_RUNS`] times the one before; when
//! [`TIER_RUNS`] runs share a tier, they become one run of a higher tier. So a key is copied once
//! per tier, and each tier leaves fewer than [`TIER_RUNS`] runs to look into.

/// Runs of one tier that are merged; also the ratio of sizes between tiers.
const TIER_RUNS: usize = 4;

/// The indices of runs (given by their lengths) that should become one, if any: those of the
/// lowest tier that is full.
pub fn merge_candidates(lengths: &[usize]) -> Option<Vec<usize>> {
    let tier = |length: usize| length.max(1).ilog(TIER_RUNS);
    let highest = lengths.iter().map(|&length| tier(length)).max()?;
    (0..=highest).find_map(|t| {
        let members: Vec<usize> = (0..lengths.len()).filter(|&i| tier(lengths[i]) == t).collect();
        (members.len() >= TIER_RUNS).then_some(members)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_tier_is_merged_and_others_are_left_alone() {
        assert_eq!(merge_candidates(&[]), None);
        assert_eq!(merge_candidates(&[1, 1, 1]), None);
        assert_eq!(merge_candidates(&[100, 1, 1, 1, 1]), Some(vec![1, 2, 3, 4]));
        assert_eq!(merge_candidates(&[5, 5, 5, 1, 5]), Some(vec![0, 1, 2, 4]));
    }
}
