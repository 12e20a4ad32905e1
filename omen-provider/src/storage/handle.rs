//! What keeps an open database up: shared by the database, its tables, sessions and scans.

use std::sync::Arc;

use super::engine::Engine;

/// Keeps the engine up; when dropped, ends its work and frees the directory with the last of it.
#[derive(Debug)]
pub(crate) struct Handle {
    engine: Arc<Engine>,
}

impl Handle {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.engine.shut_down();
    }
}
