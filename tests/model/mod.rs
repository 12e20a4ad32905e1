//! Random operations on a table and on a `BTreeMap`, which must agree after each of them: on every
//! medium, for every shape of key, with flushes, compactions and reopening in between.

mod operations;

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};

use futures::TryStreamExt;
use omen_provider::{Database, Error, Key, Options, Table};
use proptest::prelude::*;

use crate::harness::media::{Medium, small};
use crate::harness::rows::{Parts, Shape, Values, from_batch, to_batch, to_key};
use crate::harness::{assert_sound, block_on, query};
use operations::{Operation, operations};

/// What the table must hold.
type Model = BTreeMap<Parts, Values>;

/// A database under test, and what it must hold.
struct Pair {
    medium: Medium,
    shape: Shape,
    options: Options,
    database: Option<Database>,
    model: Model,
}

impl Pair {
    async fn new(medium: Medium, shape: Shape, options: Options) -> Self {
        let database = medium.open(options.clone()).await.unwrap();
        database.create_table(shape.definition("t"), false).await.unwrap();
        Self { medium, shape, options, database: Some(database), model: Model::new() }
    }

    fn database(&self) -> &Database {
        self.database.as_ref().expect("an open database")
    }

    fn table(&self) -> Table {
        self.database().table("t").unwrap()
    }

    async fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Insert(rows) => self.insert(rows).await,
            Operation::Upsert(rows) => self.upsert(rows).await,
            Operation::Delete(keys) => self.delete(keys).await,
            Operation::Get(keys) => self.get(keys).await,
            Operation::Range(from, to) => self.range(from, to).await,
            Operation::Checkpoint => self.database().checkpoint().await.unwrap(),
            Operation::Compact => self.database().compact().await.unwrap(),
            Operation::Reopen { close } => self.reopen(*close).await,
        }
    }

    fn rows(&self, rows: &[(u16, Values)]) -> Vec<(Parts, Values)> {
        rows.iter().map(|(key, values)| (self.shape.key(*key), values.clone())).collect()
    }

    async fn insert(&mut self, rows: &[(u16, Values)]) {
        let rows = self.rows(rows);
        let outcome = self.table().insert(to_batch(self.shape, &rows)).await;
        let mut after = self.model.clone();
        let fresh =
            rows.iter().all(|(key, values)| after.insert(key.clone(), values.clone()).is_none());
        match outcome {
            Ok(count) => {
                assert!(fresh, "a duplicate key was accepted");
                assert_eq!(count, rows.len() as u64);
                self.model = after;
            }
            Err(Error::DuplicateKey { table, constraint, key }) => {
                assert!(!fresh, "{key} of {table} was refused though it is new");
                assert_eq!((table.as_str(), constraint.as_str()), ("t", "t_pkey"));
            }
            Err(error) => panic!("{error}"),
        }
    }

    async fn upsert(&mut self, rows: &[(u16, Values)]) {
        let rows = self.rows(rows);
        let count = self.table().upsert(to_batch(self.shape, &rows)).await.unwrap();
        assert_eq!(count, rows.len() as u64);
        // Of a key that is there twice the last row stays.
        self.model.extend(rows);
    }

    async fn delete(&mut self, keys: &[u16]) {
        let keys: Vec<Parts> = keys.iter().map(|key| self.shape.key(*key)).collect();
        let count = self.table().delete(keys.iter().map(|k| to_key(k))).await.unwrap();
        let before = self.model.len();
        self.model.retain(|key, _| !keys.contains(key));
        assert_eq!(count, (before - self.model.len()) as u64);
    }

    async fn get(&self, keys: &[u16]) {
        let keys: Vec<Parts> = keys.iter().map(|key| self.shape.key(*key)).collect();
        let wanted: Vec<_> = keys.iter().map(|key| to_key(key)).collect();
        let many = self.table().get_many(wanted.clone()).await.unwrap();
        assert_eq!(many.len(), keys.len());
        for ((key, wanted), found) in keys.iter().zip(wanted).zip(many) {
            let expected: Vec<_> = self
                .model
                .get(key)
                .map(|values| (key.clone(), values.clone()))
                .into_iter()
                .collect();
            let rows = |batch| from_batch(self.shape, &batch);
            assert_eq!(found.map(rows).unwrap_or_default(), expected, "get_many {key:?}");
            let found = self.table().get(wanted).await.unwrap();
            assert_eq!(found.map(rows).unwrap_or_default(), expected, "get {key:?}");
        }
    }

    async fn range(&self, from: &u16, to: &u16) {
        let (from, to) = (self.shape.key(*from), self.shape.key(*to));
        let (low, high) = (to_key(&from), to_key(&to));
        for bounds in [
            (Bound::Included(&from), Bound::Excluded(&to)),
            (Bound::Excluded(&from), Bound::Included(&to)),
            (Bound::Unbounded, Bound::Included(&to)),
            (Bound::Included(&from), Bound::Unbounded),
        ] {
            let own = |bound: Bound<&Parts>, key: &Key| bound.map(|_| key.clone());
            let stream = self.table().range((own(bounds.0, &low), own(bounds.1, &high)));
            let batches: Vec<_> = stream.try_collect().await.unwrap();
            let found: Vec<_> = batches.iter().flat_map(|b| from_batch(self.shape, b)).collect();
            let inside = self.model.iter().filter(|(key, _)| bounds.contains(*key));
            let expected: Vec<_> = inside.map(|(k, v)| (k.clone(), v.clone())).collect();
            assert_eq!(found, expected, "range {bounds:?}");
        }
    }

    async fn reopen(&mut self, close: bool) {
        let database = self.database.take().expect("an open database");
        match close {
            true => database.close().await.unwrap(),
            false => drop(database),
        }
        self.database = Some(self.medium.open(self.options.clone()).await.unwrap());
        self.check_all().await;
    }

    /// Everything, by SQL and by count.
    async fn check_all(&self) {
        let sql = format!("SELECT * FROM t ORDER BY {}", self.shape.key_list());
        let batches = query(self.database(), &sql).await;
        let found: Vec<_> = batches.iter().flat_map(|b| from_batch(self.shape, b)).collect();
        let expected: Vec<_> = self.model.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        assert_eq!(found, expected);
        assert_eq!(self.table().row_count().unwrap(), self.model.len() as u64);
    }
}

fn agree(medium: Medium, shape: Shape, operations: &[Operation]) {
    block_on(async {
        let mut pair = Pair::new(medium, shape, small()).await;
        for operation in operations {
            pair.apply(operation).await;
        }
        pair.check_all().await;
        pair.reopen(false).await;
        assert_sound(pair.database()).await;
    });
}

/// A failure is printed with its smallest list of operations. `PROPTEST_CASES=2000` looks longer.
fn config() -> ProptestConfig {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 24;
    }
    config
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn integer_keys_agree_on_disk(operations in operations()) {
        agree(Medium::disk(), Shape::Int, &operations);
    }

    #[test]
    fn composite_keys_agree_on_disk(operations in operations()) {
        agree(Medium::disk(), Shape::Composite, &operations);
    }

    #[test]
    fn text_keys_agree_on_disk(operations in operations()) {
        agree(Medium::disk(), Shape::Text, &operations);
    }

    #[test]
    fn integer_keys_agree_on_an_object_store(operations in operations()) {
        agree(Medium::objects(), Shape::Int, &operations);
    }

    #[test]
    fn composite_keys_agree_on_an_object_store(operations in operations()) {
        agree(Medium::objects(), Shape::Composite, &operations);
    }

    #[test]
    fn integer_keys_agree_on_the_faulty_disk(operations in operations()) {
        agree(Medium::faulty(), Shape::Int, &operations);
    }

    #[test]
    fn composite_keys_agree_on_the_faulty_disk(operations in operations()) {
        agree(Medium::faulty(), Shape::Composite, &operations);
    }

    #[test]
    fn text_keys_agree_on_the_faulty_disk(operations in operations()) {
        agree(Medium::faulty(), Shape::Text, &operations);
    }

    #[test]
    fn text_keys_agree_on_an_object_store(operations in operations()) {
        agree(Medium::objects(), Shape::Text, &operations);
    }
}
