//! Embedded in a plain DataFusion `SessionContext`, next to tables that are not ours.
//!
//! `cargo run -p omen-provider --example datafusion`

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use omen_provider::Database;

/// Runs the example.
#[tokio::main]
pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let db = Database::open(folder.path().join("stock.db")).await?;
    let create = "CREATE TABLE stock (item TEXT PRIMARY KEY, pieces BIGINT NOT NULL)";
    db.session().sql(create).await?.collect().await?;

    // Some other source of data, here in memory.
    let delivered = RecordBatch::try_from_iter([
        ("item", Arc::new(StringArray::from(vec!["bolt", "nut"])) as ArrayRef),
        ("pieces", Arc::new(Int64Array::from(vec![500, 300]))),
    ])?;
    let delivery = MemTable::try_new(delivered.schema(), vec![vec![delivered]])?;

    let ctx = SessionContext::new();
    ctx.register_table("delivery", Arc::new(delivery))?;
    db.register(&ctx)?;

    // Durable when it returns.
    ctx.sql("INSERT INTO stock SELECT item, pieces FROM delivery").await?.collect().await?;
    ctx.sql("INSERT OR REPLACE INTO stock VALUES ('nut', 290), ('screw', 40)")
        .await?
        .collect()
        .await?;

    let answer = ctx
        .sql(
            "SELECT s.item, s.pieces, d.pieces AS delivered FROM stock s \
             LEFT JOIN delivery d ON d.item = s.item ORDER BY s.item",
        )
        .await?;
    assert_eq!(answer.clone().count().await?, 3);
    answer.show().await?;
    db.close().await?;
    Ok(())
}
