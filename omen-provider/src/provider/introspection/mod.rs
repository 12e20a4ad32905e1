//! What a session tells of its database: system tables, `information_schema`, settings, PRAGMA.
//!
//! All of it is computed from what the engine says of one snapshot and of itself; nothing here
//! opens a file. `system_table` is the table that the planner meets, `rows` the shape of its
//! rows, which come from `constraints` (what is declared), `comments` (what is said of it), `parts`
//! (what is stored) and `settings`; `information_schema` puts some of them beside DataFusion's own;
//! `pragma` answers SQLite's questions.

mod comments;
mod constraints;
mod information_schema;
mod parts;
pub(super) mod pragma;
mod rows;
pub(super) mod settings;
mod system_table;

pub(super) use information_schema::InformationSchema;
pub(super) use system_table::{SystemTable, refuse_reserved_names};
