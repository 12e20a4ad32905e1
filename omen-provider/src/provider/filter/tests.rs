//! Key ranges against brute force: a row that satisfies the filters lies inside the ranges, and
//! where the ranges claim to be exact, no other row does.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, TimeUnit};
use datafusion::common::{Column as Name, DFSchema, ScalarValue};
use datafusion::functions::core::expr_ext::FieldAccessor;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, Operator, binary_expr, cast, col, in_list, lit};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::prelude::SessionContext;
use proptest::prelude::*;

use super::{KeySelection, RANGES_MAX, select_keys};
use crate::storage::key::KeyRange;
use crate::storage::schema::{Column, TableSchema};

fn table(columns: &[(&str, DataType)], key: &[usize]) -> TableSchema {
    let columns = columns
        .iter()
        .enumerate()
        .map(|(i, (name, data_type))| {
            Column::new(i as u32 + 1, Arc::new(Field::new(*name, data_type.clone(), true)))
        })
        .collect();
    TableSchema::new(1, "t", columns, key.to_vec()).unwrap()
}

fn weather() -> TableSchema {
    table(
        &[
            ("origin", DataType::Utf8),
            ("time_hour", DataType::Timestamp(TimeUnit::Second, None)),
            ("temp", DataType::Float64),
        ],
        &[0, 1],
    )
}

fn numbers() -> TableSchema {
    table(&[("id", DataType::Int32), ("v", DataType::Int32)], &[0])
}

fn hour(text: &str) -> Expr {
    let text: ArrayRef = Arc::new(arrow::array::StringArray::from(vec![text]));
    let time = arrow::compute::cast(&text, &DataType::Timestamp(TimeUnit::Second, None)).unwrap();
    Expr::Literal(ScalarValue::try_from_array(&time, 0).unwrap(), None)
}

fn select(schema: &TableSchema, filters: &[Expr]) -> (String, bool) {
    let KeySelection { text, exact, .. } = select_keys(filters, schema);
    (text, exact)
}

fn check(schema: &TableSchema, filter: Expr, text: &str, exact: bool) {
    let shown = format!("{filter}");
    assert_eq!(select(schema, &[filter]), (text.to_string(), exact), "{shown}");
}

#[test]
fn comparisons_become_ranges() {
    let t = numbers();
    check(&t, col("id").eq(lit(5)), "5", true);
    check(&t, lit(5).lt(col("id")), "(5, inf)", true);
    check(&t, lit(5).gt_eq(col("id")), "[-inf, 5]", true);
    check(&t, col("id").between(lit(3), lit(9)), "[3, 9]", true);
    check(&t, col("id").gt(lit(3)).and(col("id").lt(lit(3))), "none", true);
    check(&t, in_list(col("id"), vec![lit(7), lit(1), lit(1)], false), "1 | 7", true);
    check(&t, in_list(col("id"), vec![lit(7)], true), "all", false);
    check(&t, col("id").eq(lit(1)).or(col("id").gt(lit(4))), "1 | (4, inf)", true);
    check(&t, col("id").lt(lit(4)).or(col("id").gt_eq(lit(4))), "all", true);
    check(&t, col("id").is_not_null(), "all", true);
    check(&t, col("id").is_null(), "none", true);
    check(&t, col("v").eq(lit(5)), "all", false);
    check(&t, col("v").eq(lit(5)).or(col("id").eq(lit(5))), "all", false);
    check(&t, col("v").eq(lit(5)).and(col("id").eq(lit(5))), "5", false);
    check(&t, (col("id") + lit(1)).eq(lit(5)), "all", false);
    check(&t, lit(false), "none", true);
    assert_eq!(select(&t, &[]), ("all".to_string(), true));
}

#[test]
fn literals_of_other_types_give_the_right_bound() {
    let t = numbers();
    let null = Expr::Literal(ScalarValue::Null, None);
    check(&t, col("id").eq(null.clone()), "none", true);
    check(&t, col("id").gt(Expr::Literal(ScalarValue::Int32(None), None)), "none", true);
    check(&t, in_list(col("id"), vec![null, lit(2)], false), "2", true);
    check(&t, cast(col("id"), DataType::Float64).eq(lit(5.0)), "5", true);
    check(&t, cast(col("id"), DataType::Float64).eq(lit(5.5)), "none", true);
    check(&t, cast(col("id"), DataType::Float64).lt(lit(5.5)), "[-inf, 5]", true);
    check(&t, cast(col("id"), DataType::Float64).gt_eq(lit(-5.5)), "(-6, inf)", true);
    check(&t, cast(col("id"), DataType::Float64).lt(lit(f64::NAN)), "all", false);
    check(&t, cast(col("id"), DataType::Float32).eq(lit(16_777_216f32)), "all", false);
    check(&t, cast(col("id"), DataType::Utf8).eq(lit("5")), "all", false);
    check(&t, cast(col("id"), DataType::Int8).eq(lit(5i8)), "5", true);
    check(&t, col("id").lt(lit(1i64 << 40)), "all", true);
    check(&t, col("id").gt(lit(1i64 << 40)), "none", true);
    check(&t, col("id").eq(lit(-(1i64 << 40))), "none", true);
    check(&t, col("id").gt_eq(lit(-(1i64 << 40))), "all", true);

    let t = table(&[("at", DataType::Timestamp(TimeUnit::Second, None))], &[0]);
    let millis = |v| Expr::Literal(ScalarValue::TimestampMillisecond(Some(v), None), None);
    let as_millis = cast(col("at"), DataType::Timestamp(TimeUnit::Millisecond, None));
    check(&t, as_millis.clone().gt(millis(1_500)), "(1970-01-01T00:00:01, inf)", true);
    check(&t, as_millis.clone().lt(millis(-500)), "[-inf, 1969-12-31T23:59:59]", true);
    check(&t, as_millis.clone().eq(millis(2_000)), "1970-01-01T00:00:02", true);
    check(&t, as_millis.eq(millis(2_001)), "none", true);
    check(&t, cast(col("at"), DataType::Date32).eq(lit(1)), "all", false);

    let t = table(&[("f", DataType::Float64)], &[0]);
    check(&t, col("f").gt(lit(0.0)), "[0.0, inf)", false);
    check(&t, col("f").lt(lit(-0.0)), "[-inf, -0.0]", false);
    check(&t, col("f").eq(lit(f64::NAN)), "all", false);
    check(&t, col("f").eq(lit(2i64)), "2.0", false);

    let t = table(&[("s", DataType::Utf8)], &[0]);
    let view = Expr::Literal(ScalarValue::Utf8View(Some("x".into())), None);
    check(&t, cast(col("s"), DataType::Utf8View).eq(view), "x", true);
    let entry = ScalarValue::Dictionary(Box::new(DataType::Int32), Box::new("y".into()));
    check(&t, col("s").gt(Expr::Literal(entry, None)), "(y, inf)", true);

    let t = table(&[("b", DataType::Boolean)], &[0]);
    check(&t, col("b"), "true", true);
    check(&t, Expr::Not(Box::new(col("b"))), "false", true);
}

#[test]
fn composite_keys_use_prefixes() {
    let t = weather();
    let (from, to) = (hour("2013-07-04T10:00:00"), hour("2013-07-04T11:00:00"));
    let ewr = col("origin").eq(lit("EWR"));
    check(&t, ewr.clone(), "EWR", true);
    check(&t, col("time_hour").eq(from.clone()), "[-inf, inf)", false);
    check(
        &t,
        ewr.clone().and(col("time_hour").gt_eq(from.clone())).and(col("time_hour").lt(to)),
        "[(EWR, 2013-07-04T10:00:00), (EWR, 2013-07-04T11:00:00))",
        true,
    );
    check(
        &t,
        ewr.clone().and(col("time_hour").eq(from.clone())),
        "(EWR, 2013-07-04T10:00:00)",
        true,
    );
    check(
        &t,
        ewr.and(col("time_hour").gt(from.clone())),
        "[(EWR, 2013-07-04T10:00:00), (EWR, inf))".replacen('[', "(", 1).as_str(),
        true,
    );
    check(
        &t,
        col("origin").gt_eq(lit("EWR")).and(col("time_hour").eq(from.clone())),
        "[EWR, inf)",
        false,
    );
    check(
        &t,
        in_list(col("origin"), vec![lit("JFK"), lit("EWR")], false).and(in_list(
            col("time_hour"),
            vec![from],
            false,
        )),
        "(EWR, 2013-07-04T10:00:00) | (JFK, 2013-07-04T10:00:00)",
        true,
    );
}

#[test]
fn long_lists_are_merged_into_wider_ranges() {
    let t = table(&[("a", DataType::Int32), ("b", DataType::Int32)], &[0, 1]);
    let list = |name: &str, n: i32| in_list(col(name), (0..n).map(|i| lit(2 * i)).collect(), false);
    let one = select_keys(&[list("a", 4_000)], &t);
    assert_eq!((one.ranges.unwrap().len(), one.exact), (4_000, true));
    let both = select_keys(&[list("a", 4_000), list("b", 4_000)], &t);
    let ranges = both.ranges.unwrap();
    assert!(ranges.len() <= RANGES_MAX && ranges.len() >= 4_000 && !both.exact);
    let many = select_keys(&[list("a", 50_000)], &t);
    assert!(many.ranges.unwrap().len() <= RANGES_MAX && !many.exact);

    let chain = |from: i32| {
        (0..150).map(|i| col("a").eq(lit(from + i)).and(col("b").eq(lit(i)))).reduce(Expr::or)
    };
    let (left, right) = (chain(0).unwrap(), chain(100).unwrap());
    for one in [&left, &right] {
        assert!(select_keys(std::slice::from_ref(one), &t).exact);
    }
    let both = select_keys(&[left, right], &t);
    // Each filter was exact, so the combination must not be wider than either of them.
    assert_eq!((both.ranges, both.exact), (Some(Vec::new()), true));
}

#[test]
fn deep_chains_do_not_overflow_the_stack() {
    let t = numbers();
    let chain = (0..50_000).map(|i| col("id").eq(lit(i))).reduce(Expr::or).unwrap();
    let selection = select_keys(std::slice::from_ref(&chain), &t);
    assert!(selection.ranges.unwrap().len() <= RANGES_MAX);
    std::mem::forget(chain); // its own drop is recursive
}

#[test]
fn tuples_compare_column_by_column() {
    let t = table(&[("a", DataType::Int32), ("b", DataType::Int32)], &[0, 1]);
    let tuple = datafusion::functions::core::r#struct()
        .call(vec![Expr::Column(Name::from_name("a")), Expr::Column(Name::from_name("b"))]);
    let fields: Vec<Field> =
        ["c0", "c1"].iter().map(|n| Field::new(*n, DataType::Int32, true)).collect();
    let values: Vec<ArrayRef> = [1, 2]
        .iter()
        .map(|v| Arc::new(arrow::array::Int32Array::from(vec![*v])) as ArrayRef)
        .collect();
    let literal = ScalarValue::Struct(Arc::new(
        arrow::array::StructArray::try_new(fields.into(), values, None).unwrap(),
    ));
    check(&t, tuple.clone().eq(Expr::Literal(literal, None)), "(1, 2)", true);
    check(&t, tuple.field("c0").eq(lit(1)), "all", false);
}

/// A column type and literals to compare it with, of this and other types.
fn domains() -> Vec<(DataType, Vec<ScalarValue>)> {
    let seconds = DataType::Timestamp(TimeUnit::Second, None);
    let small: Vec<ScalarValue> =
        (-3..4i32).map(ScalarValue::from).chain([ScalarValue::Int32(None)]).collect();
    let floats = [-2.5, -0.0, 0.0, 1.0, 1.5, 1e300, f64::NAN, f64::NEG_INFINITY];
    let mixed: Vec<ScalarValue> = small
        .iter()
        .cloned()
        .chain(floats.map(ScalarValue::from))
        .chain([300i64, -300, i64::MAX, i64::MIN].map(ScalarValue::from))
        .chain([ScalarValue::UInt64(Some(u64::MAX)), ScalarValue::Decimal128(Some(25), 10, 1)])
        .collect();
    let times: Vec<ScalarValue> = [-1_500i64, -1_000, 0, 999, 1_000, 2_000, i64::MAX]
        .map(|v| ScalarValue::TimestampMillisecond(Some(v), None))
        .into_iter()
        .chain([1i64, 2].map(|v| ScalarValue::TimestampSecond(Some(v), None)))
        .chain([ScalarValue::Date32(Some(0)), ScalarValue::Date32(Some(1))])
        .collect();
    let texts: Vec<ScalarValue> = ["", "a", "aa", "ab", "b", "\u{0}"]
        .iter()
        .flat_map(|s| [ScalarValue::from(*s), ScalarValue::Utf8View(Some((*s).to_string()))])
        .collect();
    let bytes: Vec<ScalarValue> = [vec![], vec![0u8], vec![0, 0], vec![1], vec![255], vec![255, 0]]
        .into_iter()
        .map(|b| ScalarValue::Binary(Some(b)))
        .collect();
    vec![
        (DataType::Int8, mixed.clone()),
        (DataType::Int64, mixed.clone()),
        (DataType::UInt16, mixed.clone()),
        (DataType::Decimal128(10, 2), mixed.clone()),
        (DataType::Float64, mixed.clone()),
        (DataType::Float32, mixed),
        (DataType::Utf8, texts),
        (DataType::Binary, bytes),
        (seconds, times.clone()),
        (DataType::Date32, times),
        (DataType::Boolean, vec![true.into(), false.into()]),
    ]
}

const NAMES: [&str; 3] = ["a", "b", "c"];

/// A predicate as numbers, so that it can be drawn without knowing the column types.
#[derive(Debug, Clone)]
enum Draw {
    Compare(usize, usize, usize, bool),
    In(usize, Vec<usize>),
    Between(usize, usize, usize),
    And(Box<Draw>, Box<Draw>),
    Or(Box<Draw>, Box<Draw>),
    Not(Box<Draw>),
}

fn draws() -> impl Strategy<Value = Draw> {
    let leaf = prop_oneof![
        4 => (0..4usize, 0..6usize, 0..32usize, any::<bool>())
            .prop_map(|(c, o, l, s)| Draw::Compare(c, o, l, s)),
        1 => (0..4usize, prop::collection::vec(0..32usize, 1..6)).prop_map(|(c, l)| Draw::In(c, l)),
        1 => (0..4usize, 0..32usize, 0..32usize).prop_map(|(c, l, h)| Draw::Between(c, l, h)),
    ];
    leaf.prop_recursive(4, 16, 2, |inner| {
        prop_oneof![
            3 => (inner.clone(), inner.clone())
                .prop_map(|(a, b)| Draw::And(Box::new(a), Box::new(b))),
            2 => (inner.clone(), inner.clone())
                .prop_map(|(a, b)| Draw::Or(Box::new(a), Box::new(b))),
            1 => inner.prop_map(|a| Draw::Not(Box::new(a))),
        ]
    })
}

fn expression(draw: &Draw, literals: &[Vec<ScalarValue>]) -> Expr {
    let column = |c: &usize| {
        let name = NAMES.get(*c).filter(|_| *c < literals.len()).unwrap_or(&"v");
        (col(*name), literals.get(*c).unwrap_or(&literals[0]))
    };
    let pick = |from: &[ScalarValue], i: usize| Expr::Literal(from[i % from.len()].clone(), None);
    match draw {
        Draw::Compare(c, op, l, swap) => {
            let (column, from) = column(c);
            let op = [
                Operator::Eq,
                Operator::Lt,
                Operator::LtEq,
                Operator::Gt,
                Operator::GtEq,
                Operator::NotEq,
            ][*op];
            let literal = pick(from, *l);
            if *swap { binary_expr(literal, op, column) } else { binary_expr(column, op, literal) }
        }
        Draw::In(c, list) => {
            let (column, from) = column(c);
            in_list(column, list.iter().map(|i| pick(from, *i)).collect(), list.len() == 5)
        }
        Draw::Between(c, low, high) => {
            let (column, from) = column(c);
            column.between(pick(from, *low), pick(from, *high))
        }
        Draw::And(a, b) => expression(a, literals).and(expression(b, literals)),
        Draw::Or(a, b) => expression(a, literals).or(expression(b, literals)),
        Draw::Not(a) => Expr::Not(Box::new(expression(a, literals))),
    }
}

/// Rows whose key values are those literals that the column's type can hold.
fn rows(schema: &TableSchema, literals: &[Vec<ScalarValue>]) -> RecordBatch {
    let mut columns: Vec<Vec<ScalarValue>> = Vec::new();
    for (i, from) in literals.iter().enumerate() {
        let data_type = schema.visible().field(i).data_type();
        let mut values: Vec<ScalarValue> = from
            .iter()
            .filter_map(|v| v.cast_to(data_type).ok())
            .filter(|v| !v.is_null() && !matches!(v, ScalarValue::Float64(Some(f)) if f.is_nan()))
            .filter(|v| !matches!(v, ScalarValue::Float32(Some(f)) if f.is_nan()))
            .collect();
        values.dedup();
        columns.push(values);
    }
    let count: usize = columns.iter().map(Vec::len).product::<usize>().min(600);
    let mut arrays: Vec<ArrayRef> = Vec::new();
    let mut stride = 1;
    for values in &columns {
        let picked = (0..count).map(|row| values[row / stride % values.len()].clone());
        arrays.push(ScalarValue::iter_to_array(picked).unwrap());
        stride *= values.len();
    }
    let v = arrow::array::Int32Array::from_iter(
        (0..count).map(|i| (i % 7 > 0).then_some(i as i32 % 5)),
    );
    arrays.push(Arc::new(v));
    assert_eq!(arrays.last().unwrap().as_primitive::<Int32Type>().len(), count);
    RecordBatch::try_new(Arc::clone(schema.visible()), arrays).unwrap()
}

fn assert_sound(schema: &TableSchema, batch: &RecordBatch, filters: &[Expr], matching: &[bool]) {
    let selection = select_keys(filters, schema);
    let keys = schema.codec().encode(&batch.columns()[..schema.key.len()]).unwrap();
    for (row, matches) in matching.iter().enumerate() {
        let inside = selection
            .ranges
            .as_ref()
            .is_none_or(|ranges| ranges.iter().any(|r| r.contains(&keys.get(row))));
        assert!(
            inside || !matches,
            "{filters:?} selects {:?}, which is not in {}",
            batch.slice(row, 1),
            selection.text
        );
        if selection.exact {
            assert!(
                matches == &inside,
                "{filters:?} does not select {:?}, which is in {}",
                batch.slice(row, 1),
                selection.text
            );
        }
    }
    if let Some(ranges) = &selection.ranges {
        let apart = |pair: &[KeyRange]| pair[0].end.as_ref().is_some_and(|e| *e < pair[1].start);
        assert!(ranges.windows(2).all(apart) && !ranges.iter().any(KeyRange::is_empty));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn ranges_agree_with_brute_force(
        kinds in prop::collection::vec(0..11usize, 1..4),
        drawn in prop::collection::vec(draws(), 1..3),
    ) {
        let all = domains();
        let literals: Vec<Vec<ScalarValue>> = kinds.iter().map(|k| all[*k].1.clone()).collect();
        let mut columns: Vec<(&str, DataType)> =
            kinds.iter().zip(NAMES).map(|(k, name)| (name, all[*k].0.clone())).collect();
        columns.push(("v", DataType::Int32));
        let schema = table(&columns, &(0..kinds.len()).collect::<Vec<_>>());
        let batch = rows(&schema, &literals);
        let df_schema = DFSchema::try_from(Schema::clone(schema.visible())).unwrap();
        let ctx = SessionContext::new();
        let simplifier = ExprSimplifier::new(
            SimplifyContext::builder().with_schema(Arc::new(df_schema.clone())).build(),
        );
        let evaluate = |expr: &Expr| -> Option<Vec<bool>> {
            let physical = ctx.create_physical_expr(expr.clone(), &df_schema).ok()?;
            let array = physical.evaluate(&batch).ok()?.into_array(batch.num_rows()).ok()?;
            Some(array.as_boolean().iter().map(|selected| selected == Some(true)).collect())
        };
        let (mut raw, mut coerced, mut simple) = (Vec::new(), Vec::new(), Vec::new());
        let mut matching = vec![true; batch.num_rows()];
        // Kept apart: DataFusion's simplifier moves casts to literals in ways that lose digits.
        let mut matching_simple = matching.clone();
        for draw in &drawn {
            let expr = expression(draw, &literals);
            let Ok(plain) = simplifier.coerce(expr.clone(), &df_schema) else { continue };
            let Ok(simplified) = simplifier.simplify(plain.clone()) else { continue };
            let (Some(rows), Some(rows_simple)) = (evaluate(&plain), evaluate(&simplified)) else {
                continue;
            };
            matching.iter_mut().zip(rows).for_each(|(all, this)| *all &= this);
            matching_simple.iter_mut().zip(rows_simple).for_each(|(all, this)| *all &= this);
            raw.push(expr);
            coerced.push(plain);
            simple.push(simplified);
        }
        prop_assume!(!raw.is_empty());
        assert_sound(&schema, &batch, &raw, &matching);
        assert_sound(&schema, &batch, &coerced, &matching);
        assert_sound(&schema, &batch, &simple, &matching_simple);
    }
}
