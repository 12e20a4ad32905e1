//! What the bench `compaction` is made of: databases on counted files (`counted_files`), what fills
//! them (`workload`), and its parts: what is written and what lies on the disk (`writes`), memory
//! (`memory`), reads and commits before, beside and after (`reads`).

mod counted_files;
pub mod memory;
pub mod reads;
pub mod workload;
pub mod writes;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use counted_files::CountedFiles;
use omen_benches::readings_schema;
use omen_provider::{Database, Options, Table, TableDefinition};
use tempfile::TempDir;
use workload::Workload;

/// Whatever may go wrong ends the bench.
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Work in the background is over when nothing was written for so long.
const QUIET: Duration = Duration::from_millis(700);
/// Nothing of what is measured here takes so long.
const QUIET_AT_LAST: Duration = Duration::from_secs(600);

/// A database with an empty table of readings, on counted files in a directory that goes with it.
pub struct Counted {
    /// The files.
    pub files: CountedFiles,
    /// The database.
    pub db: Database,
    /// Its table.
    pub table: Table,
    directory: TempDir,
}

impl Counted {
    /// Makes it.
    pub async fn create(options: Options) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let files = CountedFiles::default();
        let store = files.store(&directory.path().join("readings.db"));
        let db = options.open_store(store).await?;
        let definition = TableDefinition::new("readings", &readings_schema()).primary_key(["id"]);
        db.create_table(definition, false).await?;
        let table = db.table("readings")?;
        Ok(Self { files, db, table, directory })
    }

    /// Waits until nothing is written any more: the database has come to rest.
    pub async fn rest(&self) -> Result<()> {
        let started = Instant::now();
        let (mut written, mut since) = (self.files.totals().written(), Instant::now());
        while since.elapsed() < QUIET {
            if started.elapsed() > QUIET_AT_LAST {
                return Err("work in the background does not come to an end".into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            let now = self.files.totals().written();
            if now != written {
                (written, since) = (now, Instant::now());
            }
        }
        Ok(())
    }

    /// Has everything that came in flushed and what is due done, as it would be in time.
    pub async fn settle(&self, workload: Workload, rows: u64) -> Result<()> {
        self.rest().await?;
        self.db.checkpoint().await?;
        workload.touch(&self.table, rows).await?;
        self.rest().await
    }

    /// Segments of the table.
    pub async fn segments(&self) -> usize {
        let tables = self.db.inspect().await.tables;
        let parts = tables.iter().flat_map(|table| &table.parts);
        parts.filter(|part| part.kind == "segment").count()
    }

    /// Bytes in the directory as the file system says, but for the reserve.
    pub fn listed_bytes(&self) -> Result<u64> {
        bytes_below(self.directory.path())
    }
}

fn bytes_below(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => bytes_below(&entry.path())?,
            false if entry.file_name() == "reserve" => 0,
            false => entry.metadata()?.len(),
        };
    }
    Ok(bytes)
}
