//! SQL on a durable table: create, insert, write over, ask.
//!
//! `cargo run -p omen-provider --example sql`

use omen_provider::Database;

/// Runs the example.
#[tokio::main]
pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let db = Database::open(folder.path().join("readings.db")).await?;
    let session = db.session();

    session
        .sql(
            "CREATE TABLE readings (
                 device TEXT, at TIMESTAMP, celsius DOUBLE, note TEXT DEFAULT 'ok',
                 PRIMARY KEY (device, at))",
        )
        .await?
        .collect()
        .await?;

    // Acknowledged when it returns: on the medium, whole.
    session
        .sql(
            "INSERT INTO readings (device, at, celsius) VALUES
                 ('attic', '2026-02-03T10:00:00', 4.5),
                 ('attic', '2026-02-03T11:00:00', 5.25),
                 ('cellar', '2026-02-03T10:00:00', 11.0)",
        )
        .await?
        .collect()
        .await?;

    // The key is enforced: this fails and changes nothing.
    let again = "INSERT INTO readings (device, at) VALUES ('attic', '2026-02-03T10:00:00')";
    let refused = session.sql(again).await?.collect().await;
    if let Err(error) = refused {
        println!("refused: {error}\n");
    }

    // This writes over the row of that key.
    session
        .sql(
            "INSERT OR REPLACE INTO readings
                 VALUES ('attic', '2026-02-03T10:00:00', 4.75, 'corrected')",
        )
        .await?
        .collect()
        .await?;

    // A filter on a prefix of the key reads only the rows of that device.
    let attic = "SELECT at, celsius, note FROM readings WHERE device = 'attic' ORDER BY at";
    session.sql(attic).await?.show().await?;
    session.sql(&format!("EXPLAIN {attic}")).await?.show().await?;

    let warmest = session.sql("SELECT max(celsius) FROM readings").await?.collect().await?;
    assert_eq!(warmest[0].num_rows(), 1);
    db.close().await?;
    Ok(())
}
