//! Backup of an open database: of the version that readers see, whoever writes meanwhile.
//!
//! Its segments stay as long as the version is held, also where another process writes: they hold
//! the reader's pin.

use std::sync::Arc;

use super::Engine;
use super::upkeep::lock;
use crate::error::Result;
use crate::storage::backup::{self, BackupReport, Progress};
use crate::storage::manifest::Line;
use crate::storage::store::Store;
use crate::storage::version::Version;

impl Engine {
    /// Brings the backup in `target` to the state of the newest durable statement, or makes one.
    pub async fn back_up(&self, target: Store, progress: Progress<'_>) -> Result<BackupReport> {
        self.check_open()?;
        let (version, line) = (self.durable_version().await?, self.line());
        backup::back_up(&version, &line, target, &self.medium.options, progress).await
    }

    /// Makes a database of its own in `target`.
    pub async fn restore(&self, target: Store, progress: Progress<'_>) -> Result<BackupReport> {
        self.check_open()?;
        let (version, line) = (self.durable_version().await?, self.line());
        backup::restore(&version, &line, target, &self.medium.options, progress).await
    }

    /// What readers see, as soon as a power cut takes nothing of it: a copy must not be ahead of
    /// what it is a copy of.
    async fn durable_version(&self) -> Result<Arc<Version>> {
        let version = self.published.get();
        if let Some(writer) = &self.writer {
            writer.log.wait_durable(version.lsn).await?;
        }
        Ok(version)
    }

    fn line(&self) -> Line {
        match &self.writer {
            Some(writer) => lock(&writer.upkeep.standing).line.clone(),
            None => lock(&self.opened).line.clone(),
        }
    }
}
