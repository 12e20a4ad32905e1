//! Tests that are named after what went wrong in other databases: each is somewhere in the tree.
//!
//! The list is the only place that says where the lesson comes from.

/// The name of a test, the system it is from, and the threads that tell of it.
pub type Named = (&'static str, &'static str, &'static str);

/// What others have learned.
pub const NAMED: [Named; 24] = [
    ("write_error_then_sync_must_not_ack", "fjall-rs/fjall", "#304"),
    ("failed_write_poisons_the_log", "fjall-rs/fjall", "#308"),
    ("torn_tail_is_not_corruption", "fjall-rs/fjall", "#311"),
    ("two_tables_one_log", "fjall-rs/fjall", "#112"),
    ("recovered_log_keeps_its_name", "fjall-rs/fjall", "#317, #296"),
    ("flush_in_replay_records_last_replayed_lsn", "slatedb/slatedb", "#1625"),
    ("gc_spares_fence_and_live_epoch", "slatedb/slatedb", "#1622, #1682"),
    ("fencing_race", "slatedb/slatedb", "#271, #352"),
    ("commits_after_failed_write_survive", "tursodatabase/turso", "#2613, #8393, #4666"),
    ("checksums_are_read", "tursodatabase/turso", "#6517"),
    ("error_after_durable_is_unknown", "tursodatabase/turso", "#2091; yantrikdb #94"),
    ("recovery_never_panics", "cberner/redb", "#355, #573, #587"),
    ("torn_slot_not_laundered", "cberner/redb", "#1290"),
    ("over_4_gib", "cberner/redb", "#516"),
    ("grown_but_unsynced_file_opens", "cberner/redb", "file grown and not synced"),
    ("entry_valid_but_value_lost", "commonware", "#4260"),
    ("preallocated_bytes_are_end_of_log", "etcd-io/etcd", "#5230"),
    ("lost_unsynced_bytes_still_boot", "etcd-io/etcd", "#14098"),
    ("half_written_temp_ignored_at_open", "spacejam/sled", "#1527, #1533"),
    ("disk_full_leaves_an_openable_store", "parity-ethereum", "#11055"),
    ("large_log_write_out_of_page_order", "PebblesDB", "#28"),
    ("two_committers_one_version", "delta-io/delta-rs", "#268, #540"),
    ("truncated_log_is_repairable", "doltlite", "#510"),
    ("unknown_commit_keeps_files", "apache/iceberg", "#4686; ClickHouse #115390"),
];

/// Complaints about names that no source has a test of.
pub fn missing<'a>(named: &[Named], sources: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    let is_there = |name: &str| {
        let test = format!("fn {name}() {{");
        sources.clone().any(|source| {
            let places = source.match_indices(&test);
            places.into_iter().any(|(at, _)| is_test(&source[..at]))
        })
    };
    let gone = named.iter().filter(|(name, ..)| !is_there(name));
    gone.map(|(name, system, threads)| format!("no test {name} ({system} {threads})")).collect()
}

/// Whether the function that follows is one that is run, and not passed over.
fn is_test(before: &str) -> bool {
    let attributes =
        before.trim_end_matches("async ").lines().rev().skip_while(|line| line.trim().is_empty());
    let attributes = attributes.take_while(|line| line.trim_start().starts_with("#["));
    let attributes: Vec<&str> = attributes.map(str::trim).collect();
    attributes.iter().any(|attribute| ["#[test]", "#[tokio::test]"].contains(attribute))
        && !attributes.iter().any(|attribute| attribute.starts_with("#[ignore"))
}

#[test]
fn a_name_without_a_test_is_found() {
    let named = ["a_row_stays", "a_row_waits", "a_row", "a_row_rests", "a_row_goes"];
    let named = named.map(|name| (name, "x/y", "#1"));
    let sources = [
        "#[test]\nfn a_row_stays() {}\n",
        "#[tokio::test]\nasync fn a_row_waits() {\n}\n// fn a_row_goes",
        "fn a_row_goes() {}\n#[test]\n#[ignore = \"long\"]\nfn a_row_rests() {}",
    ];
    let missing = missing(&named, sources.into_iter());
    assert_eq!(
        missing,
        ["a_row", "a_row_rests", "a_row_goes"].map(|name| { format!("no test {name} (x/y #1)") })
    );
}
