//! The examples of omen-provider do what they say: each is run, its own assertions included.

#[path = "../omen-provider/examples/api.rs"]
mod api;
#[path = "../omen-provider/examples/datafusion.rs"]
mod datafusion;
#[path = "../omen-provider/examples/sql.rs"]
mod sql;
#[path = "../omen-provider/examples/tables.rs"]
mod tables;

#[test]
fn the_sql_example_runs() {
    sql::main().unwrap();
}

#[test]
fn the_tables_example_runs() {
    tables::main().unwrap();
}

#[test]
fn the_api_example_runs() {
    api::main().unwrap();
}

#[test]
fn the_datafusion_example_runs() {
    datafusion::main().unwrap();
}
