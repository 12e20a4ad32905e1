//! The tests of the whole: one binary, one module for each promise.

mod tidy;
