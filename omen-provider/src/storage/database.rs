//! The front door: opening a database, its tables, its care.
//!
//! A [`Database`] and everything made from it share one handle; when the last of them is dropped,
//! background work stops, and with the last of it the directory is free again: who opens it anew
//! in this process waits for that. Snapshots and streams outlive the handle. Nothing is lost by not
//! calling [`Database::close`]; it only makes the next open quicker.

use std::path::Path;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use futures::stream::{Stream, StreamExt};

use super::backup::{BackupReport, Progress};
use super::definition::TableDefinition;
use super::engine::{
    Engine, Existing, Inspection, SampleLimits, TableSample, VerifyReport, Within,
};
use super::handle::Handle;
use super::recovery::{DroppedTail, LogCut};
use super::snapshot::Snapshot;
use super::store::{DirectoryLock, Store};
use super::table::Table;
use crate::error::{Error, Result};
use crate::options::Options;

mod schemas;

/// An open database.
///
/// ```no_run
/// # async fn example() -> Result<(), omen_provider::Error> {
/// let db = omen_provider::Database::open("weather").await?;
/// let readings = db.table("readings")?;
/// let row = readings.get(("EWR", 1_357_034_400_i64)).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Database {
    handle: Arc<Handle>,
}

impl Options {
    /// Opens the database in a directory with these options.
    ///
    /// # Errors
    /// [`Error::Locked`] if it is open for writing elsewhere, [`Error::NotFound`] if there is none
    /// and it may not be created, [`Error::Corruption`] naming the file that is damaged.
    pub async fn open(self, directory: impl AsRef<Path>) -> Result<Database> {
        self.check()?;
        let directory = directory.as_ref();
        if self.read_only || !self.create {
            let shown = directory.display().to_string();
            match directory.join("manifest").metadata() {
                Ok(metadata) if metadata.is_dir() => {}
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                    return Err(Error::io(shown, error));
                }
                _ => return Err(Error::NotFound(format!("there is no database in {shown}"))),
            }
        }
        refuse_foreign_directory(directory)?;
        self.open_files(directory, Store::local(directory)).await
    }

    /// Opens the database in a directory, whose files are read and written by `store`.
    pub(crate) async fn open_files(self, directory: &Path, store: Store) -> Result<Database> {
        let lock = match self.read_only {
            true => None,
            false => Some(DirectoryLock::acquire_after(directory).await?),
        };
        Database::start(store, lock, self).await
    }

    /// Checks the files of the database in a directory, whether it opens or not: every checksum,
    /// every page, every key's order. Writes nothing. What only an open database knows, that no two
    /// parts have a live row of one key, [`Database::verify`] checks.
    pub async fn verify(self, directory: impl AsRef<Path>) -> VerifyReport {
        VerifyReport::of_files(Store::local(directory), self).await
    }

    /// Where the log of the database in a directory is damaged, so that the database cannot be
    /// opened; `None` if it is not. Writes nothing.
    ///
    /// # Errors
    /// As [`Options::open`], for any damage that is not in the log.
    pub async fn find_log_damage(self, directory: impl AsRef<Path>) -> Result<Option<LogCut>> {
        Engine::find_cut(Store::local(directory), self).await
    }

    /// Cuts the log of the database in a directory before what is damaged: statements from there on
    /// are given up, acknowledged ones too. The log files as they were are kept in the database's
    /// folder `lost`. Returns what was cut; `None`, and nothing is done, if no log is damaged.
    ///
    /// # Errors
    /// As [`Options::open`], for any damage that is not in the log.
    pub async fn cut_damaged_log(self, directory: impl AsRef<Path>) -> Result<Option<LogCut>> {
        let directory = directory.as_ref();
        if Engine::find_cut(Store::local(directory), self.clone()).await?.is_none() {
            return Ok(None);
        }
        let lock = DirectoryLock::acquire_after(directory).await?;
        let (engine, cut) = Engine::cut_log(Store::local(directory), Some(lock), self).await?;
        engine.shut_down();
        Ok(cut)
    }

    /// Makes a database of a backup, in a directory that is empty or not there: with a new id, so
    /// that it is a database of its own, and with every file checked as it is copied. `progress` is
    /// told how many bytes of how many are done.
    ///
    /// # Errors
    /// [`Error::Corruption`] naming the file of the backup that is damaged; [`Error::InvalidInput`]
    /// if the directory is not empty. No database is made then.
    pub async fn restore(
        self,
        backup: impl AsRef<Path>,
        directory: impl AsRef<Path>,
        progress: Progress<'_>,
    ) -> Result<BackupReport> {
        let (backup, directory) = (backup.as_ref(), directory.as_ref());
        refuse_nested(backup, directory)?;
        refuse_foreign_directory(directory)?;
        let options = Self { read_only: true, create: false, ..self };
        let database = options.open(backup).await?;
        let _lock = DirectoryLock::acquire(directory)?;
        database.handle.engine().restore(Store::local(directory), progress).await
    }

    /// Opens the database in any store.
    ///
    /// # Errors
    /// As [`Options::open`].
    pub async fn open_store(self, store: Store) -> Result<Database> {
        self.check()?;
        Database::start(store, None, self).await
    }
}

impl Database {
    /// Opens the database in a directory for reading and writing, creating it if there is none.
    ///
    /// # Errors
    /// As [`Options::open`].
    pub async fn open(directory: impl AsRef<Path>) -> Result<Self> {
        Options::default().open(directory).await
    }

    async fn start(store: Store, lock: Option<DirectoryLock>, options: Options) -> Result<Self> {
        let engine = Engine::open(store, lock, options).await?;
        Ok(Self { handle: Arc::new(Handle::new(engine)) })
    }

    /// Where it lies: a directory or URL.
    pub fn location(&self) -> &str {
        self.handle.engine().location()
    }

    /// The names of all tables, sorted.
    pub fn table_names(&self) -> Vec<String> {
        self.snapshot().table_names()
    }

    /// A table.
    ///
    /// # Errors
    /// [`Error::NotFound`] naming the tables there are.
    pub fn table(&self, name: &str) -> Result<Table> {
        self.handle.engine().table(name)?;
        Ok(Table::new(Arc::clone(&self.handle), name.to_string()))
    }

    /// Creates a table; false if it existed and `if_not_exists`.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], or [`Error::InvalidInput`] for a definition that makes no table.
    pub async fn create_table(
        &self,
        definition: TableDefinition,
        if_not_exists: bool,
    ) -> Result<bool> {
        let existing = if if_not_exists { Existing::Keep } else { Existing::Refuse };
        let in_schema = self.snapshot().schema_of(&definition.name).is_some();
        let engine = self.handle.engine();
        engine.create_table(&Within::default(), definition, in_schema, existing).await
    }

    /// Creates a table and fills it from a stream, as one atomic statement in bounded memory;
    /// returns how many rows it has.
    ///
    /// # Errors
    /// Those of [`Database::create_table`] and [`Table::insert`]. There is no table then.
    pub async fn create_table_from(
        &self,
        definition: TableDefinition,
        rows: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
    ) -> Result<u64> {
        let in_schema = self.snapshot().schema_of(&definition.name).is_some();
        let (engine, within) = (self.handle.engine(), Within::default());
        let rows = rows.boxed();
        let count =
            engine.create_table_as(&within, definition, in_schema, Existing::Refuse, rows).await?;
        Ok(count.unwrap_or(0))
    }

    /// Drops a table; false if there was none and `if_exists`.
    ///
    /// # Errors
    /// [`Error::NotFound`] naming the tables there are.
    pub async fn drop_table(&self, name: &str, if_exists: bool) -> Result<bool> {
        self.handle.engine().drop_table(&Within::default(), name, if_exists).await
    }

    /// The database as of now; later statements do not change it.
    pub fn snapshot(&self) -> Snapshot {
        self.handle.engine().snapshot()
    }

    /// Brings a database that was opened read-only up to date with the process that writes it:
    /// every statement acknowledged there before this call is visible afterwards. Returns the
    /// position of the newest visible statement. Snapshots, streams and plans from before stay what
    /// they were. A database opened for writing is always up to date.
    ///
    /// # Errors
    /// [`Error::Corruption`] naming the file that is damaged, [`Error::Conflict`] if a writer went
    /// on too fast; what was visible before stays so.
    pub async fn refresh(&self) -> Result<u64> {
        self.handle.engine().refresh().await
    }

    /// Brings all rows into segments and empties the log.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk refuses; everything is still in the log then.
    pub async fn checkpoint(&self) -> Result<()> {
        self.handle.engine().checkpoint().await
    }

    /// Rewrites every table as disjoint segments without deleted rows: files that any Parquet
    /// reader sees as the table.
    ///
    /// # Errors
    /// As [`Database::checkpoint`].
    pub async fn compact(&self) -> Result<()> {
        self.handle.engine().compact().await
    }

    /// Reads everything and checks it: checksums, key order, indexes, counts.
    ///
    /// # Errors
    /// Only if checking itself fails; what is wrong stands in the report.
    pub async fn verify(&self) -> Result<VerifyReport> {
        self.handle.engine().verify().await
    }

    /// What opening it for writing found behind the last complete statement of the log, and
    /// dropped: pieces of a statement that a crash cut short, and nobody was told to be there.
    pub fn dropped_tail(&self) -> Option<&DroppedTail> {
        self.handle.engine().dropped_tail()
    }

    /// What is where, how large, how well indexed.
    pub async fn inspect(&self) -> Inspection {
        self.handle.engine().inspect().await
    }

    /// The state of a table with samples of its largest indexes; `progress` is told how many keys
    /// of how many were read.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such table, [`Error::Corruption`] naming the file that is
    /// damaged.
    pub async fn sample_indexes(
        &self,
        table: &str,
        limits: SampleLimits,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<TableSample> {
        self.handle.engine().sample_indexes(table, limits, progress).await
    }

    /// Makes a backup in a directory, or brings the one there to the present state: only what is
    /// new is copied, or was damaged there since, for which what is there is read. The backup holds
    /// the database as of one statement, whoever writes meanwhile, and is itself a database:
    /// [`Options::read_only`] opens it as it is.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the directory is this database's own or lies in it, or holds
    /// anything else than an earlier backup of it, also one that was opened for writing since;
    /// [`Error::Corruption`] naming a file of this database that is damaged. Whatever fails, and if
    /// the machine does, the earlier backup stays.
    pub async fn backup(&self, directory: impl AsRef<Path>) -> Result<BackupReport> {
        self.backup_with_progress(directory, &|_, _| {}).await
    }

    /// As [`Database::backup`]; `progress` is told how many bytes of how many are done.
    ///
    /// # Errors
    /// As [`Database::backup`].
    pub async fn backup_with_progress(
        &self,
        directory: impl AsRef<Path>,
        progress: Progress<'_>,
    ) -> Result<BackupReport> {
        let directory = directory.as_ref();
        refuse_nested(Path::new(self.location()), directory)?;
        refuse_foreign_directory(directory)?;
        let _lock = DirectoryLock::acquire(directory)?;
        self.backup_to_store(Store::local(directory), progress).await
    }

    /// As [`Database::backup_with_progress`], into any store. Nothing keeps a writer out of an
    /// object store; a backup that meets one fails.
    ///
    /// # Errors
    /// As [`Database::backup`].
    pub async fn backup_to_store(
        &self,
        store: Store,
        progress: Progress<'_>,
    ) -> Result<BackupReport> {
        self.handle.engine().back_up(store, progress).await
    }

    /// Flushes, compacts what takes little time, and frees the directory. Every handle made from
    /// this database is closed with it.
    ///
    /// # Errors
    /// As [`Database::checkpoint`]; nothing acknowledged is lost, and the directory is free all the
    /// same.
    pub async fn close(&self) -> Result<()> {
        self.handle.engine().close().await
    }

    pub(crate) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }
}

/// Refuses a directory for a copy of `source` that is the same, or lies in it.
pub(crate) fn refuse_nested(source: &Path, directory: &Path) -> Result<()> {
    // A database that lies in no directory has none in it.
    let Ok(source) = source.canonicalize() else { return Ok(()) };
    let directory = std::path::absolute(directory)
        .map_err(|e| Error::io(directory.display().to_string(), e))?;
    let there = directory.ancestors().find_map(|above| above.canonicalize().ok());
    if there.is_some_and(|there| there.starts_with(&source)) {
        return Err(Error::invalid(format!(
            "{} lies in the directory of {}; name another one",
            directory.display(),
            source.display()
        )));
    }
    Ok(())
}

/// Refuses to make a database among somebody's files: a path may be mistyped.
fn refuse_foreign_directory(directory: &Path) -> Result<()> {
    if directory.join("manifest").exists() || directory.join("LOCK").exists() {
        return Ok(());
    }
    let shown = directory.display();
    match directory.read_dir() {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Error::invalid(format!(
                "{shown} holds files and no database; name an empty or a new directory"
            ))),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            Err(Error::invalid(format!("{shown} is a file; a database is a directory")))
        }
        Err(error) => Err(Error::io(shown.to_string(), error)),
    }
}
