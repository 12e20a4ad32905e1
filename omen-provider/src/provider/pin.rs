//! All tables of a statement are read as of one moment.
//!
//! DataFusion resolves the tables of a statement one by one, before planning; a write may come in
//! between. This analyzer rule, which sees the whole statement once and first, binds every scan of
//! the database's tables, in subqueries too, to one snapshot. It also makes views and prepared
//! statements read what is there when they run, not what was there when they were made.
//!
//! Installed by `register` and by every session.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::error::Result;
use datafusion::logical_expr::{LogicalPlan, TableScan};
use datafusion::optimizer::AnalyzerRule;

use super::table_provider::OmenTable;
use crate::error::Error;
use crate::storage::handle::Handle;
use crate::storage::snapshot::Snapshot;

/// Binds the scans of one database's tables to one snapshot.
#[derive(Debug)]
pub(super) struct PinSnapshot {
    handle: Arc<Handle>,
}

impl PinSnapshot {
    pub(super) fn new(handle: Arc<Handle>) -> Self {
        Self { handle }
    }

    /// `scan` as of `snapshot`, if it is one of this database's tables.
    fn pin(&self, scan: &TableScan, snapshot: &Snapshot) -> Result<Option<OmenTable>> {
        let Ok(provider) = source_as_provider(&scan.source) else { return Ok(None) };
        let Some(table) = provider.downcast_ref::<OmenTable>() else { return Ok(None) };
        if !Arc::ptr_eq(table.handle(), &self.handle) {
            return Ok(None);
        }
        let schema = table.table_schema();
        match snapshot.table(&schema.name) {
            Some(now)
                if now.schema().id == schema.id && now.schema().visible() == schema.visible() =>
            {
                Ok(Some(table.at(now)))
            }
            _ => Err(Error::Conflict(format!(
                "table \"{}\" was dropped or changed after the statement was planned",
                schema.name
            ))
            .into()),
        }
    }
}

impl AnalyzerRule for PinSnapshot {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let snapshot = self.handle.engine().snapshot();
        let pinned = plan.transform_down_with_subqueries(|node| {
            let LogicalPlan::TableScan(mut scan) = node else { return Ok(Transformed::no(node)) };
            match self.pin(&scan, &snapshot)? {
                Some(table) => {
                    scan.source = provider_as_source(Arc::new(table));
                    Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
                }
                None => Ok(Transformed::no(LogicalPlan::TableScan(scan))),
            }
        })?;
        Ok(pinned.data)
    }

    fn name(&self) -> &'static str {
        "pin_snapshot"
    }
}
