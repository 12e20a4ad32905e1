//! The `omen` command from outside: what it prints where, and how it ends.

mod demo;
mod import;
mod omen;
mod output;
mod script;
mod tools;
