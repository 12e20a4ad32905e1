//! Several tables in one database: a join, a table made from a query, what is there after
//! reopening.
//!
//! `cargo run -p omen-provider --example tables`

use omen_provider::{Database, Session};

async fn run(session: &Session, sql: &str) -> Result<(), Box<dyn std::error::Error>> {
    session.sql(sql).await?.collect().await?;
    Ok(())
}

/// Runs the example.
#[tokio::main]
pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("library.db");

    let db = Database::open(&path).await?;
    let session = db.session();
    run(&session, "CREATE TABLE author (id BIGINT PRIMARY KEY, name TEXT NOT NULL)").await?;
    run(&session, "CREATE TABLE book (isbn TEXT PRIMARY KEY, author BIGINT, year INT)").await?;
    run(&session, "INSERT INTO author VALUES (1, 'Ann'), (2, 'Bob')").await?;
    run(&session, "INSERT INTO book VALUES ('b1', 1, 2001), ('b2', 1, 2005), ('b3', 2, 2003)")
        .await?;
    run(
        &session,
        "CREATE TABLE shelf AS SELECT name, count(*) AS books FROM author a \
         JOIN book b ON b.author = a.id GROUP BY name",
    )
    .await?;
    println!("tables: {}", db.table_names().join(", "));
    db.close().await?;

    let db = Database::open(&path).await?;
    let session = db.session();
    session.sql("SELECT * FROM shelf ORDER BY name").await?.show().await?;
    assert_eq!(db.table_names().len(), 3);
    run(&session, "DROP TABLE shelf").await?;
    assert_eq!(db.table_names().len(), 2);
    Ok(()) // Dropping the database loses nothing and frees its lock.
}
