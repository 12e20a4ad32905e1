//! What OmenDB promises as a whole: one binary, one module for each promise.

mod arrow_types;
mod bounds;
mod crash;
mod damage;
mod deep_sql;
mod examples;
mod faulty_disk;
mod harness;
mod model;
mod pages;
mod readers;
mod refusals;
mod sql;
mod tidy;
