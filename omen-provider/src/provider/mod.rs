//! The boundary to DataFusion: tables, scans, inserts and SQL sessions.
//!
//! Knows DataFusion and opens no file: rows and bytes come from a snapshot of the engine, rows go
//! to the engine as streams. Life of a query here: `catalog_provider` gives the table, `pin` binds
//! it to the statement's snapshot, `table_provider` says which filters need no second look,
//! `filter` makes key ranges of them, `scan` plans the reading, `source` and `run_source` are its
//! leaves, `reader_factory` fetches the bytes, `masking` drops deleted rows.

mod arrow_type;
mod errors;
mod own_files;

mod functions;

mod query_pool;
mod spill;

mod large_joins;
mod runtime;

mod deep_plans;
mod panics;

mod explain;
mod filter;

mod access_plan;
mod reader_factory;

mod masking;

mod run_source;
mod source;

mod exact_counts;
mod filter_places;
mod missing_columns;
mod scan;
mod unordered;

mod current_transaction;

mod sink;

mod table_definition;
mod table_provider;

mod first_rows;
mod identity;

mod returned_rows;

mod edit_target;
mod merge;

mod edits;

mod edit_query;
mod key_lookup;

mod copy_sink;
mod own_nodes;

mod insert_values;
mod pin;
mod subqueries;

mod catalog_provider;
mod catalog_schemas;

mod file_tables;
mod view_text;
mod views;

mod column_names;
mod engine_names;
mod refused_syntax;

mod unique;

mod create_table;

mod copy_syntax;
mod sequence_options;
mod statement;

mod alter_rows;
mod alter_table;
mod copy_from;
mod copy_to;
mod edit_statements;
mod export;
mod import;
mod on_conflict;
mod transactions;
mod upserts;

mod comments;
mod indexes;
mod schemas;

mod introspection;

mod parse;
mod session;

pub use session::Session;
pub use statement::Statement;

#[cfg(test)]
mod tests;
