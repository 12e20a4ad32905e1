//! `omen demo`: the first thing that a newcomer runs.

use crate::omen::{Place, binary};

#[test]
fn demo_shows_everything_and_never_overwrites() {
    let place = Place::new();
    let outcome = place.run(&["demo"]).success();
    for text in [
        "new database  omen-demo\n",
        "weather: 26,115 rows, key (origin, time_hour)",
        "airports: 1,458 rows, key (faa)",
        "Key lookup",
        "Key range",
        "Aggregate",
        "Join",
        "/26115",
        "closed and reopened",
        "all there (26,115 weather, 1,458 airports)",
        "import my.db my_table my_data.csv --key id",
    ] {
        assert!(outcome.stdout.contains(text), "{text:?} is missing in\n{}", outcome.stdout);
    }
    let reads: Vec<&str> = outcome.stdout.lines().filter(|l| l.starts_with("read: ")).collect();
    assert!(reads.len() >= 4, "one for each query: {reads:?}");
    assert!(reads[0].contains("rows=1/26115"), "a key lookup selects one row: {}", reads[0]);

    let again = place.run(&["demo"]).success();
    assert!(again.stdout.starts_with("new database  omen-demo-2\n"), "{}", again.stdout);
    place.run(&["demo", "--dir", "omen-demo"]).failure(1, "never overwrites");
    place.run(&["demo", "--dir", "mine"]).success();
    let count = ["mine", "-c", "SELECT count(*) AS n FROM weather"];
    assert_eq!(place.run(&count).success().stdout, "n\n26115\n");
}

#[test]
fn next_command_is_the_one_that_was_used() {
    let place = Place::new();
    let output = place.command(&["demo"]).env("CARGO_PKG_NAME", "omen-cli").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("  cargo run"), "{text}");
    let text = place.run(&["demo"]).success().stdout;
    assert!(text.contains(&binary()), "{text}");
}
