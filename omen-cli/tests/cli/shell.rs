//! The shell as a person meets it, keys and all.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::omen::{Place, binary};
use crate::terminal::{ARROW_UP, CTRL_C, CTRL_D, ENTER, HANDED_OVER, PATIENCE, Terminal};

/// Says that it has begun and soon keeps a worker for very long: no row of the join passes its
/// filter, so the join has no reason to yield. The pieces keep the sign itself off the screen until
/// it is meant.
const STUCK: &str = "SELECT 'be' || 'gun' AS what UNION ALL SELECT CAST(count(*) AS VARCHAR) \
                     FROM generate_series(1, 1000000) a(x), generate_series(1, 10000000) b(y) \
                     WHERE x + y < 0;";

/// Runs what never yields and stops it by Ctrl-C, once it is so far that it takes no notice.
#[track_caller]
fn interrupt_stuck(shell: &mut Terminal) {
    let mut pause = Duration::from_secs(1);
    loop {
        shell.enter(STUCK);
        shell.until("begun");
        std::thread::sleep(pause);
        shell.press(CTRL_C);
        let said = shell.until_prompt();
        assert!(said.ends_with("interrupted"), "{said:?}");
        if said.contains("does not stop and uses a processor") {
            return;
        }
        pause *= 2;
        assert!(pause < PATIENCE, "it still yields: {said:?}");
    }
}

#[track_caller]
fn assert_answers(shell: &mut Terminal) {
    let started = Instant::now();
    let said = shell.answer("SELECT 6 * 7 AS answer;");
    assert!(said.contains("answer") && said.contains("42"), "{said:?}");
    // What is stuck takes its share of the processors, not its turn.
    assert!(started.elapsed() < PATIENCE / 2, "{:?}", started.elapsed());
}

#[test]
fn shell_greets_edits_and_remembers() {
    let place = Place::new();
    let mut shell = Terminal::start(&place, &["db"]);
    assert_eq!(
        shell.greeting,
        concat!("omen ", env!("CARGO_PKG_VERSION"), ": .help for help, Ctrl-D to leave")
    );
    shell.until("omen> ");

    // Enter runs nothing before the semicolon.
    shell.press("SELECT 6 *");
    shell.press(ENTER);
    let said = shell.answer("7 AS answer;");
    let table = "+--------+\n| answer |\n+--------+\n|     42 |\n+--------+\n1 row in ";
    assert!(said.starts_with(table), "{said:?}");

    let said = shell.answer(ARROW_UP);
    assert!(said.starts_with(table), "recalled: {said:?}");

    // Ctrl-C forgets what is typed by halves, over lines too.
    shell.press("SELECT nothing, (");
    shell.press(ENTER);
    shell.press("'half");
    shell.press(CTRL_C);
    shell.until(HANDED_OVER);
    assert_eq!(shell.until_prompt(), "");
    assert_answers(&mut shell);

    // An error ends the statement, not the shell.
    let said = shell.answer("SELECT * FROM nowhere;");
    assert_eq!(said, "error: there is no table \"nowhere\"; the database has no tables yet");
    assert_answers(&mut shell);
    shell.press(CTRL_D);
    assert_eq!(shell.ended(), 0);

    // The next shell recalls what this one ran.
    let mut shell = Terminal::start(&place, &["db"]);
    let said = shell.answer(ARROW_UP);
    assert!(said.starts_with(table), "recalled: {said:?}");
    shell.press("exit");
    shell.press(ENTER);
    assert_eq!(shell.ended(), 0);
}

#[test]
fn redirected_rows_are_all_that_standard_output_gets() {
    let place = Place::new();
    let script = format!("exec '{}' db > rows.csv", binary());
    let mut shell = Terminal::start_by(&place, "sh", &["-c", &script]);
    assert!(shell.answer("SELECT 6 * 7 AS answer;").starts_with("1 row in"));
    assert!(shell.answer("SELECT nothing;").starts_with("error: "));
    shell.press("\\q");
    shell.press(ENTER);
    assert_eq!(shell.ended(), 0);
    let rows = std::fs::read_to_string(place.path().join("rows.csv")).unwrap();
    assert_eq!(rows, "answer\n42\n");
}

#[test]
fn ctrl_c_ends_queries_that_never_yield() {
    let place = Place::new();
    let mut shell = Terminal::start(&place, &["db"]);
    shell.answer(".mode csv");
    let created = shell.answer("CREATE TABLE t (id BIGINT PRIMARY KEY);");
    assert!(created.starts_with("done"), "{created:?}");
    // Twice: each keeps one of the two workers for good.
    interrupt_stuck(&mut shell);
    interrupt_stuck(&mut shell);
    assert_answers(&mut shell);
    // The database works on, and closes, beside what is left behind.
    let said = shell.answer("INSERT INTO t SELECT value FROM generate_series(1, 1000);");
    assert!(said.starts_with("1,000 rows inserted"), "{said:?}");
    shell.press(CTRL_D);
    assert_eq!(shell.ended(), 0);
    assert_eq!(place.sql("SELECT count(*) AS n FROM t"), "n\n1000\n");
    // Closed, not just left: the rows are in a segment.
    assert!(place.run(&["inspect", "db"]).success().stdout.contains("segment "));
}

#[test]
fn ctrl_c_ends_an_insert_whose_rows_never_end() {
    let place = Place::new();
    let mut shell = Terminal::start(&place, &["db"]);
    shell.answer("CREATE TABLE t (id BIGINT PRIMARY KEY, note TEXT);");
    shell.answer("INSERT INTO t VALUES (1, 'one');");
    // A statement that has begun is seen by the segments it writes.
    let segments = place.path().join("db/segments");
    let rows = "SELECT value, repeat('x', 2000) FROM generate_series(2, 2000000000)";
    for _ in 0..2 {
        let before = files(&segments);
        shell.enter(&format!("INSERT INTO t {rows};"));
        // Those of the statement before may go meanwhile.
        wait_until(|| files(&segments).iter().any(|file| !before.contains(file)));
        shell.press(CTRL_C);
        let said = shell.until_prompt();
        assert!(said.ends_with("interrupted"), "{said:?}");
        assert!(said.contains("may have been carried out"), "{said:?}");
    }
    let said = shell.answer("INSERT INTO t VALUES (0, 'none'); SELECT count(*), sum(id) FROM t;");
    assert!(said.contains("|        2 |         1 |"), "{said:?}");
    shell.press(CTRL_D);
    assert_eq!(shell.ended(), 0);
    assert_eq!(place.sql("SELECT id FROM t"), "id\n0\n1\n");
}

/// The files in a directory; none if there is no directory.
fn files(directory: &Path) -> Vec<OsString> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

#[track_caller]
fn wait_until(mut reached: impl FnMut() -> bool) {
    let started = Instant::now();
    while !reached() {
        assert!(started.elapsed() < PATIENCE, "it never comes to it");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn interrupted_insert_is_whole_or_nothing() {
    const ROUNDS: u64 = 12;
    const ROWS: u64 = 60_000;
    let place = Place::new();
    let mut shell = Terminal::start(&place, &["db"]);
    shell.answer(".mode csv");
    shell.answer("CREATE TABLE t (id BIGINT PRIMARY KEY, round BIGINT, note TEXT);");
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let first = round * ROWS;
        shell.enter(&format!(
            "INSERT INTO t SELECT value + {first}, {round}, repeat('x', 20) \
             FROM generate_series(1, {ROWS});"
        ));
        // Ever later, until it comes too late.
        std::thread::sleep(Duration::from_millis(2 + 25 * round));
        shell.press(CTRL_C);
        let said = shell.until_prompt();
        if said.contains("60,000 rows inserted") {
            acknowledged.push(round);
        } else {
            assert!(said.ends_with("interrupted"), "{said:?}");
        }
        shell.settle();
        let halves = "SELECT round, count(*) AS n FROM t GROUP BY round HAVING count(*) <> 60000;";
        let said = shell.answer(halves);
        assert!(said.starts_with("round,n\n0 rows"), "in part: {said:?}");
    }
    println!("acknowledged of {ROUNDS}: {acknowledged:?}");
    shell.press(CTRL_D);
    assert_eq!(shell.ended(), 0);
    let stored = place.sql("SELECT round, count(*) AS n FROM t GROUP BY round ORDER BY round");
    for line in stored.lines().skip(1) {
        assert!(line.ends_with(",60000"), "{stored}");
    }
    for round in acknowledged {
        assert!(stored.contains(&format!("\n{round},60000\n")), "{round} in {stored}");
    }
    place.run(&["verify", "db"]).success();
}

#[test]
fn stuck_query_does_not_keep_the_person_in() {
    let place = Place::new();
    for leave in [CTRL_D, "\\q\r"] {
        let mut shell = Terminal::start(&place, &["db"]);
        shell.answer(".mode csv");
        interrupt_stuck(&mut shell);
        interrupt_stuck(&mut shell);
        shell.press(leave);
        assert_eq!(shell.ended(), 0, "{leave:?}");
    }
}
