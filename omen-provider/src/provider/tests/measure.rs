//! Temporary.
use super::*;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;
use crate::storage::live_rows::{LONG, PER};
use futures::StreamExt;

#[tokio::test]
async fn measure() {
    let store = Store::object_store(Arc::new(InMemory::new()), "db");
    let db = Options::default().open_store(store).await.unwrap();
    let session = db.session_with_config(Session::default_config().with_target_partitions(1));
    let n: i64 = std::env::var("N").map_or(1_000_000, |n| n.parse().unwrap());
    let cases: Vec<(String, i64, i64)> = vec![(2,1),(4,1),(8,1),(16,1),(32,1),(64,1),(128,1),(256,1),
       (4,2),(8,4),(16,8),(32,16),(64,32),(128,64),(256,128),(512,256),(2048,1024)].into_iter().map(|(p,g)| (format!("{g} of {p}"),p,g)).collect();
    run(&session, &format!("CREATE TABLE src AS SELECT value AS id, value * 7919 % 1000003 AS v, value::double * 1.5 AS d, 'name ' || (value % 50000) AS s FROM generate_series(0, {}) ", n-1)).await;
    for (name, period, gap) in cases {
        run(&session, "CREATE TABLE t (id BIGINT PRIMARY KEY, v BIGINT, d DOUBLE, s TEXT)").await;
        run(&session, "INSERT INTO t SELECT * FROM src").await;
        db.checkpoint().await.unwrap();
        let t = db.table("t").unwrap();
        t.delete((0..n).filter(|i| i % period < gap)).await.unwrap();
        let mut line = format!("{name:>14}");
        for (label, per, long) in [("sel", 0u64, 64u32), ("mask", 1 << 40, 1 << 30)] {
            PER.store(per, Relaxed);
            LONG.store(long, Relaxed);
            for sql in ["SELECT sum(v) FROM t", "SELECT sum(v), sum(d), max(s), min(id) FROM t"] {
                let mut best = f64::MAX;
                for _ in 0..3 {
                    let at = Instant::now();
                    run(&session, sql).await;
                    best = best.min(at.elapsed().as_secs_f64() * 1e3);
                }
                line += &format!("  {label} {best:7.1}");
            }
            let mut best = f64::MAX;
            for _ in 0..2 {
                let at = Instant::now();
                let mut rows = t.range::<i64>(..);
                let mut count = 0;
                while let Some(batch) = rows.next().await { count += batch.unwrap().num_rows(); }
                assert_eq!(count as i64, (0..n).filter(|i| i % period >= gap).count() as i64);
                best = best.min(at.elapsed().as_secs_f64() * 1e3);
            }
            line += &format!("  range {best:7.1} |");
        }
        println!("{line}");
        run(&session, "DROP TABLE t").await;
    }
}
