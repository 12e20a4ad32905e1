//! Statements done at the same time: there must be an order in which each has the answer it got,
//! and whoever looks in between must see what is between two of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use omen_provider::{Database, Snapshot};

use super::Outcome;
use super::case::do_write;
use super::reads::read_table;
use super::steps::{Beside, Write};
use super::world::{Answer, Content, World};

/// Snapshots that are taken in between.
const SEEN_MAX: usize = 4;

/// Does the statements; returns what the database holds then.
pub async fn run(
    database: &Database,
    world: &World,
    writes: &[Write],
    beside: Beside,
) -> Result<World, String> {
    let done = Arc::new(AtomicBool::new(false));
    let watching = tokio::spawn(watch(database.clone(), Arc::clone(&done)));
    let upkeep = tokio::spawn(keep_up(database.clone(), beside));
    // Tables that none of them names stay as they are.
    let mut before = world.clone();
    before.tables.retain(|name, _| writes.iter().any(|write| write.table == *name));
    let known = Arc::new(before.clone());
    let tasks = writes.iter().cloned().map(|write| {
        let (database, known) = (database.clone(), Arc::clone(&known));
        tokio::spawn(async move { do_write(&database, &known, &write).await })
    });
    let mut answers = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        answers.push(task.await.map_err(|e| e.to_string())?);
    }
    upkeep.await.map_err(|e| e.to_string())??;
    done.store(true, SeqCst);
    let mut seen = watching.await.map_err(|e| e.to_string())?;
    seen.push(database.snapshot());
    let mut states = Vec::new();
    for snapshot in &seen {
        states.push(read_world(snapshot, &before).await?);
    }
    let found = orders(writes.len()).into_iter().find_map(|order| {
        let states_after = replay(&before, writes, &order, &answers)?;
        explains(&states_after, &states).then(|| states_after.last().cloned()).flatten()
    });
    let after =
        found.ok_or_else(|| format!("no order of the statements explains {answers:?}, as seen"))?;
    let mut world = world.clone();
    world.tables.extend(after.tables);
    Ok(world)
}

/// Takes snapshots, a new one for each state that is seen.
async fn watch(database: Database, done: Arc<AtomicBool>) -> Vec<Snapshot> {
    let mut seen = vec![database.snapshot()];
    while !done.load(SeqCst) {
        let now = database.snapshot();
        if seen.len() < SEEN_MAX && seen.last().is_none_or(|last| last.lsn() != now.lsn()) {
            seen.push(now);
        }
        tokio::task::yield_now().await;
    }
    seen
}

async fn keep_up(database: Database, beside: Beside) -> Outcome {
    match beside {
        Beside::Nothing => Ok(()),
        Beside::Checkpoint => database.checkpoint().await.map_err(|e| e.to_string()),
        Beside::Compaction => database.compact().await.map_err(|e| e.to_string()),
    }
}

/// All of a snapshot, whose tables are those of `world`.
async fn read_world(snapshot: &Snapshot, world: &World) -> Result<World, String> {
    let mut found = World::default();
    for (name, content) in &world.tables {
        let rows = Arc::new(read_table(snapshot, name, content.kind).await?);
        found.tables.insert(name.clone(), Content { kind: content.kind, rows });
    }
    Ok(found)
}

/// The states that an order of the statements goes through, if it gives these answers.
fn replay(
    world: &World,
    writes: &[Write],
    order: &[usize],
    answers: &[Answer],
) -> Option<Vec<World>> {
    let mut states = vec![world.clone()];
    for &index in order {
        let mut next = states.last()?.clone();
        if next.apply(&writes[index]) != answers[index] {
            return None;
        }
        states.push(next);
    }
    Some(states)
}

/// Whether `seen` are states of `states`, in their order, the last the last.
fn explains(states: &[World], seen: &[World]) -> bool {
    let mut rest = states.iter().peekable();
    for state in seen {
        while rest.peek().is_some_and(|next| *next != state) {
            rest.next();
        }
        if rest.peek().is_none() {
            return false;
        }
    }
    states.last() == seen.last()
}

/// All orders of `count` things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let mut orders = vec![Vec::new()];
    for next in 0..count {
        let extend = |order: Vec<usize>| {
            (0..=order.len()).map(move |at| {
                let mut longer = order.clone();
                longer.insert(at, next);
                longer
            })
        };
        orders = orders.into_iter().flat_map(extend).collect();
    }
    orders
}
