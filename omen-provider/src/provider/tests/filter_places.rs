//! Filters that are pushed down read the columns that they mean.

use datafusion::prelude::SessionContext;

use super::*;

/// Two tables with columns of the same names and values far apart, in segments.
async fn twins() -> Database {
    let db = database().await;
    let session = db.session();
    for (table, value) in [("a", "value"), ("b", "1000000 - value")] {
        run(&session, &format!("CREATE TABLE {table} (id BIGINT PRIMARY KEY, v BIGINT)")).await;
        let rows = format!("SELECT value, {value} FROM generate_series(1, 20000) AS g(value)");
        run(&session, &format!("INSERT INTO {table} {rows}")).await;
    }
    db.checkpoint().await.unwrap();
    db
}

const BOTH_SIDES: &str =
    "SELECT a.v, b.v FROM a RIGHT JOIN b ON a.id = b.id WHERE a.v = 5 OR b.v = 981000";

#[tokio::test]
async fn no_filter_reads_a_column_of_the_same_name() {
    let db = twins().await;
    let shown = plan(&db.session(), BOTH_SIDES).await;
    assert!(!shown.contains("predicate="), "{shown}");
    assert_eq!(run(&db.session(), BOTH_SIDES).await.iter().map(|b| b.num_rows()).sum::<usize>(), 2);
    let ctx = SessionContext::new();
    db.register(&ctx).unwrap();
    let rows = ctx.sql(BOTH_SIDES).await.unwrap().collect().await.unwrap();
    assert_eq!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), 2);
}

#[tokio::test]
async fn filters_that_names_tell_are_pushed_down() {
    let db = twins().await;
    let shown =
        plan(&db.session(), "SELECT a.v, b.v FROM a JOIN b ON a.id = b.id ORDER BY a.v LIMIT 2")
            .await;
    // That of the limit at one scan, that of the join at the other.
    assert_eq!(shown.matches("predicate=DynamicFilter").count(), 2, "{shown}");
    assert!(!shown.contains("Barrier"), "{shown}");
}
