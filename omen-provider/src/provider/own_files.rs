//! Keeps statements away from the files of the database that they are given to: COPY would write
//! over them, and an external table over them would show rows that were deleted.
//!
//! Called by `session` for each plan. Knows a file by where it lies once links are followed.

use std::path::Path;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::listing::{ListingTable, ListingTableUrl};
use datafusion::datasource::source_as_provider;
use datafusion::error::Result;
use datafusion::logical_expr::{DdlStatement, LogicalPlan, TableSource};

use crate::storage::database::refuse_nested;

/// Refuses a plan that names files in the directory of the database at `location`.
///
/// # Errors
/// [`crate::Error::InvalidInput`] naming both.
pub(super) fn refuse_own_files(location: &str, plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::Copy(copy) => refuse(location, &copy.output_url)?,
            LogicalPlan::Ddl(DdlStatement::CreateExternalTable(table)) => {
                table.locations.iter().try_for_each(|url| refuse(location, url))?;
            }
            LogicalPlan::TableScan(scan) => refuse_source(location, &scan.source)?,
            LogicalPlan::Dml(statement) => refuse_source(location, &statement.target)?,
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map(drop)
}

/// Refuses a path in that directory.
///
/// # Errors
/// As [`refuse_own_files`].
pub(super) fn refuse_own_path(location: &str, path: &str) -> crate::Result<()> {
    let path = path.strip_prefix("file://").unwrap_or(path);
    refuse_nested(Path::new(location), Path::new(path))
}

/// Refuses a table of such files.
fn refuse_source(location: &str, source: &Arc<dyn TableSource>) -> Result<()> {
    let provider = source_as_provider(source).ok();
    let files = provider.as_ref().and_then(|table| table.downcast_ref::<ListingTable>());
    let paths = files.map(ListingTable::table_paths).into_iter().flatten();
    paths.into_iter().try_for_each(|path| refuse_url(location, path))
}

fn refuse(location: &str, url: &str) -> Result<()> {
    refuse_url(location, &ListingTableUrl::parse(url)?)
}

fn refuse_url(location: &str, url: &ListingTableUrl) -> Result<()> {
    if url.scheme() != "file" {
        return Ok(());
    }
    let path = Path::new("/").join(url.prefix().as_ref());
    Ok(refuse_nested(Path::new(location), &path)?)
}
