//! What OmenDB promises as a whole: one binary, one module for each promise.

mod arrow_types;
mod backup;
mod bounds;
mod crash;
mod damage;
mod deep_sql;
mod differential;
mod disk_full;
mod examples;
mod faulty_disk;
mod fuzzing;
mod golden;
mod harness;
mod model;
mod oracles;
mod pages;
mod publication;
mod readers;
mod recovery;
mod refusals;
mod schedules;
mod sql;
mod teeth;
mod tidy;
