//! The `omen` command from outside: what it prints where, and how it ends.

// Functions that tests share are not marked as tests.
#![allow(clippy::unwrap_used)]

mod demo;
mod import;
mod omen;
mod output;
mod script;
mod tools;
