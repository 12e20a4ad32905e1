//! `omen inspect --plot`: a picture that holds what `omen inspect` says, whatever the keys.

use std::io::Write;
use std::process::Stdio;

use roxmltree::{Document, Node};
use serde_json::Value;

use crate::omen::{Outcome, Place};

/// Runs `omen inspect db TABLE --plot FILE`; the picture, and what was printed.
fn plot(place: &Place, table: &str, file: &str) -> (String, Outcome) {
    let outcome = place.run(&["inspect", "db", table, "--plot", file]).success();
    assert!(outcome.stderr.contains(&format!("wrote {file} (")), "{outcome:?}");
    (std::fs::read_to_string(place.path().join(file)).unwrap(), outcome)
}

fn import(place: &Place, table: &str, csv: &str, key: &str) {
    place.file("t.csv", csv);
    place.run(&["import", "db", table, "t.csv", "--key", key]).success();
}

fn lines(header: &str, rows: impl Iterator<Item = String>) -> String {
    std::iter::once(header.to_string()).chain(rows).map(|line| line + "\n").collect()
}

fn of_class<'a, 'i: 'a>(
    node: Node<'a, 'i>,
    class: &'static str,
) -> impl Iterator<Item = Node<'a, 'i>> {
    node.descendants().filter(move |n| n.attribute("class") == Some(class))
}

/// All texts of a class, one behind the other.
fn said(node: Node<'_, '_>, class: &'static str) -> String {
    of_class(node, class).filter_map(|n| n.text()).collect::<Vec<_>>().join(" ")
}

/// The steps of the one path of a class.
fn steps(node: Node<'_, '_>, class: &'static str) -> usize {
    let data = of_class(node, class).find_map(|n| n.attribute("d")).unwrap_or_default();
    data.matches(['l', 'h', 'v']).count()
}

/// The parts as `--format json` prints them.
fn parts(place: &Place, table: &str) -> Vec<Value> {
    let outcome = place.run(&["inspect", "db", table, "--format", "json"]).success();
    serde_json::from_str(&outcome.stdout).unwrap()
}

fn grouped(number: &Value) -> String {
    let digits = number.as_u64().unwrap().to_string();
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    String::from_utf8(groups.join(&b',')).unwrap()
}

/// The share of keys that each bar of a histogram says it stands for.
fn shares(part: Node<'_, '_>, class: &'static str) -> Vec<(String, f64)> {
    let bars = of_class(part, class).flat_map(|group| of_class(group, "bar"));
    let tips = bars.filter_map(|bar| bar.first_element_child()?.text());
    let share = |tip: &str| {
        let (numbers, rest) = tip.split_once(": ").unwrap();
        (numbers.to_string(), rest.strip_suffix(" % of keys").unwrap().parse().unwrap())
    };
    tips.map(share).collect()
}

#[test]
fn picture_shows_curves_shares_and_the_figures_of_inspect() {
    let place = Place::new();
    let rows = (0..30_000_u64).map(|i| format!("{},{i}", i * i % 7 + i * 13));
    import(&place, "t", &lines("id,n", rows), "id");
    let plain = place.run(&["inspect", "db", "t"]).success();
    let (text, outcome) = plot(&place, "t", "t.svg");
    assert_eq!(outcome.stdout, plain.stdout, "what is printed stays the same");
    let svg = Document::parse(&text).unwrap();
    let part = of_class(svg.root_element(), "part").next().unwrap();
    for curve in ["keys", "model", "range", "error", "middle"] {
        assert!(steps(part, curve) > 200, "{curve} has {} steps", steps(part, curve));
    }
    let figures = said(part, "figures");
    let json = &parts(&place, "t")[0];
    for expected in [
        format!("{} rows.", grouped(&json["rows"])),
        format!("First key {}; last key {}.", json["first key"], json["last key"]).replace('"', ""),
        format!("{} bytes = ", grouped(&json["index bytes"])),
        format!("{} leaves", grouped(&json["index leaves"])),
        format!("{} knot", grouped(&json["index knots"])),
        format!("{:.1} positions on average", json["mean"].as_f64().unwrap()),
        format!("{} at most", grouped(&json["rows to search, max"])),
        "of 30,000 keys, evenly spread".to_string(),
    ] {
        assert!(figures.contains(&expected), "{expected:?} is missing in {figures:?}");
    }
    for histogram in ["errors", "ranges"] {
        let shares = shares(part, histogram);
        let sum: f64 = shares.iter().map(|(_, share)| share).sum();
        assert!((sum - 100.0).abs() < 0.005 * shares.len() as f64 + 1e-9, "{shares:?}");
    }
    let near = ["0", "1", "2–3", "4–7"];
    let near = shares(part, "errors").into_iter().filter(|(n, _)| near.contains(&n.as_str()));
    let near = near.map(|(_, share)| share).sum::<f64>();
    assert!(near > 50.0, "{near}");
    let verdict = said(part, "verdict");
    let begins = match near {
        99.995.. => "All keys lie".to_string(),
        99.95.. => "More than 99.9 % of the keys lie".to_string(),
        99.0.. => format!("{near:.1} % of the keys lie"),
        _ => format!("{near:.0} % of the keys lie"),
    };
    assert!(verdict.starts_with(&begins), "{verdict} ({near})");
    assert!(verdict.ends_with("reads one page and compares 16 keys at once."), "{verdict}");
}

#[test]
fn picture_is_described_stands_alone_and_is_small() {
    let place = Place::new();
    import(&place, "t", &lines("id", (0..20_000).map(|i| (i * 7).to_string())), "id");
    let (text, _) = plot(&place, "t", "t.svg");
    let svg = Document::parse(&text).unwrap();
    let root = svg.root_element();
    assert_eq!((root.tag_name().name(), root.attribute("role")), ("svg", Some("img")));
    let child = |name| root.children().find(|n| n.has_tag_name(name)).and_then(|n| n.text());
    let named = |name| child(("http://www.w3.org/2000/svg", name));
    assert_eq!(named("title"), Some("Learned index of table \"t\""));
    assert!(named("desc").is_some_and(|text| text.contains("20,000 rows")));
    for outside in ["href", "url(", "<script", "<style", "<image", "@import"] {
        assert!(!text.contains(outside), "{outside}");
    }
    assert_eq!(text.matches("http").count(), 1, "only the name space");
    assert!(text.len() < 50_000, "{} bytes", text.len());
    let points = of_class(root, "keys").count();
    assert_eq!(points, 1);
}

#[test]
fn hostile_keys_and_names_are_text() {
    let place = Place::new();
    let script = "<script>alert(\"&1\")</script>]]>";
    let keys = (0..2_000).map(|i| format!("'{i:05}'")).collect::<Vec<_>>().join("), (");
    let control = "chr(1) || chr(27) || 'x' || chr(8238)";
    place.run(&["db", "-c", "CREATE TABLE \"<b>&amp;\" (\"k<i>\" TEXT PRIMARY KEY)"]).success();
    let insert = format!("INSERT INTO \"<b>&amp;\" VALUES ('{script}'), ({control}), ({keys})");
    place.run(&["db", "-c", &insert]).success();
    let (text, _) = plot(&place, "<b>&amp;", "t.svg");
    assert!(!text.contains("<script") && !text.contains(|c: char| c < ' ' && c != '\n'));
    let svg = Document::parse(&text).unwrap();
    let all = said(svg.root_element(), "figures");
    assert!(all.contains(script), "{all}");
    assert!(all.contains("␁␛x\u{fffd}"), "{all}");
    assert!(text.contains("&lt;b&gt;&amp;amp;") && text.contains("k&lt;i&gt;"));
}

/// Every type of key: labels in its own terms, and a picture that is XML.
#[test]
fn every_type_of_key_has_its_own_labels() {
    let place = Place::new();
    let types = [
        ("BIGINT", "value * 1000 - 700000", "−500,000"),
        ("INT UNSIGNED", "value * 1000000", "1,000,000,000"),
        ("BIGINT UNSIGNED", "18446744073709551615 - value", "18,446,744,073,709,551,000"),
        ("SMALLINT", "value - 1000", "−500"),
        ("DOUBLE", "(value - 1000) / 4096.0", "−0.2"),
        ("REAL", "value * 0.5", "500"),
        ("DECIMAL(12, 2)", "value * 0.01", "15"),
        ("DATE", "date '2020-01-01' + value::int", "2021"),
        (
            "TIMESTAMP",
            "arrow_cast(1583020800000000 + value * 3600000000, 'Timestamp(Microsecond, None)')",
            "2020-04",
        ),
        ("TIME", "arrow_cast(value * 1000000000, 'Time64(Nanosecond)')", "00:15"),
        ("TEXT", "'key ' || lpad(value::text, 5, '0')", "key 00001"),
        ("BYTEA", "arrow_cast(lpad(value::text, 5, '0'), 'Binary')", "3030303031"),
    ];
    for (number, (sql_type, expression, label)) in types.into_iter().enumerate() {
        let table = format!("t{number}");
        let create = format!("CREATE TABLE {table} (k {sql_type} PRIMARY KEY)");
        let insert =
            format!("INSERT INTO {table} SELECT {expression} FROM generate_series(1, 2000)");
        place.run(&["db", "-c", &create, "-c", &insert]).success();
        let (text, _) = plot(&place, &table, "t.svg");
        let svg = Document::parse(&text).unwrap();
        let panel = of_class(svg.root_element(), "distribution").next().unwrap();
        let labels: Vec<&str> = panel.descendants().filter_map(|n| n.text()).collect();
        assert!(labels.iter().any(|l| l.starts_with(label)), "{sql_type}: {labels:?}");
        assert!(steps(panel, "keys") > 0, "{sql_type}");
    }
    place.run(&["db", "-c", "CREATE TABLE c (a TEXT, b BIGINT, PRIMARY KEY (a, b))"]).success();
    place.sql("INSERT INTO c SELECT 'x' || (value % 3)::text, value FROM generate_series(1, 2000)");
    let (text, _) = plot(&place, "c", "t.svg");
    let svg = Document::parse(&text).unwrap();
    assert!(text.contains(">x0, 3<") && text.contains("(a, b) – by the first 8 bytes"), "{text}");
    assert!(steps(svg.root_element(), "model") > 0);
}

#[test]
fn tables_without_an_index_say_so() {
    let place = Place::new();
    place.run(&["db", "-c", "CREATE TABLE t (id BIGINT PRIMARY KEY)"]).success();
    let (text, _) = plot(&place, "t", "t.svg");
    let svg = Document::parse(&text).unwrap();
    assert!(said(svg.root_element(), "verdict").contains("The table is empty"));
    assert_eq!(of_class(svg.root_element(), "part").count(), 0);

    // Beside a process that has rows in memory.
    let mut shell = place.command(&["db"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = shell.stdin.take().unwrap();
    input.write_all(b"INSERT INTO t VALUES (1), (2), (3);\n").unwrap();
    input.flush().unwrap();
    while parts(&place, "t").is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let (text, _) = plot(&place, "t", "t.svg");
    let svg = Document::parse(&text).unwrap();
    assert!(said(svg.root_element(), "verdict").contains("all rows are in memory"));
    assert!(said(svg.root_element(), "rest").contains("1 part in memory, 3 rows"));
    drop(input);
    assert!(shell.wait().unwrap().success());
    let (text, _) = plot(&place, "t", "t.svg");
    assert_eq!(of_class(Document::parse(&text).unwrap().root_element(), "part").count(), 1);
}

#[test]
fn deleted_rows_are_counted_and_more_than_six_parts_are_named() {
    let place = Place::new();
    place.run(&["db", "-c", "CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT)"]).success();
    // Each has half as many rows as the one before: these are not joined.
    for part in 0..8 {
        let from = part * 100_000;
        let insert = format!(
            "INSERT INTO t SELECT value, {part} FROM generate_series({from}, {})",
            from + (25_600 >> part)
        );
        place.run(&["db", "-c", &insert]).success();
    }
    place.run(&["db", "-c", "INSERT OR REPLACE INTO t VALUES (7, 8)"]).success();
    let (text, _) = plot(&place, "t", "t.svg");
    let svg = Document::parse(&text).unwrap();
    let json = parts(&place, "t");
    let drawn: Vec<_> = of_class(svg.root_element(), "part").collect();
    assert_eq!((json.len(), drawn.len()), (9, 6), "{json:?}");
    let mut rows: Vec<u64> = json.iter().map(|part| part["rows"].as_u64().unwrap()).collect();
    rows.sort_unstable_by(|a, b| b.cmp(a));
    for (part, rows) in drawn.iter().zip(&rows) {
        let begins = format!("{} row", grouped(&Value::from(*rows)));
        assert!(said(*part, "figures").starts_with(&begins), "{begins}");
    }
    let rest = said(svg.root_element(), "rest");
    let left: u64 = rows.iter().skip(6).sum();
    let named = format!("{} parts with an index of their own, ", rows.len() - 6);
    assert!(rest.contains(&named), "{rest}");
    assert!(rest.contains(&format!("own, {} rows", grouped(&Value::from(left)))), "{rest}");
    let deleted = json.iter().map(|part| part["deleted"].as_u64().unwrap()).find(|d| *d > 0);
    let named = format!("{} of them deleted", grouped(&Value::from(deleted.unwrap())));
    assert!(text.contains(&named), "{named}");
    assert!(text.len() < 300_000, "{} bytes", text.len());
}

#[test]
fn page_is_the_same_picture() {
    let place = Place::new();
    import(&place, "t", &lines("id", (0..3_000).map(|i| (i * 7).to_string())), "id");
    let (picture, _) = plot(&place, "t", "t.svg");
    let (page, _) = plot(&place, "t", "t.html");
    assert!(page.starts_with("<!DOCTYPE html>\n"));
    assert!(page.contains(picture.trim_end()));
    let document = page.replacen("<!DOCTYPE html>\n", "", 1);
    let html = Document::parse(&document).unwrap();
    assert_eq!(html.root_element().tag_name().name(), "html");
}

#[test]
fn wrong_endings_and_places_are_refused_with_a_hint() {
    let place = Place::new();
    import(&place, "t", "id\n1\n", "id");
    let refused = |arguments: &[&str], code, message: &str| {
        let outcome = place.run(arguments).failure(code, message);
        assert_eq!(outcome.stdout, "");
    };
    refused(&["inspect", "missing", "t", "--plot", "t.png"], 2, "example t.svg");
    refused(&["inspect", "db", "--plot", "t.svg"], 2, "<TABLE>");
    refused(&["inspect", "db", "tt", "--plot", "t.svg"], 1, "did you mean \"t\"?");
    refused(&["inspect", "db", "t", "--plot", "no/t.svg"], 1, "cannot write no/t.svg: there is no");
    std::fs::create_dir(place.path().join("folder.svg")).unwrap();
    refused(&["inspect", "db", "t", "--plot", "folder.svg"], 1, "cannot write folder.svg: ");
    assert!(!place.path().join("t.svg").exists());
}

#[test]
fn an_existing_file_is_replaced_and_nothing_else_stays_behind() {
    let place = Place::new();
    import(&place, "t", "id\n1\n2\n", "id");
    place.file("t.svg", "x".repeat(1 << 20));
    let (text, _) = plot(&place, "t", "t.svg");
    Document::parse(&text).unwrap();
    std::fs::create_dir(place.path().join("u.svg")).unwrap();
    place.run(&["inspect", "db", "t", "--plot", "u.svg"]).failure(1, "u.svg");
    let mut names: Vec<_> = std::fs::read_dir(place.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["db", "t.csv", "t.svg", "u.svg"]);
}
