//! Statements from the command line, from files and from standard input; exit codes.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use crate::omen::Place;

#[test]
fn first_error_ends_a_script_with_its_line() {
    let place = Place::new();
    let script =
        place.file("report.sql", "SELECT 1 AS a;\n\n-- next\nSELECT nothing;\nSELECT 3;\n");
    let outcome = place.run(&["db", "-f", script.to_str().unwrap()]);
    let outcome = outcome.failure(1, "report.sql:4: ");
    assert_eq!(outcome.stdout, "a\n1\n");

    let outcome = place.run_with_input(&["db"], "SELECT 1 AS a;\nSELEC 2;\nSELECT 3;\n");
    assert_eq!(outcome.failure(1, "stdin:2: ").stdout, "a\n1\n");

    let outcome = place.run(&["db", "-c", "SELECT 1 AS a; SELEC 2; SELECT 3"]);
    assert_eq!(outcome.failure(1, "error: ").stdout, "a\n1\n");
}

#[test]
fn errors_do_not_steer_the_terminal() {
    let place = Place::new();
    place.sql("CREATE TABLE t (k TEXT PRIMARY KEY)");
    let insert = "INSERT INTO t VALUES (chr(27) || '[31mred')";
    place.sql(insert);
    let outcome = place.run(&["db", "-c", insert]).failure(1, "u{1b}[31mred");
    assert!(!outcome.stderr.contains('\u{1b}'), "{:?}", outcome.stderr);
}

#[test]
fn statements_before_an_error_stay() {
    let place = Place::new();
    place.sql("CREATE TABLE t (id BIGINT PRIMARY KEY)");
    place.run_with_input(&["db"], "INSERT INTO t VALUES (1);\noops;\n").failure(1, "stdin:2");
    assert_eq!(place.sql("SELECT count(*) AS n FROM t"), "n\n1\n");
}

#[test]
fn inputs_run_in_their_order() {
    let place = Place::new();
    place.file("two.sql", "SELECT 2 AS a");
    let outcome =
        place.run(&["db", "-c", "SELECT 1 AS a", "-f", "two.sql", "-c", "SELECT 3 AS a"]).success();
    assert_eq!(outcome.stdout, "a\n1\na\n2\na\n3\n");
    let outcome = place.run_with_input(&["db", "-f", "-"], "SELECT ';' AS a").success();
    assert_eq!(outcome.stdout, "a\n;\n");
}

#[test]
fn standard_input_runs_as_it_arrives() {
    let place = Place::new();
    let mut child = place.command(&["db"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for number in 1..4 {
        // Each answer is read while standard input is open: waiting for its end would hang here.
        writeln!(input, "SELECT {number} AS a;").unwrap();
        let mut lines = String::new();
        output.read_line(&mut lines).unwrap();
        output.read_line(&mut lines).unwrap();
        assert_eq!(lines, format!("a\n{number}\n"));
    }
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn open_string_is_an_error() {
    let outcome = Place::new().run_with_input(&["db"], "SELECT 1;\nSELECT 'a;\n");
    outcome.failure(1, "stdin: string that begins at line 2 never ends");
}

#[test]
fn commands_work_in_scripts() {
    let place = Place::new();
    place.sql("CREATE TABLE t (id BIGINT, name TEXT, PRIMARY KEY (id))");
    let script = ".mode jsonl\nSELECT 1 AS a;\n\\d t\n.quit\nSELECT 2 AS a;\n";
    let outcome = place.run_with_input(&["db"], script).success();
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(lines[0], "{\"a\":1}");
    assert_eq!(
        lines[1],
        r#"{"column":"id","type":"BIGINT","nullable":false,"key":1,"default":null}"#
    );
    assert_eq!(
        lines[2],
        r#"{"column":"name","type":"TEXT","nullable":true,"key":null,"default":null}"#
    );
    assert_eq!(lines[3], r#"{"name":"t_pkey","definition":"PRIMARY KEY (id)"}"#);
    assert_eq!(lines.len(), 4);
    assert_eq!(
        place.run(&["db", "-c", "\\dt"]).success().stdout,
        "table,primary key,rows\nt,id,0\n"
    );
    place
        .run_with_input(&["db"], "\n.tabels\n")
        .failure(1, "stdin:2: unknown command .tabels; did");
}

#[test]
fn tables_are_described_with_what_they_declare() {
    let place = Place::new();
    place.sql(
        "CREATE TABLE \"it's\" (id BIGINT PRIMARY KEY, name TEXT NOT NULL DEFAULT 'x', code INT \
         UNIQUE CHECK (code > 0))",
    );
    place.sql("CREATE INDEX by_name ON \"it's\" (name, code)");
    place.sql("INSERT INTO \"it's\" VALUES (1, 'a', 1), (2, 'b', 2)");
    place.sql("CREATE VIEW v AS SELECT name FROM \"it's\"");
    let described = "column,type,nullable,key,default\nid,BIGINT,false,1,\n\
        name,TEXT,false,,'x'\ncode,INT,true,,\nname,definition\n\
        it's_pkey,PRIMARY KEY (id)\nit's_code_key,UNIQUE (code)\n\
        by_name,\"INDEX (name, code)\"\nit's_code_check,\"CHECK (\"\"code\"\" > 0)\"\n";
    assert_eq!(place.sql("\\d \"it's\""), described);
    assert_eq!(place.sql("\\d v"), "column,type,nullable,key,default\nname,TEXT,false,,\n");
    let indexes: String = place
        .sql("\\di \"it's\"")
        .lines()
        .map(|line| line.rsplit_once(',').unwrap().0.to_string() + "\n")
        .collect();
    assert_eq!(
        indexes,
        "table,index,kind,columns,parts,entries\nit's,by_name,INDEX,\"name, code\",1,2\n\
         it's,it's_code_key,UNIQUE,code,1,2\nit's,it's_pkey,PRIMARY KEY,id,1,2\n"
    );
    assert_eq!(place.sql("\\di"), place.sql("\\di \"it's\""));
    place
        .run(&["db", "-c", "\\d its"])
        .failure(1, "there is no table \"its\"; did you mean \"it's\"?");
    place.run(&["db", "-c", "\\di its"]).failure(1, "there is no table \"its\"");
}

#[test]
fn tables_of_schemas_are_described_under_their_names() {
    let place = Place::new();
    place.sql("CREATE SCHEMA a");
    place.sql("CREATE TABLE a.t (id BIGINT PRIMARY KEY, v INT)");
    place.sql("CREATE TABLE t (other INT)");
    place.sql("COMMENT ON COLUMN a.t.v IS 'said'");
    place.sql("COMMENT ON TABLE a.t IS 'of all'");
    place.sql("CREATE INDEX by_v ON a.t (v)");
    place.sql("COMMENT ON INDEX a.by_v IS 'fast'");
    let described = "column,type,nullable,key,default,comment\nid,BIGINT,false,1,,\n\
        v,INT,true,,,said\nname,definition\nt_pkey,PRIMARY KEY (id)\n\
        by_v,INDEX (v)\nby_v,COMMENT: fast\nt,COMMENT: of all\n";
    assert_eq!(place.sql("\\d a.t"), described);
    let chosen = place.run_with_input(&["db"], "USE a;\n\\d t\n").success();
    assert_eq!(chosen.stdout, described);
    assert_eq!(place.sql("\\d t"), "column,type,nullable,key,default\nother,INT,true,,\n");
    assert_eq!(place.sql("\\dt"), "table,primary key,rows\na.t,id,0\nt,,0\n");
    assert!(place.sql("\\di a.t").contains("\na.t,t_pkey,PRIMARY KEY,id,"));
    place
        .run(&["db", "-c", "SELECT * FROM a.tt"])
        .failure(1, "there is no table \"a.tt\"; did you mean \"a.t\"?");
}

#[test]
fn exit_codes_tell_usage_from_errors() {
    let place = Place::new();
    place.run(&["--nonsense"]).failure(2, "--nonsense");
    place.run(&["db", "--format", "xml"]).failure(2, "xml");
    place.run(&["--readonly", "-c", "SELECT 1"]).failure(2, "PATH");
    place.run(&["db", "-f", "missing.sql"]).failure(1, "missing.sql");
    place.run(&["missing", "--no-create", "-c", "SELECT 1"]).failure(1, "missing");
    place.run(&["missing", "--readonly", "-c", "SELECT 1"]).failure(1, "missing");
    place.file("file.csv", "a\n1\n");
    place.run(&["file.csv", "-c", "SELECT 1"]).failure(1, "omen import");
    assert!(!place.path().join("missing").exists());
}

#[test]
fn help_teaches_with_examples() {
    let outcome = Place::new().run(&["--help"]).success();
    for word in [
        "omen demo",
        "omen import",
        "--readonly",
        "--memory-limit",
        "Exit codes",
        "inspect",
        "verify",
    ] {
        assert!(outcome.stdout.contains(word), "{word} is missing in {}", outcome.stdout);
    }
    assert!(Place::new().run(&["--version"]).success().stdout.contains("DataFusion"));
}

#[test]
fn memory_limit_is_kept_and_named_by_the_query_that_meets_it() {
    let place = Place::new();
    let sql = "SELECT cardinality(array_agg(value)) AS n FROM generate_series(1, 2000000)";
    let limited = ["db", "--memory-limit", "16M", "-c", sql];
    let outcome = place.run(&limited).failure(1, "--memory-limit");
    assert!(outcome.stderr.contains("queries may hold 8.0 MB"), "{outcome:?}");
    assert_eq!(place.run(&["db", "-c", sql]).success().stdout, "n\n2000000\n");
    let show = "SHOW datafusion.runtime.memory_limit";
    let shown = place.run(&["db", "--memory-limit", "64M", "-c", show]).success().stdout;
    assert!(shown.contains("32M"), "{shown}");
    place.run(&["db", "--memory-limit", "1K"]).failure(2, "16M at least");
}

#[test]
fn readonly_reads_and_refuses_writes() {
    let place = Place::new();
    place.sql("CREATE TABLE t (id BIGINT PRIMARY KEY); INSERT INTO t VALUES (7)");
    let outcome = place.run(&["db", "--readonly", "-c", "SELECT id FROM t"]).success();
    assert_eq!(outcome.stdout, "id\n7\n");
    for sql in ["INSERT INTO t VALUES (8)", "CREATE TABLE u (a BIGINT)", "DROP TABLE t"] {
        place.run(&["db", "--readonly", "-c", sql]).failure(1, "error: ");
    }
    assert_eq!(place.sql("SELECT id FROM t"), "id\n7\n");
}

#[test]
fn path_named_like_a_subcommand_is_a_database() {
    let place = Place::new();
    place.run(&["./demo", "-c", "CREATE TABLE t (id BIGINT PRIMARY KEY)"]).success();
    assert!(place.path().join("demo").is_dir());
}

#[test]
fn without_a_path_nothing_stays() {
    let place = Place::new();
    let sql = "CREATE TABLE t (id BIGINT PRIMARY KEY); INSERT INTO t VALUES (1); SELECT id FROM t";
    let temporary = place.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let output = place.command(&["-c", sql]).env("TMPDIR", &temporary).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "id\n1\n");
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
}

/// Starts a script, waits for its first answer, interrupts it; returns its exit code.
#[cfg(unix)]
fn interrupted(script: &str) -> Option<i32> {
    let place = Place::new();
    let mut child = place.command(&["db"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    // Held to the end: the script waits for more instead of finding its end.
    let mut input = child.stdin.take().unwrap();
    input.write_all(script.as_bytes()).unwrap();
    output.read_line(&mut String::new()).unwrap();
    output.read_line(&mut String::new()).unwrap();
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    for _ in 0..300 {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    child.kill().unwrap();
    drop(input);
    panic!("it runs on after the interrupt");
}

#[cfg(unix)]
#[test]
fn interrupt_ends_a_script_that_waits_for_input() {
    assert_eq!(interrupted("SELECT 1 AS a;\n"), Some(130));
}

#[cfg(unix)]
#[test]
fn interrupt_ends_a_statement_that_runs() {
    // Hours of work.
    let endless = "SELECT count(*) FROM generate_series(1, 10000000) a(x), \
                   generate_series(1, 10000000) b(y) WHERE x + y < 0;\n";
    assert_eq!(interrupted(&format!("SELECT 1 AS a;\n{endless}")), Some(130));
}

#[test]
fn deep_statement_is_an_error_with_its_line() {
    let place = Place::new();
    let sum = " + 1".repeat(20_000);
    let script =
        place.file("deep.sql", format!("SELECT 1 AS a;\nSELECT 1{};\n", " + 1".repeat(100_000)));
    let outcome = place.run(&["db", "-f", script.to_str().unwrap()]).failure(1, "deep.sql:2: ");
    assert!(outcome.stderr.contains("the limit is"), "{}", outcome.stderr);
    let outcome = place.run(&["db", "-c", &format!("SELECT 1{sum}")]);
    outcome.failure(1, "the limit is");
    let terms = " OR a = 2".repeat(200);
    assert_eq!(place.sql(&format!("SELECT a FROM (SELECT 2 AS a) WHERE a = 1{terms}")), "a\n2\n");
}

#[test]
fn statements_that_the_disk_is_not_waited_for_are_there_afterwards() {
    let place = Place::new();
    let option = ["db", "--may-lose-last-ms", "3600000"];
    let with = |arguments: &[&str]| place.run(&[&option[..], arguments].concat());
    let create = "CREATE TABLE t (id BIGINT PRIMARY KEY)";
    with(&["-c", create, "-c", "INSERT INTO t VALUES (1)", "-c", "INSERT INTO t VALUES (2)"])
        .success();
    with(&["-c", "INSERT INTO t VALUES (1)"]).failure(1, "duplicate key");
    let count = ["--format", "csv", "-c", "SELECT count(*) AS n FROM t"];
    assert_eq!(with(&count).success().stdout, "n\n2\n");
    assert_eq!(with(&[&["--readonly"], &count[..]].concat()).success().stdout, "n\n2\n");
    place.run(&["db", "--may-lose-last-ms", "0"]).failure(2, "leave the option out");
    place.run(&["--may-lose-last-ms", "5", "-c", "SELECT 1"]).failure(2, "PATH");
    let help = place.run(&["--help"]).success().stdout;
    for said in ["--may-lose-last-ms", "kill -9", "power cut"] {
        assert!(help.contains(said), "{said}");
    }
}

#[test]
fn who_forgets_to_commit_is_told_so() {
    let place = Place::new();
    place.sql("CREATE TABLE t (id BIGINT PRIMARY KEY)");
    let forgotten = place.run_with_input(&["db"], "BEGIN;\nINSERT INTO t VALUES (1);\n").success();
    assert!(forgotten.stderr.contains("the open transaction is undone"), "{forgotten:?}");
    let script = "BEGIN;\nINSERT INTO t VALUES (2);\nCOMMIT;\n";
    let committed = place.run_with_input(&["db"], script).success();
    assert!(!committed.stderr.contains("transaction"), "{committed:?}");
    assert_eq!(place.sql("SELECT * FROM t"), "id\n2\n");
}
