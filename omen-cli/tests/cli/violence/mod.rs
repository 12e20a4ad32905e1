//! The real command under real violence: killed, cut off from power, refused by the system's
//! calls, and out of room.
//!
//! A [`ledger::Ledger`] makes numbered statements and knows what the database must hold after each
//! prefix of them. The command runs them as a process of its own; what it has acknowledged is read
//! from its standard error and kept here, outside of anything that is harmed. Then the violence,
//! and the rows that are left must be those of the acknowledged statements, or of one more that was
//! under way.
//!
//! Suites that need what a machine may lack (root, loop devices, strace) leave themselves out, and
//! say so in one line each ([`missing`]).

mod descriptors;
mod dropped_tail;
mod kill;
mod ledger;
mod missing;
mod rounds;
mod running;

#[cfg(target_os = "linux")]
mod inject;
#[cfg(target_os = "linux")]
mod loop_disk;
#[cfg(target_os = "linux")]
mod power;
#[cfg(target_os = "linux")]
mod small_disk;
#[cfg(target_os = "linux")]
mod strace;
