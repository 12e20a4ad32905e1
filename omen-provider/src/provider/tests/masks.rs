//! Scans of segments with deleted rows, few and many, in any pattern, against lists of rows.
//!
//! What a query returns must not depend on how deleted rows are kept out of it: by gaps in what is
//! decoded, or by a mask over it.

use futures::TryStreamExt;
use proptest::prelude::*;

use super::*;

/// Rows of the table: six row groups, each of four pages.
const ROWS: i64 = 6_000;
const GROUP_ROWS: i64 = 1_024;
const PAGE_ROWS: u32 = 256;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Row {
    id: i64,
    v: i64,
}

impl Row {
    fn of(id: i64) -> Self {
        Self { id, v: id * 7919 % 11 }
    }

    fn s(self) -> String {
        format!("x{}", self.id % 97)
    }
}

/// What is deleted.
#[derive(Debug, Clone)]
enum Pattern {
    /// Of every `period` rows the first `gap`.
    Every { period: i64, gap: i64 },
    /// Each row with this probability, in percent.
    Random { percent: u64, seed: u64 },
    /// All rows but one.
    AllBut(i64),
    /// Whole row groups, and every second row of the others.
    Groups(Vec<i64>),
    /// The first half densely, the second half hardly.
    Halves,
}

impl Pattern {
    fn deletes(&self, id: i64) -> bool {
        match self {
            Self::Every { period, gap } => id % period < *gap,
            Self::Random { percent, seed } => {
                let mixed = (id as u64 ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                (mixed >> 33) % 100 < *percent
            }
            Self::AllBut(kept) => id != *kept,
            Self::Groups(dead) => dead.contains(&(id / GROUP_ROWS)) || id % 2 == 0,
            Self::Halves => (id < ROWS / 2 && id % 3 != 1) || id % 500 == 499,
        }
    }
}

fn patterns() -> impl Strategy<Value = Pattern> {
    prop_oneof![
        (1i64..40, 0i64..40).prop_map(|(period, gap)| Pattern::Every { period, gap }),
        (0u64..100, any::<u64>()).prop_map(|(percent, seed)| Pattern::Random { percent, seed }),
        (0..ROWS).prop_map(Pattern::AllBut),
        prop::collection::vec(0..ROWS / GROUP_ROWS + 1, 0..4).prop_map(Pattern::Groups),
        Just(Pattern::Halves),
    ]
}

/// A query: indices into the lists below.
#[derive(Debug, Clone, Copy)]
struct Query {
    columns: usize,
    filter: usize,
    order: usize,
    limit: Option<usize>,
    low: i64,
    high: i64,
}

fn queries() -> impl Strategy<Value = Query> {
    let limit = prop_oneof![Just(None), (0usize..2_500).prop_map(Some), (1usize..5).prop_map(Some)];
    (0usize..6, 0usize..6, 0usize..4, limit, 0..ROWS, 0..ROWS).prop_map(
        |(columns, filter, order, limit, a, b)| Query {
            columns,
            filter,
            order,
            limit,
            low: a.min(b),
            high: a.max(b),
        },
    )
}

impl Query {
    fn filter(&self) -> String {
        let Self { low, high, .. } = self;
        match self.filter {
            0 => "true".to_string(),
            1 => format!("id BETWEEN {low} AND {high}"),
            2 => "v = 3".to_string(),
            3 => format!("id >= {low} AND v < 5"),
            4 => "s LIKE 'x1%'".to_string(),
            _ => format!("id IN ({low}, {high}, {}) OR id > {high}", ROWS / 2),
        }
    }

    fn accepts(&self, row: Row) -> bool {
        match self.filter {
            0 => true,
            1 => (self.low..=self.high).contains(&row.id),
            2 => row.v == 3,
            3 => row.id >= self.low && row.v < 5,
            4 => row.s().starts_with("x1"),
            _ => [self.low, self.high, ROWS / 2].contains(&row.id) || row.id > self.high,
        }
    }

    fn shown(&self, row: Row) -> String {
        match self.columns {
            0 => format!("{},{},{}", row.id, row.v, row.s()),
            1 => row.s(),
            2 => format!("{},{}", row.v, row.id),
            3 => format!("{},{},300", row.v + 1, row.s()),
            _ => row.id.to_string(),
        }
    }

    fn sql(&self) -> String {
        let columns =
            ["id, v, s", "s", "v, id", "v + 1, s, length(pad)", "id", "count(*)"][self.columns];
        let order = ["", " ORDER BY id", " ORDER BY id DESC", " ORDER BY v, id"][self.order];
        let limit = self.limit.map_or(String::new(), |n| format!(" LIMIT {n}"));
        match self.columns {
            5 => format!("SELECT count(*) FROM (SELECT id FROM t WHERE {}{limit})", self.filter()),
            _ => format!("SELECT {columns} FROM t WHERE {}{order}{limit}", self.filter()),
        }
    }

    /// Compares the answer with that of `rows`, which ascend by id.
    async fn check(&self, session: &Session, rows: &[Row]) {
        let sql = self.sql();
        let mut accepted: Vec<Row> = rows.iter().copied().filter(|&r| self.accepts(r)).collect();
        let count = self.limit.unwrap_or(usize::MAX).min(accepted.len());
        let mut found = lines(session, &sql).await;
        if self.columns == 5 {
            assert_eq!(found, [count.to_string()], "{sql}");
            return;
        }
        match self.order {
            2 => accepted.reverse(),
            3 => accepted.sort_by_key(|row| (row.v, row.id)),
            _ => {}
        }
        let mut expected: Vec<String> = accepted.iter().map(|&row| self.shown(row)).collect();
        assert_eq!(found.len(), count, "{sql}");
        if self.order > 0 {
            expected.truncate(count);
        } else {
            // Any rows will do, each at most as often as it is there.
            found.sort_unstable();
            expected.sort_unstable();
            let mut all = expected.iter();
            assert!(found.iter().all(|line| all.any(|other| other == line)), "{sql}");
            return;
        }
        assert_eq!(found, expected, "{sql}");
    }
}

/// The table with some of its rows deleted, and the rows that are left.
async fn table(pattern: &Pattern) -> (Database, Vec<Row>) {
    let store = Store::object_store(Arc::new(InMemory::new()), "db");
    let options = Options { row_group_rows: GROUP_ROWS as usize, ..Options::default() };
    let db = options.open_store(store).await.unwrap();
    let session = db.session();
    run(&session, "CREATE TABLE t (id BIGINT PRIMARY KEY, v BIGINT, s TEXT, pad TEXT)").await;
    let insert = format!(
        "INSERT INTO t SELECT value, value * 7919 % 11, 'x' || (value % 97), repeat('y', 300)
         FROM generate_series(0, {})",
        ROWS - 1
    );
    run(&session, &insert).await;
    db.checkpoint().await.unwrap();
    let (dead, live): (Vec<i64>, Vec<i64>) = (0..ROWS).partition(|&id| pattern.deletes(id));
    db.table("t").unwrap().delete(dead).await.unwrap();
    (db, live.into_iter().map(Row::of).collect())
}

/// How many segments are read through a mask, of how many.
async fn masked(db: &Database) -> (usize, usize) {
    let table = db.handle().engine().snapshot().table("t").unwrap();
    let set = table.select(None).await.unwrap();
    assert!(set.segments.iter().all(|s| s.segment.record().page_rows == PAGE_ROWS));
    (set.segments.iter().filter(|s| s.rows.mask().is_some()).count(), set.segments.len())
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn answers_agree_with_lists_of_rows(
        pattern in patterns(),
        queries in prop::collection::vec(queries(), 24),
        partitions in 1usize..4,
        pushdown in any::<bool>(),
    ) {
        block_on(async {
            let (db, rows) = table(&pattern).await;
            let mut config = Session::default_config().with_target_partitions(partitions);
            config.options_mut().execution.parquet.pushdown_filters = pushdown;
            let session = db.session_with_config(config);
            for query in &queries {
                query.check(&session, &rows).await;
            }
            let shown = plan(&session, "SELECT v FROM t").await;
            let counts = format!(" rows={0}/{0} ", rows.len());
            let counted = shown.replace(',', " ").contains(&counts);
            prop_assert!(counted, "{} rows\n{shown}", rows.len());
            // The engine's own streams.
            let read: Vec<_> =
                db.table("t").unwrap().range::<i64>(..).try_collect().await.unwrap();
            let ids: Vec<i64> = read
                .iter()
                .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec())
                .collect();
            prop_assert!(ids.iter().eq(rows.iter().map(|row| &row.id)));
            db.compact().await.unwrap();
            let sum: i64 = ids.iter().sum();
            prop_assert_eq!(number(&session, "SELECT sum(id) FROM t").await, sum);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn dense_deletions_are_masked_and_sparse_ones_are_not() {
    for (pattern, expected) in [
        (Pattern::Every { period: 2, gap: 1 }, 1),
        (Pattern::Groups(vec![1, 3]), 1),
        (Pattern::Halves, 1),
        (Pattern::Every { period: 1_000, gap: 1 }, 0),
        (Pattern::Every { period: 1_000, gap: 999 }, 0),
        (Pattern::AllBut(77), 0),
        (Pattern::Random { percent: 50, seed: 1 }, 1),
    ] {
        let (db, rows) = table(&pattern).await;
        assert_eq!(masked(&db).await, (expected, 1), "{pattern:?}");
        let session = db.session();
        assert_eq!(number(&session, "SELECT count(v) FROM t").await, rows.len() as i64);
        let shown = plan(&session, "SELECT v FROM t ORDER BY id LIMIT 5").await;
        assert!(!shown.contains("SortExec") && shown.contains("limit=5"), "{shown}");
    }
}

#[tokio::test]
async fn limits_count_live_rows() {
    let (db, rows) = table(&Pattern::Every { period: 2, gap: 1 }).await;
    for pushdown in [false, true] {
        let mut config = Session::default_config().with_target_partitions(2);
        config.options_mut().execution.parquet.pushdown_filters = pushdown;
        let session = db.session_with_config(config);
        for filter in 0..6 {
            for limit in [1, 250, 1_500, 2_900] {
                for (columns, order) in [(0, 0), (4, 1), (5, 0)] {
                    let limit = Some(limit);
                    let query = Query { columns, filter, order, limit, low: 999, high: 5_000 };
                    query.check(&session, &rows).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_limit_reads_few_pages_through_a_mask() {
    let (db, _) = table(&Pattern::Every { period: 3, gap: 2 }).await;
    let session = db.session();
    let pages = |shown: &str| -> usize {
        let counts = shown.split("pages_read=").skip(1);
        counts.filter_map(|rest| rest.split([',', ']']).next()?.parse::<usize>().ok()).sum()
    };
    let few = text(&run(&session, "EXPLAIN ANALYZE SELECT * FROM t LIMIT 4").await);
    let all = text(&run(&session, "EXPLAIN ANALYZE SELECT * FROM t").await);
    assert!((1..=4).contains(&pages(&few)), "{few}");
    assert!(pages(&all) >= 4 * 4 * 5, "{all}");
}
