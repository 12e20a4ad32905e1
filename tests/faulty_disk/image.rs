//! What is left on the disk after a power cut.

use super::{Log, Seeded, State};

/// How the unsynced part of a log fares.
#[derive(Clone, Copy)]
enum Tail {
    /// All of it is lost.
    Lost,
    /// All of it had been written back.
    Kept,
    /// A beginning of it was.
    Beginning,
    /// Any pieces of it were, in any order.
    Pieces,
}

/// The state of a new disk with what survives of `state`.
pub(super) fn after_power_cut(state: &State, seeded: &mut Seeded) -> State {
    let mut image = State::default();
    for (name, bytes) in &state.blobs {
        if !state.unsure.contains(name) || seeded.coin() {
            image.blobs.insert(name.clone(), bytes.clone());
        }
    }
    for (name, bytes) in &state.deleted_blobs {
        if !image.blobs.contains_key(name) && seeded.coin() {
            image.blobs.insert(name.clone(), bytes.clone());
        }
    }
    let deleted = state.deleted_logs.iter().filter(|(name, _)| !state.logs.contains_key(*name));
    for (name, log) in state.logs.iter().chain(deleted) {
        let certain = state.logs.contains_key(name) && !state.unsure.contains(name);
        if certain || seeded.coin() {
            let live = surviving_bytes(log, seeded);
            let synced = live.len();
            let log = Log { live, synced, ..Log::default() };
            image.logs.insert(name.clone(), log);
        }
    }
    image
}

fn surviving_bytes(log: &Log, seeded: &mut Seeded) -> Vec<u8> {
    let mut bytes = log.live[..log.synced].to_vec();
    for hole in &log.holes {
        bytes[hole.clone()].fill(0);
    }
    let tail = [Tail::Lost, Tail::Kept, Tail::Beginning, Tail::Pieces][seeded.below(4) as usize];
    let pieces: Vec<_> = log.unsynced_pieces().collect();
    let beginning = seeded.below(pieces.len() as u64 + 1) as usize;
    for (index, piece) in pieces.into_iter().enumerate() {
        let survives = match tail {
            Tail::Lost => false,
            Tail::Kept => true,
            Tail::Beginning => index < beginning,
            Tail::Pieces => seeded.coin(),
        };
        if survives || log.kept.contains(&piece) {
            bytes.resize(piece.start, 0);
            bytes.extend_from_slice(&log.live[piece]);
        }
    }
    // The length may be written back before the bytes are.
    if seeded.coin() {
        bytes.resize(log.live.len(), 0);
    }
    bytes
}
