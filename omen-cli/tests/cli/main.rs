//! The `omen` command from outside: what it prints where, and how it ends.

// Functions that tests share are not marked as tests.
#![allow(clippy::unwrap_used)]

mod backup;
mod copy;
mod demo;
mod flights;
mod flights_csv;
mod import;
mod omen;
mod output;
mod plot;
mod readers;
mod same_rows;
mod script;
#[cfg(unix)]
mod shell;
#[cfg(unix)]
mod terminal;
mod tools;
#[cfg(unix)]
mod violence;
