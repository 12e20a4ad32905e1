use proptest::prelude::*;

use super::*;

const DATABASE: [u8; 16] = [7; 16];
const GENERATION: u64 = 0xFEED_BEEF_0BAD_CAFE;

/// A log file in the making.
struct Log {
    bytes: Vec<u8>,
    lsn: u64,
    generation: u64,
}

impl Log {
    fn new() -> Self {
        let header = LogHeader {
            database: DATABASE,
            epoch: 1,
            number: 1,
            generation: GENERATION,
            first_lsn: 1,
        };
        Self { bytes: header.encode().to_vec(), lsn: 1, generation: GENERATION }
    }

    fn frame(&mut self, kind: u8, payload: &[u8]) -> u32 {
        self.lsn += 1;
        frame::encode(kind, self.generation, self.lsn - 1, &[payload], &mut self.bytes).unwrap()
    }

    fn put(&mut self, bytes: usize) -> u32 {
        // As a power cut would leave them.
        let rows = Bytes::from(vec![0; bytes]);
        let op = Op::Put { table: 1, fresh: false, rows };
        let (head, body) = op.payload();
        self.frame(op.kind(), &[&head, body].concat())
    }

    /// A statement with one put, written when everything up to `durable_lsn` was durable.
    fn statement(&mut self, bytes: usize, durable_lsn: u64) -> &mut Self {
        let first_lsn = self.lsn;
        let crc = crc32c::crc32c(&self.put(bytes).to_le_bytes());
        let commit = Commit { first_lsn, frames: 1, crc, accepted_ms: 5, durable_lsn };
        self.frame(KIND_COMMIT, &commit.encode());
        self
    }

    fn seal(&mut self) -> &mut Self {
        let seal = Seal { next: None, durable_lsn: self.lsn - 1 };
        self.frame(KIND_SEAL, &seal.encode());
        self
    }

    fn read(&self) -> Result<LogContents> {
        read(&self.bytes)
    }
}

fn read(bytes: &[u8]) -> Result<LogContents> {
    read_log(1, &DATABASE, &Bytes::copy_from_slice(bytes))
}

fn lsns(contents: &LogContents) -> Vec<u64> {
    contents.statements.iter().map(|statement| statement.lsn).collect()
}

fn corrupt_at<T: std::fmt::Debug>(result: Result<T>, at: usize) {
    match result {
        Err(Error::Corruption { path, offset, .. }) => {
            assert_eq!((path, offset), (log_name(1), at as u64));
        }
        other => panic!("expected corruption, found {other:?}"),
    }
}

#[test]
fn torn_tail_is_not_corruption() {
    let mut log = Log::new();
    let mut ends = vec![(log.bytes.len(), 0)];
    for count in 1..=3 {
        log.statement(100, 0);
        ends.push((log.bytes.len(), count));
    }
    for cut in LogHeader::BYTES..=log.bytes.len() {
        let contents = read(&log.bytes[..cut]).unwrap();
        let (end, count) = *ends.iter().rfind(|(end, _)| *end <= cut).unwrap();
        assert_eq!(contents.statements.len(), count, "cut at {cut}");
        let zeros = log.bytes[end..cut].iter().rev().take_while(|byte| **byte == 0).count();
        assert_eq!(contents.dropped_tail_bytes(), (cut - zeros - end) as u64);
        assert_eq!(contents.next_lsn, 1 + 2 * count as u64);
    }
    for cut in 0..LogHeader::BYTES {
        corrupt_at(read(&log.bytes[..cut]), 0);
    }
}

#[test]
fn every_flipped_byte_is_found() {
    for (sealed, zeros) in [(false, 0), (true, 0), (false, 4096)] {
        let mut log = Log::new();
        log.statement(50, 0).statement(1600, 2).statement(700, 4);
        if sealed {
            log.seal();
        }
        for at in 0..log.bytes.len() {
            let mut flipped = log.bytes.clone();
            flipped.extend(vec![0; zeros]);
            flipped[at] ^= 0x40;
            let result = read(&flipped);
            assert!(matches!(result, Err(Error::Corruption { .. })), "flip at {at}: {result:?}");
        }
    }
}

#[test]
fn sectors_missing_from_the_last_group_are_a_torn_tail() {
    let mut log = Log::new();
    log.statement(700, 0);
    let synced = log.bytes.len();
    // One group: all three say the same.
    log.statement(2000, 2).statement(10, 2).statement(700, 2);
    let sectors = log.bytes.len().div_ceil(SECTOR_BYTES);
    for lost in synced / SECTOR_BYTES..sectors {
        let mut torn = log.bytes.clone();
        let start = (lost * SECTOR_BYTES).max(synced);
        let end = ((lost + 1) * SECTOR_BYTES).min(torn.len());
        torn[start..end].fill(0);
        let contents = read(&torn).unwrap();
        assert_eq!(contents.statements[0].lsn, 2);
        assert!(contents.statements.len() < 4, "lost sector {lost}");
    }
}

#[test]
fn sector_missing_under_a_later_group_is_damage() {
    let mut log = Log::new();
    log.statement(100, 0);
    let at = log.bytes.len();
    log.statement(2000, 2).statement(100, 4);
    log.bytes[1024..1536].fill(0);
    corrupt_at(log.read(), at);
    // The same without the later group could be a tear.
    let mut log = Log::new();
    log.statement(100, 0).statement(2000, 2).statement(100, 2);
    log.bytes[1024..1536].fill(0);
    assert_eq!(lsns(&log.read().unwrap()), [2]);
}

#[test]
fn lost_commit_of_a_group_that_a_later_one_calls_durable_is_damage() {
    let mut log = Log::new();
    // The commit frame of the first statement begins with a sector.
    log.statement(1024 - LogHeader::BYTES - 41, 0).statement(2000, 2);
    assert!(matches!(frame::decode(&log.bytes[1024..]), FrameResult::Frame(_)));
    log.bytes[1024..1536].fill(0);
    corrupt_at(log.read(), 1024);
}

/// Headers all over the file, each of a record as long as can be.
#[test]
fn a_file_made_to_be_read_for_hours_is_refused_at_once() {
    let mut log = Log::new();
    log.statement(10, 0);
    let end = log.bytes.len();
    log.bytes.push(1);
    let mut record = Vec::new();
    frame::encode(KIND_COMMIT, GENERATION, 100, &[&vec![7; 4 << 20]], &mut record).unwrap();
    for _ in 0..100_000 {
        log.bytes.extend_from_slice(&record[..frame::HEADER_BYTES]);
    }
    log.bytes.extend_from_slice(&record[..5 << 19]);
    corrupt_at(log.read(), end);
}

#[test]
fn preallocated_bytes_are_end_of_log() {
    for zeros in [1, 27, 28, 511, 4096] {
        let mut log = Log::new();
        log.statement(10, 0);
        log.bytes.extend(vec![0; zeros]);
        let contents = log.read().unwrap();
        assert_eq!((lsns(&contents), contents.dropped_tail_bytes()), (vec![2], 0));
        assert_eq!(contents.bytes as usize, log.bytes.len() - zeros);
    }
}

#[test]
fn frames_of_another_generation_are_end_of_log() {
    let mut log = Log::new();
    log.statement(10, 0);
    log.generation ^= 1;
    log.statement(10, 2);
    assert_eq!(lsns(&log.read().unwrap()), [2]);
}

#[test]
fn earlier_frames_behind_the_end_do_not_count() {
    let mut log = Log::new();
    log.statement(10, 0);
    let copy = log.bytes[LogHeader::BYTES..].to_vec();
    log.generation ^= 1;
    log.frame(1, &copy);
    assert_eq!(lsns(&log.read().unwrap()), [2]);
    // Later frames do: something between them and the last one is gone.
    let at = log.bytes.len();
    log.generation ^= 1;
    log.lsn = 3;
    log.statement(10, 2);
    let foreign = at - frame::HEADER_BYTES - frame::TRAILER_BYTES - copy.len();
    corrupt_at(log.read(), foreign);
}

#[test]
fn frames_out_of_sequence_are_damage() {
    let mut log = Log::new();
    log.statement(10, 0);
    let at = log.bytes.len();
    log.lsn += 1;
    log.statement(10, 2);
    corrupt_at(log.read(), at);
}

#[test]
fn operations_without_commit_are_dropped() {
    let mut log = Log::new();
    log.statement(10, 0);
    let end = log.bytes.len();
    log.put(10);
    log.put(10);
    let contents = log.read().unwrap();
    assert_eq!((lsns(&contents), contents.next_lsn), (vec![2], 3));
    assert_eq!(contents.dropped_tail_bytes(), (log.bytes.len() - end) as u64);
}

#[test]
fn commit_that_does_not_fit_is_damage() {
    for wrong in 0..4 {
        let mut log = Log::new();
        let crc = crc32c::crc32c(&log.put(10).to_le_bytes());
        let at = log.bytes.len();
        let mut commit = Commit { first_lsn: 1, frames: 1, crc, accepted_ms: 0, durable_lsn: 0 };
        match wrong {
            0 => commit.first_lsn = 2,
            1 => commit.frames = 2,
            2 => commit.crc ^= 1,
            _ => commit.durable_lsn = 2,
        }
        log.frame(KIND_COMMIT, &commit.encode());
        corrupt_at(log.read(), at);
    }
}

#[test]
fn seal_is_the_end() {
    let mut log = Log::new();
    log.statement(10, 0).seal();
    let contents = log.read().unwrap();
    assert!(contents.sealed);
    assert_eq!((contents.next_log, contents.next_lsn, contents.dropped_tail_bytes()), (None, 4, 0));
    // Space that was not used.
    log.bytes.extend(vec![0; 5000]);
    assert!(log.read().unwrap().sealed);
    *log.bytes.last_mut().unwrap() = 1;
    assert!(log.read().is_err());
}

#[test]
fn log_of_another_place_is_refused() {
    let mut log = Log::new();
    log.statement(10, 0);
    let bytes = Bytes::from(log.bytes);
    assert!(read_log(2, &DATABASE, &bytes).is_err());
    assert!(read_log(1, &[8; 16], &bytes).is_err());
    assert!(read_log(1, &DATABASE, &Bytes::from_static(b"PAR1")).is_err());
}

#[test]
fn unknown_kind_is_refused() {
    let mut log = Log::new();
    let at = log.bytes.len();
    log.frame(200, b"from the future");
    corrupt_at(log.read(), at);
}

proptest! {
    #[test]
    fn any_bytes_behind_a_header_do_not_panic(
        tail in prop::collection::vec(any::<u8>(), 0..2000),
        whole in 0usize..3,
    ) {
        let mut log = Log::new();
        for _ in 0..whole {
            log.statement(20, 0);
        }
        log.bytes.extend(tail);
        if let Ok(contents) = log.read() {
            prop_assert_eq!(contents.statements.len(), whole);
        }
    }

    #[test]
    fn any_damage_gives_an_error_or_a_true_beginning(
        cut in 0usize..3000,
        zeroed in prop::collection::vec(0usize..6, 0..3),
        flips in prop::collection::vec((0usize..3000, 1u8..), 0..3),
    ) {
        let mut log = Log::new();
        log.statement(300, 0).statement(900, 2).statement(5, 2).statement(500, 6).seal();
        let truth = log.read().unwrap().statements;
        let mut bytes = log.bytes;
        bytes.truncate(cut);
        for sector in zeroed {
            let end = bytes.len().min((sector + 1) * 512);
            bytes[(sector * 512).min(end)..end].fill(0);
        }
        for (at, flip) in flips {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= flip;
            }
        }
        if let Ok(contents) = read(&bytes) {
            prop_assert!(truth.starts_with(&contents.statements));
        }
    }
}

/// Nothing could follow on it, and a seal that names its own file would be read for ever.
#[test]
fn a_record_with_the_last_lsn_of_all_is_damage() {
    for (first_lsn, is_whole) in [(u64::MAX - 2, true), (u64::MAX - 1, false)] {
        let header =
            LogHeader { database: DATABASE, epoch: 1, number: 1, generation: 3, first_lsn };
        let mut bytes = header.encode().to_vec();
        let op = Op::DropTable(7);
        let crc = frame::encode(op.kind(), 3, first_lsn, &[&op.payload().0], &mut bytes).unwrap();
        let at = bytes.len();
        let crc = crc32c::crc32c(&crc.to_le_bytes());
        let commit = Commit { first_lsn, frames: 1, crc, accepted_ms: 5, durable_lsn: 0 };
        frame::encode(KIND_COMMIT, 3, first_lsn + 1, &[&commit.encode()], &mut bytes).unwrap();
        match is_whole {
            true => assert_eq!(lsns(&read(&bytes).unwrap()), [first_lsn + 1]),
            false => corrupt_at(read(&bytes), at),
        }
    }
}
