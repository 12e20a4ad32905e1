//! `omen compact`: leaves every table as disjoint Parquet files without deleted rows.

use std::path::Path;
use std::time::Instant;

use omen_provider::Options;

use crate::args::MemoryArguments;
use crate::failure::Result;
use crate::interrupt::interruptible_apart;
use crate::{notes, open};

/// Runs the subcommand; says where the files of each table are.
pub(crate) async fn run(path: &Path, memory: MemoryArguments) -> Result<()> {
    let options = Options { create: false, ..memory.options() };
    let database = open::open(Some(path), options).await?;
    let started = Instant::now();
    let compacted = database.clone();
    interruptible_apart(async move { Ok(compacted.compact().await?) }).await?;
    let elapsed = notes::time(started.elapsed());
    for table in &database.inspect().await.tables {
        let bytes = table.parts.iter().map(|part| part.bytes).sum();
        notes::note(format!(
            "{}: {}, {} in {}",
            table.name,
            notes::rows(table.rows),
            notes::bytes(bytes),
            notes::counted(table.parts.len() as u64, "file"),
        ));
        for file in table.parts.iter().filter_map(|part| part.file.as_ref()) {
            notes::note(format!("  {}", path.join(file).display()));
        }
    }
    notes::note(format!("compacted in {elapsed}"));
    open::close(database).await
}
