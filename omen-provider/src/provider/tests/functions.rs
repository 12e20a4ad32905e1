//! The functions for time series, in contexts of the application.

use arrow::datatypes::DataType;
use datafusion::functions_aggregate::min_max::max_udaf;
use datafusion::logical_expr::{Volatility, create_udf};
use datafusion::prelude::SessionContext;

use super::*;

async fn answer(ctx: &SessionContext, sql: &str) -> String {
    text(&ctx.sql(sql).await.unwrap().collect().await.unwrap())
}

#[tokio::test]
async fn a_context_of_the_application_has_them() {
    let db = database().await;
    let session = db.session();
    run(&session, "CREATE TABLE t (at TIMESTAMP PRIMARY KEY, v BIGINT)").await;
    run(&session, "INSERT INTO t VALUES ('2024-05-06 10:20:00', 1), ('2024-05-06 10:40:00', 2)")
        .await;
    let ctx = SessionContext::new();
    db.register(&ctx).unwrap();
    db.register(&ctx).unwrap();
    let sql = "SELECT time_bucket('1 hour', at) AS hour, first(v, at) AS f, last(v, at) AS l, \
               arg_min(v, -v) AS a, arg_max(v, -v) AS b, min_by(v, v) AS c, max_by(v, v) AS d \
               FROM t GROUP BY hour";
    let found = answer(&ctx, sql).await;
    assert!(found.contains("| 2024-05-06T10:00:00 | 1 | 2 | 2 | 1 | 1 | 2 |"), "{found}");
}

#[tokio::test]
async fn functions_that_a_context_has_stay() {
    let ctx = SessionContext::new();
    let own = Arc::new(|_: &[_]| panic!("never called"));
    ctx.register_udf(create_udf(
        "time_bucket",
        vec![DataType::Int64],
        DataType::Int64,
        Volatility::Immutable,
        own,
    ));
    ctx.register_udaf(max_udaf().as_ref().clone().with_aliases(["last"]));
    database().await.register(&ctx).unwrap();
    let state = ctx.state();
    let kept = state.scalar_functions()["time_bucket"].signature();
    assert_eq!(kept.type_signature.get_example_types(), [[DataType::Int64]]);
    assert_eq!(state.aggregate_functions()["last"].name(), "max");
    assert_eq!(state.aggregate_functions()["first"].name(), "first");
}
