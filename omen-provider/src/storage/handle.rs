//! What keeps an open database up: shared by the database, its tables, sessions and scans.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use super::engine::Engine;

/// Keeps the engine up; when dropped, ends its work and frees the directory with the last of it.
#[derive(Debug)]
pub(crate) struct Handle {
    engine: Arc<Engine>,
    /// What queries share, which only the layer above knows.
    companion: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl Handle {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self { engine, companion: OnceLock::new() }
    }

    /// What is kept with the open database, made when it is first asked for.
    pub(crate) fn companion(
        &self,
        make: impl FnOnce() -> Arc<dyn Any + Send + Sync>,
    ) -> Arc<dyn Any + Send + Sync> {
        Arc::clone(self.companion.get_or_init(make))
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
