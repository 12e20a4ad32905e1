//! All tables of a statement are read as of one moment.
//!
//! DataFusion resolves the tables of a statement one by one, before planning; a write may come in
//! between. This analyzer rule, which sees the whole statement once and first, binds every scan of
//! the database's tables, in subqueries too, and what UPDATE and DELETE do with them, to one
//! snapshot. It also makes views and prepared
//! statements read what is there when they run, not what was there when they were made.
//!
//! Installed by `register` and by every session.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::error::Result;
use datafusion::logical_expr::{DmlStatement, Extension, LogicalPlan, TableSource};
use datafusion::optimizer::AnalyzerRule;

use super::current_transaction::CurrentTransaction;
use super::edit_target::EditTarget;
use super::introspection::SystemTable;
use super::own_nodes::OwnNode;
use super::table_provider::OmenTable;
use crate::error::Error;
use crate::storage::engine::Within;
use crate::storage::handle::Handle;
use crate::storage::snapshot::Snapshot;

/// Binds the scans of one database's tables to one snapshot.
#[derive(Debug)]
pub(super) struct PinSnapshot {
    handle: Arc<Handle>,
    current: CurrentTransaction,
}

/// What the scans of a statement are bound to.
struct Moment {
    snapshot: Snapshot,
    /// The moment's number, see [`Basis`](crate::storage::engine::Basis).
    since: u64,
    within: Within,
}

impl PinSnapshot {
    pub(super) fn new(handle: Arc<Handle>, current: CurrentTransaction) -> Self {
        Self { handle, current }
    }

    /// `table` as of `moment`, if it is one of this database's.
    fn pin(&self, table: &OmenTable, moment: &Moment) -> Result<Option<OmenTable>> {
        if !Arc::ptr_eq(table.handle(), &self.handle) {
            return Ok(None);
        }
        let schema = table.table_schema();
        match moment.snapshot.table(&schema.name) {
            Some(now)
                if now.schema().id == schema.id && now.schema().visible() == schema.visible() =>
            {
                Ok(Some(table.at(now, moment.within.clone())))
            }
            _ => Err(Error::Conflict(format!(
                "table \"{}\" was dropped or changed after the statement was planned",
                schema.name
            ))
            .into()),
        }
    }

    /// What a statement edits, as of `moment`, if it is of this database.
    fn pin_edit(
        &self,
        statement: &DmlStatement,
        moment: &Moment,
    ) -> Result<Option<Arc<dyn TableSource>>> {
        let Ok(provider) = source_as_provider(&statement.target) else { return Ok(None) };
        let Some(edit) = provider.downcast_ref::<EditTarget>() else { return Ok(None) };
        let table = self.pin(edit.table(), moment)?;
        let rows = || Arc::clone(&statement.input);
        let pinned = table.map(|table| edit.at(moment.since, table, rows()));
        Ok(pinned.map(|edit| provider_as_source(Arc::new(edit))))
    }

    /// What `source` reads or takes, as of `moment`, if it is of this database.
    fn pin_source(
        &self,
        source: &Arc<dyn TableSource>,
        moment: &Moment,
    ) -> Result<Option<Arc<dyn TableSource>>> {
        let Ok(provider) = source_as_provider(source) else { return Ok(None) };
        if let Some(table) = provider.downcast_ref::<OmenTable>() {
            let pinned = self.pin(table, moment)?;
            return Ok(pinned.map(|table| provider_as_source(Arc::new(table))));
        }
        if let Some(table) = provider.downcast_ref::<SystemTable>() {
            let pinned = table.at(&self.handle, &moment.snapshot);
            return Ok(pinned.map(|table| provider_as_source(Arc::new(table))));
        }
        Ok(None)
    }

    /// A lookup in a table as of `moment`, if it is one of this database.
    fn pin_lookup(&self, extension: &Extension, moment: &Moment) -> Result<Option<LogicalPlan>> {
        let Some(node) = extension.node.as_any().downcast_ref::<OwnNode>() else { return Ok(None) };
        let Some(lookup) = node.lookup() else { return Ok(None) };
        let table = self.pin(lookup.table(), moment)?;
        Ok(table.map(|table| node.with_lookup(lookup.at(table)).into_plan()))
    }
}

impl AnalyzerRule for PinSnapshot {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let within = planned_within(&plan)?.unwrap_or_else(|| self.current.get());
        let (snapshot, since) = self.handle.engine().snapshot_within(&within);
        let moment = Moment { snapshot, since, within };
        let pinned = plan.transform_down_with_subqueries(|node| match node {
            LogicalPlan::TableScan(mut scan) => {
                let source = self.pin_source(&scan.source, &moment)?;
                let is_pinned = source.is_some();
                scan.source = source.unwrap_or(scan.source);
                Ok(Transformed::new_transformed(LogicalPlan::TableScan(scan), is_pinned))
            }
            LogicalPlan::Dml(mut dml) => {
                let target = match self.pin_edit(&dml, &moment)? {
                    None => self.pin_source(&dml.target, &moment)?,
                    edit => edit,
                };
                let is_pinned = target.is_some();
                dml.target = target.unwrap_or(dml.target);
                Ok(Transformed::new_transformed(LogicalPlan::Dml(dml), is_pinned))
            }
            LogicalPlan::Extension(extension) => {
                let pinned = self.pin_lookup(&extension, &moment)?;
                let is_pinned = pinned.is_some();
                let node = pinned.unwrap_or(LogicalPlan::Extension(extension));
                Ok(Transformed::new_transformed(node, is_pinned))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(pinned.data)
    }

    fn name(&self) -> &'static str {
        "pin_snapshot"
    }
}

/// The transaction to which a statement belongs that was planned before, and is planned anew.
fn planned_within(plan: &LogicalPlan) -> Result<Option<Within>> {
    let mut within = None;
    plan.apply(|node| {
        if let LogicalPlan::Dml(statement) = node
            && let Ok(provider) = source_as_provider(&statement.target)
            && let Some(edit) = provider.downcast_ref::<EditTarget>()
        {
            within = edit.planned_within().cloned();
        }
        Ok(match within {
            Some(_) => TreeNodeRecursion::Stop,
            None => TreeNodeRecursion::Continue,
        })
    })?;
    Ok(within)
}
