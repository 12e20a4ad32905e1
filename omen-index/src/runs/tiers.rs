//! Which runs to merge: those of one size.
//!
//! A run belongs to the tier of its size, each tier [`TIER_RUNS`] times the one before; when
//! [`TIER_RUNS`] runs share a tier, they become one run of a higher tier. So a key is copied once
//! per tier, and each tier leaves fewer than [`TIER_RUNS`] runs to look into.

/// Runs of one tier that are merged; also the ratio of sizes between tiers.
const TIER_RUNS: usize = 4;

/// The indices of runs (given by their lengths) that should become one, if any: those of the
/// lowest tier that is full, with those of each higher tier that they fill.
pub(super) fn merge_candidates(lengths: &[usize]) -> Option<Vec<usize>> {
    let tier = |length: usize| length.max(1).ilog(TIER_RUNS);
    let members = |t: u32| (0..lengths.len()).filter(move |&i| tier(lengths[i]) == t);
    let highest = lengths.iter().map(|&length| tier(length)).max()?;
    let mut lowest = (0..=highest).find(|&t| members(t).count() >= TIER_RUNS)?;
    let mut chosen: Vec<usize> = members(lowest).collect();
    loop {
        let becomes = tier(chosen.iter().map(|&i| lengths[i]).sum());
        // The merged run will be one of that tier.
        if becomes == lowest || members(becomes).count() + 1 < TIER_RUNS {
            return Some(chosen);
        }
        chosen.extend(members(becomes));
        lowest = becomes;
    }
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
        assert_eq!(merge_candidates(&[4, 4, 1, 1, 1, 1]), Some(vec![2, 3, 4, 5]));
    }

    #[test]
    fn a_merge_that_fills_the_next_tier_takes_it_along() {
        assert_eq!(merge_candidates(&[4, 4, 4, 1, 1, 1, 1]), Some(vec![3, 4, 5, 6, 0, 1, 2]));
        assert_eq!(
            merge_candidates(&[16, 16, 4, 16, 4, 1, 4, 1, 1, 1]),
            Some(vec![5, 7, 8, 9, 2, 4, 6, 0, 1, 3])
        );
    }
}
