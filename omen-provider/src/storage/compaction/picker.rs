//! Which segments to compact next. Pure: a version in, a task out. A task has at most
//! [`INPUTS_MAX`] inputs, none larger than a full segment, so the work, the memory and the disk
//! that one takes are bounded; each is published on its own.
//!
//! In this order, tables in turn:
//!
//! 1. **Worn**: a segment with more than one dead row in [`DEAD_SHARE`], or a damaged index, is
//!    rewritten.
//! 2. **Down**: a segment is merged with the segments that it overlaps and that are denser where
//!    they do, if neither has more than [`FANOUT`] times the rows of the other.
//! 3. **Together**: segments over one key are merged, if there are [`FANOUT`] of them and each has
//!    at least as many rows of the others in its range as it has itself.
//! 4. **Joined**: neighbours that are less than half full are merged, if there are [`FANOUT`] of
//!    them, none has more rows than the others together, and they overlap nothing but segments in
//!    whose range all of them lie.
//!
//! A full segment that overlaps nothing and has no dead rows is in none of these.
//!
//! **What rests.** Of segments that overlap, the smaller ones have few rows, and of more than
//! `FANOUT` segments over one key each has more rows there than all smaller ones together. So most
//! rows lie in disjoint segments, and a key in about `FANOUT + log2(n / m)` at most, of a table of
//! `n` rows flushed `m` at a time. A simulation watches over both.
//!
//! **What is written.** Flush writes a row once. Each time that a row is merged *together* or
//! *joined*, the rows around it at least double (and grow about `FANOUT`-fold, where segments are
//! of one size), so that happens at most `log2(n / m)` times. After it went *down* it is among the
//! densest of its range; the rows met there are at most `FANOUT` for each that came, whole segments
//! at the edges of the range included. A segment is worn when a third of it was written over or
//! deleted, so that costs two rows for each of these. Together at most `2 + FANOUT + log2(n / m)`
//! rows for each row written, and two for each deleted.
//!
//! **Why it ends.** Let the reach of a segment be how many keys, of whatever segment, lie within
//! its range. *Down* and *together* merge segments that hang together by overlaps into disjoint
//! ones within the same range: the sum of all reaches falls. *Worn* does not raise it and leaves
//! fewer dead rows or damaged indexes. So these three come to an end by themselves. *Joined* may
//! raise it, but at least doubles the segment around some rows, and the others, which share rows
//! out evenly, leave no row in a segment that is smaller than before and less than half full. So
//! there is an end of joining too, and no task without end unless rows come in.

use std::sync::Arc;

use super::parts::{Part, Parts};
use crate::storage::schema::TableId;
use crate::storage::version::{TableVersion, Version};

/// Inputs of a task, at most.
pub const INPUTS_MAX: usize = 8;
/// How many segments are merged at least, and how many rows may be rewritten for one that goes
/// down.
const FANOUT: usize = 4;
/// A segment with more than one dead row in this many is rewritten.
const DEAD_SHARE: u64 = 3;

/// What the picker goes by.
#[derive(Debug, Clone)]
pub struct CompactionOptions {
    /// Rows of a full segment.
    pub segment_rows_max: usize,
    /// Bytes of a full segment.
    pub segment_bytes_max: usize,
    /// File numbers of segments that are left alone, as if there were none of them: merging them
    /// failed, or somebody else's turn has come.
    pub set_aside: Vec<u64>,
    /// The table of the last task: the others come first.
    pub last: Option<TableId>,
}

/// Segments of one table to be merged into others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The table.
    pub table: TableId,
    /// File numbers of the inputs.
    pub segments: Vec<u64>,
    /// Bytes of the inputs.
    pub bytes: u64,
}

/// The most urgent task, if any.
pub fn pick(version: &Version, options: &CompactionOptions) -> Option<Task> {
    let tables = version.tables();
    let next = tables.partition_point(|t| options.last.is_some_and(|last| t.schema.id <= last));
    let (before, after) = tables.split_at(next);
    let pick = |table: &Arc<TableVersion>| {
        let parts = Parts::of(table, &options.set_aside);
        let members = due(&parts, options)?;
        Some(task(table, &parts, &members))
    };
    after.iter().chain(before).find_map(pick)
}

/// The next task on the way to disjoint segments without deleted rows, none of which is small
/// beside a small one; `None` if `table` is so already. `worn`: of which segments deleted rows are
/// to go, and columns that are not the table's any more.
pub fn pick_everything(
    table: &TableVersion,
    options: &CompactionOptions,
    worn: &[u64],
) -> Option<Task> {
    let parts = Parts::of(table, &options.set_aside);
    let members = everything(&parts, options, worn)?;
    Some(task(table, &parts, &members))
}

fn task(table: &TableVersion, parts: &Parts<'_>, members: &[usize]) -> Task {
    let inputs = || members.iter().map(|&member| &parts.all()[member]);
    let segments = inputs().map(|part| part.file).collect();
    Task { table: table.schema.id, segments, bytes: inputs().map(|part| part.bytes).sum() }
}

/// The members of the most urgent task.
pub(super) fn due(parts: &Parts<'_>, options: &CompactionOptions) -> Option<Vec<usize>> {
    let is_worn = |part: &Part<'_>| part.dead * DEAD_SHARE > part.live + part.dead;
    let stacks = parts.stacks();
    worn(parts, is_worn)
        .or_else(|| down(parts, &stacks))
        .or_else(|| together(parts, &stacks, FANOUT))
        .or_else(|| joined(parts, &stacks, options, FANOUT))
}

/// The members of the next task towards nothing to be done.
pub(super) fn everything(
    parts: &Parts<'_>,
    options: &CompactionOptions,
    of_interest: &[u64],
) -> Option<Vec<usize>> {
    let is_worn =
        |part: &Part<'_>| (part.dead > 0 || part.outdated) && of_interest.contains(&part.file);
    let stacks = parts.stacks();
    down(parts, &stacks)
        .or_else(|| together(parts, &stacks, 2))
        .or_else(|| leftmost(parts))
        .or_else(|| worn(parts, is_worn))
        .or_else(|| joined(parts, &stacks, options, 2))
        .or_else(|| small_neighbours(parts, &stacks, options))
}

/// The part to be rewritten alone that has the largest share of dead rows.
fn worn(parts: &Parts<'_>, is_worn: impl Fn(&Part<'_>) -> bool) -> Option<Vec<usize>> {
    let all = parts.all();
    let share = |&at: &usize| {
        let (dead, rows) = (all[at].dead, all[at].live + all[at].dead);
        (u128::from(dead) << 32) / u128::from(rows).max(1)
    };
    let mut found = (0..all.len()).filter(|&at| all[at].impaired || is_worn(&all[at]));
    let first = found.next()?;
    Some(vec![found.fold(first, |best, at| if share(&at) > share(&best) { at } else { best })])
}

/// A part and those below it: the ones that it overlaps and that have more rows where they do.
fn down(parts: &Parts<'_>, stacks: &[Vec<usize>]) -> Option<Vec<usize>> {
    let all = parts.all();
    let mut below = vec![Vec::new(); all.len()];
    for (at, stack) in stacks.iter().enumerate() {
        for &other in stack.iter().filter(|&&other| other != at) {
            let (rows, others) = (parts.rows_within(at, other), parts.rows_within(other, at));
            if others >= rows {
                below[at].push(other);
            }
            if rows >= others {
                below[other].push(at);
            }
        }
    }
    for members in &mut below {
        members.sort_unstable();
        members.truncate(INPUTS_MAX - 1);
    }
    let cost = |at: usize| below[at].iter().map(|&other| all[other].live).sum::<u64>();
    let is_near = |one: u64, other: u64| one <= other.saturating_mul(FANOUT as u64);
    let pays = |&at: &usize| {
        let (rows, cost) = (all[at].live, cost(at));
        !below[at].is_empty() && is_near(rows, cost) && is_near(cost, rows)
    };
    let best = (0..all.len()).filter(pays).min_by_key(|&at| (cost(at), at))?;
    let mut members = std::mem::take(&mut below[best]);
    members.push(best);
    Some(members)
}

/// The largest group over one key that doubles the rows around each member; of those, the cheapest.
fn together(parts: &Parts<'_>, stacks: &[Vec<usize>], least: usize) -> Option<Vec<usize>> {
    let live = |at: &usize| parts.all()[*at].live;
    let mut best: Option<(usize, u64, Vec<usize>)> = None;
    for stack in stacks.iter().filter(|stack| stack.len() >= least) {
        let mut by_size = stack.clone();
        by_size.sort_by_key(|at| (live(at), *at));
        for end in least..=by_size.len() {
            let window = &by_size[end.saturating_sub(INPUTS_MAX)..end];
            let group = doubled(parts, window);
            let rows: u64 = group.iter().map(live).sum();
            let is_better = best.as_ref().is_none_or(|(count, cost, _)| {
                group.len() > *count || group.len() == *count && rows < *cost
            });
            let count = group.len();
            if count >= least && is_better {
                best = Some((count, rows, group));
            }
            // Windows further on are not longer and have more rows.
            if count == INPUTS_MAX {
                break;
            }
        }
    }
    best.map(|(_, _, group)| group)
}

/// The largest group among `candidates` in whose ranges the rows at least double.
fn doubled(parts: &Parts<'_>, candidates: &[usize]) -> Vec<usize> {
    let mut group = candidates.to_vec();
    loop {
        let is_not = |at: &&usize| {
            let around: u64 = group.iter().map(|&other| parts.rows_within(other, **at)).sum();
            around < 2 * parts.all()[**at].live
        };
        let Some(&worst) = group.iter().filter(is_not).max_by_key(|at| parts.all()[**at].live)
        else {
            return group;
        };
        group.retain(|&at| at != worst);
        if group.len() < 2 {
            return Vec::new();
        }
    }
}

/// The first parts that hang together by overlaps.
fn leftmost(parts: &Parts<'_>) -> Option<Vec<usize>> {
    let all = parts.all();
    let mut members: Vec<usize> = Vec::new();
    let mut end: &[u8] = &[];
    for (at, part) in all.iter().enumerate() {
        if members.len() == INPUTS_MAX {
            break;
        }
        if members.is_empty() || part.min > end {
            if members.len() > 1 {
                break;
            }
            members.clear();
            end = part.max;
        }
        members.push(at);
        end = end.max(part.max);
    }
    (members.len() > 1).then_some(members)
}

/// Small neighbours: at least `least`, none of which has more rows than the others together. The
/// longest such row; of those, the cheapest.
fn joined(
    parts: &Parts<'_>,
    stacks: &[Vec<usize>],
    options: &CompactionOptions,
    least: usize,
) -> Option<Vec<usize>> {
    let live = |at: &usize| parts.all()[*at].live;
    let mut best: Option<(usize, u64, Vec<usize>)> = None;
    for row in small_rows(parts, stacks, options) {
        for length in least..=row.len().min(INPUTS_MAX) {
            for window in row.windows(length) {
                let rows: u64 = window.iter().map(live).sum();
                let largest = window.iter().map(live).max().unwrap_or(0);
                let is_better = best.as_ref().is_none_or(|(count, cost, _)| {
                    length > *count || length == *count && rows < *cost
                });
                if largest * 2 <= rows && is_better {
                    best = Some((length, rows, window.to_vec()));
                }
            }
        }
    }
    best.map(|(_, _, window)| window)
}

/// Any small neighbours.
fn small_neighbours(
    parts: &Parts<'_>,
    stacks: &[Vec<usize>],
    options: &CompactionOptions,
) -> Option<Vec<usize>> {
    let row = small_rows(parts, stacks, options).into_iter().find(|row| row.len() > 1)?;
    Some(row[..row.len().min(INPUTS_MAX)].to_vec())
}

/// Parts that are not half full, in rows of neighbours: all of a row lie within the same parts and
/// overlap nothing else.
fn small_rows(
    parts: &Parts<'_>,
    stacks: &[Vec<usize>],
    options: &CompactionOptions,
) -> Vec<Vec<usize>> {
    let all = parts.all();
    let is_small = |at: usize| {
        all[at].live * 2 < options.segment_rows_max as u64
            && all[at].live_bytes() * 2 < options.segment_bytes_max as u64
    };
    let mut others = vec![Vec::new(); all.len()];
    for (at, stack) in stacks.iter().enumerate() {
        for &before in stack.iter().filter(|&&before| before != at) {
            others[at].push(before);
            others[before].push(at);
        }
    }
    let mut rows: Vec<Vec<usize>> = vec![Vec::new()];
    for at in 0..all.len() {
        let fits = is_small(at) && others[at].iter().all(|&other| all[other].contains(&all[at]));
        others[at].sort_unstable();
        let goes_on = |row: &&mut Vec<usize>| row.last().is_none_or(|&l| others[l] == others[at]);
        match (fits, rows.last_mut().filter(goes_on)) {
            (true, Some(row)) => row.push(at),
            (true, None) => rows.push(vec![at]),
            (false, _) => rows.push(Vec::new()),
        }
    }
    rows
}
