//! Keeps statements away from the files of the database that they are given to: COPY would write
//! over them, and an external table over them would show rows that were deleted.
//!
//! Called by `session` for each plan. Knows a file by where it lies once links are followed.

use std::path::Path;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::error::Result;
use datafusion::logical_expr::{DdlStatement, LogicalPlan};

use crate::storage::database::refuse_nested;

/// Refuses a plan that names files in the directory of the database at `location`.
///
/// # Errors
/// [`crate::Error::InvalidInput`] naming both.
pub(super) fn refuse_own_files(location: &str, plan: &LogicalPlan) -> Result<()> {
    plan.apply(|node| {
        match node {
            LogicalPlan::Copy(copy) => refuse(location, &copy.output_url)?,
            LogicalPlan::Ddl(DdlStatement::CreateExternalTable(table)) => {
                table.locations.iter().try_for_each(|url| refuse(location, url))?;
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map(drop)
}

fn refuse(location: &str, url: &str) -> Result<()> {
    let url = ListingTableUrl::parse(url)?;
    if url.scheme() != "file" {
        return Ok(());
    }
    let path = Path::new("/").join(url.prefix().as_ref());
    Ok(refuse_nested(Path::new(location), &path)?)
}
