//! What OmenDB promises as a whole: one binary, one module for each promise.

mod arrow_types;
mod bounds;
mod crash;
mod damage;
mod deep_sql;
mod disk_full;
mod examples;
mod faulty_disk;
mod harness;
mod model;
mod pages;
mod recovery;
mod refusals;
mod schedules;
mod sql;
mod teeth;
mod tidy;
