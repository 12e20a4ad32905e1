//! Stands in for `std::sync`: each lock and each atomic is a point of the schedule.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex as Inner, MutexGuard as InnerGuard, TryLockError};

#[allow(unused_imports, reason = "each of the crates that include this uses another part")]
pub use std::sync::{Arc, LockResult, OnceLock, PoisonError};

use super::{Parked, park, pause};

/// A lock.
#[derive(Default)]
pub struct Mutex<T> {
    value: Inner<T>,
    waiting: Inner<Vec<Parked>>,
}

/// A lock that is held.
pub struct MutexGuard<'a, T> {
    value: Option<InnerGuard<'a, T>>,
    waiting: &'a Inner<Vec<Parked>>,
}

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Self { value: Inner::new(value), waiting: Inner::default() }
    }

    /// As that of `std`; a holder that panicked is passed over, since its schedule has failed.
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        pause();
        loop {
            let value = match self.value.try_lock() {
                Ok(value) => value,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {
                    self.waiting.lock().unwrap().extend(Parked::me());
                    if park() {
                        continue;
                    }
                    self.value.lock().unwrap_or_else(PoisonError::into_inner)
                }
            };
            return Ok(MutexGuard { value: Some(value), waiting: &self.waiting });
        }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        drop(self.value.take());
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap());
        waiting.iter().for_each(Parked::wake);
        if !std::thread::panicking() {
            pause();
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.value.as_ref().expect("a lock that is held")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("a lock that is held")
    }
}

pub mod atomic {
    //! Atomics; whatever order is asked for, all threads see one.

    use std::sync::atomic as plain;

    pub use plain::Ordering;

    use super::pause;

    /// A point.
    pub fn fence(_order: Ordering) {
        pause();
    }

    macro_rules! atomics {
        ($($name:ident of $value:ty),* $(,)?) => {$(
            /// As that of `std`.
            #[derive(Debug, Default)]
            pub struct $name(plain::$name);

            impl $name {
                pub fn new(value: $value) -> Self {
                    Self(plain::$name::new(value))
                }
                pub fn load(&self, order: Ordering) -> $value {
                    pause();
                    self.0.load(order)
                }
                pub fn store(&self, value: $value, order: Ordering) {
                    pause();
                    self.0.store(value, order);
                }
                pub fn compare_exchange(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    pause();
                    self.0.compare_exchange(current, new, success, failure)
                }
            }
        )*};
    }

    atomics!(AtomicU16 of u16, AtomicU64 of u64, AtomicUsize of usize, AtomicBool of bool);
}
