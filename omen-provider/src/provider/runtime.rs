//! What the queries of one database may use: memory, and files when memory does not do.
//!
//! One runtime of DataFusion for each open database, made with its first session and shared by all
//! of them: [`Options::query_bytes_max`](crate::Options) and `spill_bytes_max` bound all queries
//! together. `SET datafusion.runtime.memory_limit` and `…max_temp_directory_size` change these
//! limits of the whole database, as long as it is open, and `SHOW` says what they are; DataFusion
//! would give the session a memory of its own instead. A context of the application's, to which
//! tables are registered, keeps its own runtime.
//!
//! Called by `session`. Invariant: no statement of a session takes it out of the shared limits.

use std::any::Any;
use std::sync::{Arc, Weak};

use datafusion::error::Result;
use datafusion::execution::disk_manager::DiskManager;
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::logical_expr::{LogicalPlan, Statement};
use datafusion::prelude::{SessionConfig, SessionContext};

use super::query_pool::QueryPool;
use super::spill::{Space, SpillFiles};
use crate::error::Error;
use crate::storage::handle::Handle;

/// Where the settings begin that are not a session's own.
const RUNTIME: &str = "datafusion.runtime.";

/// Of the memory of queries, the partitions of a sort together keep at most this part back for
/// merging.
const MERGE_SHARE: usize = 16;

/// And no more than this part where that is enough to begin with: a statement may have dozens of
/// sorts, which all keep theirs back at once.
const MERGE_SHARE_OF_MANY: usize = 512;
const ENOUGH_FOR_MERGING: usize = 64 << 10;

/// What the queries of a database share.
pub(super) struct QueryRuntime {
    env: Arc<RuntimeEnv>,
    pool: Arc<QueryPool>,
    space: Arc<Space>,
    limits: Limits,
}

/// What the options say.
#[derive(Clone, Copy)]
struct Limits {
    memory: usize,
    space: u64,
}

impl QueryRuntime {
    /// The runtime of an open database.
    pub(super) fn of(handle: &Arc<Handle>) -> Arc<Self> {
        let make = || Arc::new(Self::new(handle)) as Arc<dyn Any + Send + Sync>;
        // Nothing else is ever kept there.
        handle.companion(make).downcast().unwrap_or_else(|_| Arc::new(Self::new(handle)))
    }

    fn new(handle: &Arc<Handle>) -> Self {
        let options = handle.engine().options();
        let limits = Limits { memory: options.query_bytes_max, space: options.spill_bytes_max };
        let engine: Weak<_> = Arc::downgrade(handle.engine());
        let folder = move || match engine.upgrade() {
            Some(engine) => engine.spill_folder(),
            None => Err(Error::Unavailable("closed")),
        };
        let files = SpillFiles::new(Box::new(folder), limits.space);
        let (space, pool) = (Arc::clone(files.space()), Arc::new(QueryPool::new(limits.memory)));
        let disk = DiskManager::builder()
            .with_temp_file_factory(Arc::new(files))
            .with_max_temp_directory_size(limits.space);
        let memory_pool: Arc<dyn MemoryPool> = Arc::clone(&pool) as _;
        let builder = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::clone(&memory_pool))
            .with_disk_manager_builder(disk);
        // Only a folder that cannot be made would make it fail; this one is made later.
        let within_memory = || Arc::new(RuntimeEnv { memory_pool, ..RuntimeEnv::default() });
        let env = builder.build_arc().unwrap_or_else(|_| within_memory());
        Self { env, pool, space, limits }
    }

    /// The runtime, for a session.
    pub(super) fn env(&self) -> Arc<RuntimeEnv> {
        Arc::clone(&self.env)
    }

    /// The memory of all queries.
    pub(super) fn pool(&self) -> &Arc<QueryPool> {
        &self.pool
    }

    /// Bytes that all queries together may hold.
    pub(super) fn memory_limit(&self) -> usize {
        self.pool.limit()
    }

    /// Changes them.
    pub(super) fn set_memory_limit(&self, bytes: usize) {
        self.pool.set_limit(bytes);
    }

    /// Bytes that the files of all queries together may have.
    pub(super) fn space_limit(&self) -> u64 {
        self.space.limit()
    }

    /// Changes them.
    pub(super) fn set_space_limit(&self, bytes: u64) -> Result<()> {
        self.space.set_limit(bytes);
        self.env.disk_manager.set_max_temp_directory_size(bytes)
    }

    /// `config`, if its sorts would keep more back for merging than there is.
    pub(super) fn fitted(&self, mut config: SessionConfig) -> SessionConfig {
        let partitions = config.target_partitions().max(1);
        let execution = &mut config.options_mut().execution;
        let share = |part: usize| self.limits.memory / part / partitions;
        let most = share(MERGE_SHARE).min(share(MERGE_SHARE_OF_MANY).max(ENOUGH_FOR_MERGING));
        let kept = &mut execution.sort_spill_reservation_bytes;
        *kept = (*kept).min(most);
        config
    }

    /// Carries out a SET or RESET of what all sessions share; false if `plan` is nothing of that.
    pub(super) fn set(&self, plan: &LogicalPlan) -> Result<bool> {
        let (variable, value) = match plan {
            LogicalPlan::Statement(Statement::SetVariable(set)) => {
                (&set.variable, Some(set.value.as_str()))
            }
            LogicalPlan::Statement(Statement::ResetVariable(reset)) => (&reset.variable, None),
            _ => return Ok(false),
        };
        let bytes = |value| SessionContext::parse_capacity_limit(variable, value);
        match variable.strip_prefix(RUNTIME) {
            Some("memory_limit") => {
                self.set_memory_limit(value.map_or(Ok(self.limits.memory), bytes)?);
            }
            Some("max_temp_directory_size") => {
                let chosen = value.map(bytes).transpose()?.map(|bytes| bytes as u64);
                self.set_space_limit(chosen.unwrap_or(self.limits.space))?;
            }
            Some("max_spill_merge_fan_in") => {
                let chosen = value.map(|text| text.parse().map_err(|_| not_a_number(text)));
                self.env.disk_manager.set_max_spill_merge_fan_in(chosen.unwrap_or(Ok(0))?);
            }
            Some("temp_directory") => {
                return Err(Error::invalid(
                    "queries of a database write to its own folder \"spill\", or, if it is \
                     read-only or in an object store, to the system's temporary directory (TMPDIR)",
                )
                .into());
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn not_a_number(text: &str) -> Error {
    Error::invalid(format!("a whole number is expected, found {text:?}"))
}
