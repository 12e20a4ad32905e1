//! A file as a table, or all files that a pattern fits: `SELECT * FROM 'weather/*.parquet'`, in
//! sessions.
//!
//! DataFusion reads it. Called by [`super::catalog_provider`] for names that nothing else has;
//! [`super::own_files`] then refuses files of the database itself.

use std::path::Path;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::datasource::listing::{
    ListingTable, ListingTableConfig, ListingTableConfigExt, ListingTableUrl,
};
use datafusion::error::Result;
use datafusion::execution::SessionState;

use crate::error::Error;

/// Ends of names by which DataFusion knows what a file is.
const EXTENSIONS: [&str; 4] = ["csv", "json", "parquet", "arrow"];

/// The table that a name means if it is that of a file.
pub(super) async fn file_table(
    state: &SessionState,
    name: &str,
) -> Result<Option<Arc<dyn TableProvider>>> {
    let path = Path::new(name);
    let extension = path.extension().and_then(|extension| extension.to_str());
    let is_known = extension.is_some_and(|extension| EXTENSIONS.contains(&extension));
    let is_pattern = name.contains(['*', '?', '[']);
    if !is_known || !(is_pattern || path.is_file()) {
        return Ok(None);
    }
    if is_pattern && glob::glob(name).is_ok_and(|mut files| files.next().is_none()) {
        return Err(Error::NotFound(format!("no file fits {name}")).into());
    }
    let config = ListingTableConfig::new(ListingTableUrl::parse(name)?);
    let config = config.infer_options(state).await?.infer_schema(state).await?;
    Ok(Some(Arc::new(ListingTable::try_new(config)?)))
}
