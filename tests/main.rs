//! Integration tests.

mod faulty_disk;
