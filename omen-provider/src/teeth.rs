//! Planted bugs, by which the harnesses of the tests prove that they find what they are for.
//!
//! Each is a place in the code where a promise is kept, and is not while the bug is planted there.
//! They are in builds with the feature `teeth` alone, which only test packages ask for, as a
//! dev-dependency; in all others [`planted`] is constant and nothing of them remains. No variable
//! and no option plants one: that takes a call of [`plant`], and holds for the calling thread.
//!
//! Called by whatever keeps one of these promises; calls nothing.

/// A promise that is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tooth {
    /// The log is written and never synced.
    NoLogSync,
    /// Names of files are given and taken, and their directory is never synced.
    NoDirectorySync,
    /// The log is removed before the manifest that makes it needless is published.
    LogRemovedEarly,
    /// Bytes are read and not compared with their checksum.
    ChecksumSkipped,
    /// A statement is acknowledged when it is written; the next one syncs it.
    AcknowledgedBeforeSync,
    /// After a failed write or sync the log goes on.
    NoPoisoning,
}

#[cfg(feature = "teeth")]
impl Tooth {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::NoLogSync,
        Self::NoDirectorySync,
        Self::LogRemovedEarly,
        Self::ChecksumSkipped,
        Self::AcknowledgedBeforeSync,
        Self::NoPoisoning,
    ];
}

/// Whether this bug is planted: never, without the feature `teeth`.
#[cfg(not(feature = "teeth"))]
pub(crate) const fn planted(_: Tooth) -> bool {
    false
}

#[cfg(feature = "teeth")]
pub(crate) use with_teeth::planted;
#[cfg(feature = "teeth")]
pub use with_teeth::{MARKER, Planted, plant};

#[cfg(feature = "teeth")]
mod with_teeth {
    use std::cell::Cell;
    use std::marker::PhantomData;

    use crate::teeth::Tooth;

    /// Stands in every binary that has the feature, for who looks whether one does.
    pub const MARKER: &str = "omendb teeth: this build can be told to break its promises";

    thread_local! {
        static PLANTED: Cell<Option<Tooth>> = const { Cell::new(None) };
    }

    /// A planted bug; dropped, it is gone.
    #[derive(Debug)]
    #[must_use = "dropped, the bug is gone"]
    pub struct Planted {
        before: Option<Tooth>,
        /// It belongs to its thread.
        _thread: PhantomData<*const ()>,
    }

    /// Plants a bug, or none, for what this thread does from now on.
    pub fn plant(tooth: impl Into<Option<Tooth>>) -> Planted {
        Planted { before: PLANTED.replace(tooth.into()), _thread: PhantomData }
    }

    impl Drop for Planted {
        fn drop(&mut self) {
            PLANTED.set(self.before);
        }
    }

    /// Whether this bug is planted on this thread.
    pub(crate) fn planted(tooth: Tooth) -> bool {
        std::hint::black_box(MARKER);
        PLANTED.get() == Some(tooth)
    }
}
