//! Fills a real disk while the command works on it, and frees some of it again.
//!
//! However full it is: what was acknowledged is there, what was not is not there in part, a failure
//! says that there is no space, and once there is some again everything works.

use super::loop_disk::{Blocks, LoopDisk};
use super::missing::skip;
use super::running::Running;
use crate::omen::{Outcome, Place};
use crate::terminal::{CTRL_D, Terminal};

/// The size of the disk.
const MEBIBYTES: u64 = 32;
/// Of ten parts of the room that a new database leaves, how many are taken up by a file beside it,
/// to be deleted: opening a database takes as much room again as its log has.
const BALLAST_TENTHS: u64 = 6;
/// What is left of a disk where something is to fail for lack of room.
const LEFT: u64 = 128 << 10;
/// Rows of a statement; about 600 KB of them, half of that in a segment.
const ROWS: u64 = 4_000;
/// Statements that are more than the disk holds.
const TOO_MANY: u64 = 100;
/// How the system says it.
const NO_SPACE: &str = "No space left on device";

/// Arguments that leave queries so little memory that the sort of the tests needs more.
const LITTLE_MEMORY: &[&str] = &["--memory-limit", "16M"];

/// A disk with a ballast, and a database on it.
struct Full {
    place: Place,
    disk: LoopDisk,
    database: String,
}

fn insert(number: u64) -> String {
    let text: Vec<String> =
        (0..4).map(|part| format!("md5(cast(value * 4 + {part} + {number} AS VARCHAR))")).collect();
    let (text, first) = (text.join(" || "), number * ROWS);
    format!(
        "INSERT OR REPLACE INTO t SELECT {first} + value, {number}, {text} \
         FROM generate_series(0, {});\n",
        ROWS - 1
    )
}

impl Full {
    /// None, and it is said why, if there are no such disks here.
    fn new() -> Option<Self> {
        let disk = match LoopDisk::new(MEBIBYTES, Blocks::Usual) {
            Ok(disk) => disk,
            Err(what) => {
                skip("full disks", &what);
                return None;
            }
        };
        let database = disk.path().join("db").display().to_string();
        let full = Self { place: Place::new(), disk, database };
        let columns = "(id BIGINT PRIMARY KEY, number BIGINT NOT NULL, text TEXT NOT NULL)";
        full.run(&["-c", &format!("CREATE TABLE t {columns}")]).success();
        full.disk.ballast(full.disk.free() / 10 * BALLAST_TENTHS);
        Some(full)
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        self.place.run(&[&[self.database.as_str()], arguments].concat())
    }

    /// Starts the command, has it carry out statements, and leaves it waiting for more.
    fn write(&self, numbers: impl Iterator<Item = u64> + Clone) -> Running {
        let mut running = Running::start(self.place.command(&[&self.database]));
        running.send(numbers.clone().map(insert));
        running.wait_for(numbers.count()).unwrap();
        running
    }

    /// Takes up all room but for very little.
    fn fill(&self) {
        self.disk.ballast(self.disk.free().saturating_sub(LEFT));
    }

    fn free(&self) {
        self.disk.drop_ballast();
    }

    /// The numbers that are there, each with all its rows.
    #[track_caller]
    fn numbers(&self, arguments: &[&str]) -> Vec<u64> {
        let sql = "SELECT number, count(*), count(DISTINCT text) FROM t GROUP BY 1 ORDER BY 1";
        let arguments = [&["--format", "csv", "-c", sql], arguments].concat();
        let csv = self.run(&arguments).success().stdout;
        let number = |line: &str| {
            let (number, counts) = line.split_once(',').unwrap();
            assert_eq!(counts, format!("{ROWS},{ROWS}"), "{number} is there in part");
            number.parse().unwrap()
        };
        csv.lines().skip(1).map(number).collect()
    }

    /// The statements below `count` are there, and no other.
    #[track_caller]
    fn assert_holds(&self, arguments: &[&str], count: u64) {
        assert_eq!(self.numbers(arguments), (0..count).collect::<Vec<_>>());
    }

    /// Everything works again, now that there is room.
    #[track_caller]
    fn assert_recovered(&self, count: u64) {
        self.assert_holds(&[], count);
        self.run(&["-c", &insert(count)]).success();
        assert_eq!(self.numbers(&["--readonly"]), (0..=count).collect::<Vec<_>>());
        self.place.run(&["compact", &self.database]).success();
        self.place.run(&["verify", &self.database]).success();
        assert_eq!(self.numbers(&[]), (0..=count).collect::<Vec<_>>());
    }
}

#[test]
fn full_while_statements_arrive() {
    let Some(full) = Full::new() else { return };
    let mut shell = Terminal::start(&full.place, &[&full.database]);
    let mut refused = String::new();
    let mut count = 0;
    while refused.is_empty() {
        assert!(count < TOO_MANY, "the disk does not get full");
        match shell.answer(insert(count).trim()) {
            said if said.contains("rows inserted") => count += 1,
            said => refused = said,
        }
    }
    assert!(refused.contains("error") && refused.contains(NO_SPACE), "{refused}");
    // Reading goes on.
    let said = shell.answer("SELECT count(*) AS rows FROM t;");
    assert!(said.contains(&(count * ROWS).to_string()), "{count}: {said}");
    full.free();
    // So does writing, as soon as there is room.
    let said = shell.answer(insert(count).trim());
    assert!(said.contains("rows inserted"), "{said}");
    count += 1;
    shell.press(CTRL_D);
    shell.ended();
    full.assert_recovered(count);
}

#[test]
fn full_and_opened_again() {
    let Some(full) = Full::new() else { return };
    let mut running = Running::start(full.place.command(&[&full.database]));
    running.send((0..TOO_MANY).map(insert));
    running.end_input();
    let ended = running.wait().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.said.contains(NO_SPACE), "{ended:?}");
    let count = ended.acknowledged as u64;
    full.assert_holds(&["--readonly"], count);
    full.assert_holds(&[], count);
    full.free();
    full.assert_recovered(count);
}

#[test]
fn full_while_a_file_is_imported() {
    let Some(full) = Full::new() else { return };
    drop(full.write(0..3).kill());
    let line = |id: u64| format!("{id},9,{0:064x}{0:064x}{0:064x}\n", id * 0x9e37_79b9);
    let rows: String = (100_000..110_000).map(line).collect();
    let file = full.place.file("rows.csv", format!("id,number,text\n{rows}"));
    full.fill();
    let import = ["import", &full.database, "t", file.to_str().unwrap()];
    full.place.run(&import).failure(1, NO_SPACE);
    full.assert_holds(&["--readonly"], 3);
    full.free();
    full.assert_holds(&[], 3);
    full.place.run(&import).success();
    let imported = full.run(&["--format", "csv", "-c", "SELECT count(*) FROM t WHERE number = 9"]);
    assert!(imported.success().stdout.ends_with("\n10000\n"));
}

#[test]
fn full_while_rows_are_flushed() {
    let Some(full) = Full::new() else { return };
    let mut running = full.write(0..4);
    full.fill();
    running.end_input();
    let ended = running.wait().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    full.assert_holds(&["--readonly"], 4);
    full.free();
    full.assert_recovered(4);
}

#[test]
fn full_while_tables_are_compacted() {
    let Some(full) = Full::new() else { return };
    for _ in 0..2 {
        // The second time everything is written over.
        let mut running = full.write(0..4);
        running.end_input();
        assert!(running.wait().unwrap().status.success());
    }
    full.fill();
    let outcome = full.place.run(&["compact", &full.database]);
    let said = outcome.code == Some(1) && outcome.stderr.contains(NO_SPACE);
    // A reserve may do for so small a table.
    assert!(said || outcome.code == Some(0), "{outcome:?}");
    full.assert_holds(&["--readonly"], 4);
    full.free();
    full.assert_recovered(4);
}

#[test]
fn full_while_a_query_sorts_more_than_its_memory_holds() {
    let Some(full) = Full::new() else { return };
    let mut running = full.write(0..5);
    running.end_input();
    assert!(running.wait().unwrap().status.success());
    full.fill();
    let sort = |copies, memory: &[&str]| {
        let sql = format!(
            "SELECT max(n) FROM (SELECT row_number() OVER (ORDER BY text, id, value) n \
             FROM t, generate_series(1, {copies}))"
        );
        full.run(&[&["--format", "csv", "-c", &sql], memory].concat())
    };
    // About 30 MB.
    sort(10, LITTLE_MEMORY).failure(1, NO_SPACE);
    full.assert_holds(&["--readonly"], 5);
    full.free();
    assert_eq!(sort(3, &[]).success().stdout, "max(n)\n60000\n");
    let left = std::fs::read_dir(full.disk.path().join("db/spill"));
    assert_eq!(left.map_or(0, |entries| entries.count()), 0, "spilled files are left behind");
    full.assert_recovered(5);
}
