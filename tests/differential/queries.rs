//! Queries made up at random. Where NULL comes in an order is always said, since SQLite has it
//! first and others last; a LIMIT stands after an order by all that is selected only, so that
//! whatever rows it leaves are the same.

use super::dice::Dice;
use super::expressions::{Scope, literal, predicate, value};
use super::schema::{Kind, Schema, Table};

/// A query, and whether its rows have an order.
#[derive(Debug, Clone)]
pub struct Query {
    pub sql: String,
    pub ordered: bool,
    pub kinds: Vec<Kind>,
}

pub fn query(dice: &mut Dice, schema: &Schema) -> Query {
    match dice.below(12) {
        0 | 1 => by_key(dice, schema),
        2..=4 => rows(dice, schema),
        5 | 6 => grouped(dice, schema),
        7 => set_operation(dice, schema),
        8 => windows(dice, schema),
        9 => distinct(dice, schema),
        10 => with_subqueries(dice, schema),
        _ => derived(dice, schema),
    }
}

/// FROM one table, or several joined.
fn source<'a>(dice: &mut Dice, schema: &'a Schema) -> (String, Scope<'a>) {
    let table = schema.relation(dice);
    let mut scope = Scope::of(schema, table, Some("a"));
    let mut from = format!("{} AS a", table.name);
    let joins = if dice.once_in(3) { 1 + dice.below(2) } else { 0 };
    for alias in ["b", "c"].into_iter().take(joins) {
        let table = schema.relation(dice);
        let mut joined = Scope::of(schema, table, Some(alias));
        // Equal columns of one kind, so that no join has too many rows; some more besides.
        let pairs: Vec<_> = scope
            .columns
            .iter()
            .flat_map(|one| joined.columns.iter().map(move |other| (one, other)))
            .filter(|(one, other)| one.1 == other.1 && one.1 != Kind::Bool)
            .map(|(one, other)| format!("{} = {}", one.0, other.0))
            .collect();
        if pairs.is_empty() {
            break;
        }
        let mut on = dice.of(&pairs).clone();
        let join = dice.word(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "JOIN"]);
        if join == "JOIN" && dice.once_in(2) {
            let mut both = scope.plain();
            both.columns.append(&mut joined.columns.clone());
            on = format!("{on} AND {}", predicate(dice, &both, 1));
        }
        from = format!("{from} {join} {} AS {alias} ON {on}", table.name);
        scope.columns.append(&mut joined.columns);
    }
    (from, scope)
}

fn condition(dice: &mut Dice, scope: &Scope) -> String {
    match dice.below(4) {
        0 => String::new(),
        depth => format!(" WHERE {}", predicate(dice, scope, depth)),
    }
}

/// ORDER BY all columns, LIMIT, OFFSET; or nothing.
fn end(dice: &mut Dice, columns: usize) -> (String, bool) {
    if dice.once_in(2) {
        return (String::new(), false);
    }
    let first = dice.below(columns);
    let order = (0..columns).map(|at| {
        let direction = dice.word(&["ASC", "DESC"]);
        let nulls = dice.word(&["FIRST", "LAST"]);
        format!("{} {direction} NULLS {nulls}", (first + at) % columns + 1)
    });
    let mut end = format!(" ORDER BY {}", order.collect::<Vec<_>>().join(", "));
    if dice.once_in(2) {
        end += &format!(" LIMIT {}", dice.below(12));
        if dice.once_in(3) {
            end += &format!(" OFFSET {}", dice.below(6));
        }
    }
    (end, true)
}

/// Expressions with names.
fn selected(dice: &mut Dice, scope: &Scope, count: usize, depth: usize) -> (String, Vec<Kind>) {
    let kinds: Vec<Kind> = (0..count).map(|_| *dice.of(&Kind::ALL)).collect();
    let (mut list, mut values) = (Vec::new(), Vec::new());
    for (at, kind) in kinds.iter().enumerate() {
        let mut new = value(dice, scope, *kind, depth);
        // One column twice, sorted up and down, is a plan that DataFusion refuses.
        while values.contains(&new) {
            new = format!("coalesce({new}, {})", literal(dice, *kind));
        }
        list.push(format!("{new} AS c{at}"));
        values.push(new);
    }
    (list.join(", "), kinds)
}

/// Few rows of a table by its key, in the key's order or any.
fn by_key(dice: &mut Dice, schema: &Schema) -> Query {
    let table = schema.relation(dice);
    let mut scope = Scope::of(schema, table, Some(&table.name));
    let kinds: Vec<Kind> = scope.columns.iter().map(|(_, kind)| *kind).collect();
    scope.columns.truncate(table.keys.max(1));
    let depth = dice.below(3);
    let mut sql = format!("SELECT * FROM {} WHERE {}", table.name, predicate(dice, &scope, depth));
    let ordered = table.keys > 0 && dice.once_in(2);
    if ordered {
        let direction = dice.word(&["", " DESC"]);
        let names = table.key_names();
        let order: Vec<_> = names.iter().map(|name| format!("{name}{direction}")).collect();
        sql += &format!(" ORDER BY {}", order.join(", "));
        if dice.once_in(2) {
            sql += &format!(" LIMIT {}", 1 + dice.below(10));
        }
    }
    Query { sql, ordered, kinds }
}

fn rows(dice: &mut Dice, schema: &Schema) -> Query {
    let (from, scope) = source(dice, schema);
    let count = 1 + dice.below(4);
    let (selected, kinds) = selected(dice, &scope, count, 2);
    let condition = condition(dice, &scope);
    let (end, ordered) = end(dice, count);
    Query { sql: format!("SELECT {selected} FROM {from}{condition}{end}"), ordered, kinds }
}

fn distinct(dice: &mut Dice, schema: &Schema) -> Query {
    let (from, scope) = source(dice, schema);
    let count = 1 + dice.below(2);
    let (selected, kinds) = selected(dice, &scope, count, 1);
    let condition = condition(dice, &scope);
    let (end, ordered) = end(dice, count);
    Query { sql: format!("SELECT DISTINCT {selected} FROM {from}{condition}{end}"), ordered, kinds }
}

fn aggregate(dice: &mut Dice, scope: &Scope) -> (String, Kind) {
    let kind = *dice.of(&Kind::ALL);
    let argument = value(dice, scope, kind, 1);
    let (mut text, of) = match (dice.below(6), kind) {
        (0, _) => ("count(*)".to_string(), Kind::Int),
        (1, _) => (format!("count({argument})"), Kind::Int),
        (2, _) => (format!("count(DISTINCT {argument})"), Kind::Int),
        (3, Kind::Int | Kind::Double) => (format!("sum({argument})"), kind),
        (4, Kind::Int | Kind::Double) => (format!("avg({argument})"), Kind::Double),
        (at, _) => (format!("{}({argument})", ["min", "max"][at % 2]), kind),
    };
    if dice.once_in(6) {
        text += &format!(" FILTER (WHERE {})", predicate(dice, &scope.plain(), 1));
    }
    (text, of)
}

fn grouped(dice: &mut Dice, schema: &Schema) -> Query {
    let (from, scope) = source(dice, schema);
    let condition = condition(dice, &scope);
    let keys = dice.below(3);
    let (mut list, mut kinds) = (Vec::new(), Vec::new());
    for at in 0..keys {
        let kind = *dice.of(&Kind::ALL);
        list.push(format!("{} AS c{at}", value(dice, &scope.plain(), kind, 1)));
        kinds.push(kind);
    }
    for at in 0..1 + dice.below(3) {
        let (text, kind) = aggregate(dice, &scope.plain());
        list.push(format!("{text} AS c{}", keys + at));
        kinds.push(kind);
    }
    let by: Vec<_> = (1..=keys).map(|at| at.to_string()).collect();
    let mut sql = format!("SELECT {} FROM {from}{condition}", list.join(", "));
    if keys > 0 {
        sql += &format!(" GROUP BY {}", by.join(", "));
        if dice.once_in(3) {
            sql += dice.word(&[" HAVING count(*) > 1", " HAVING count(*) <= 2"]);
            if dice.once_in(2) {
                let condition = predicate(dice, &scope.plain(), 1);
                sql += &format!(" OR sum(CASE WHEN {condition} THEN 1 ELSE 0 END) = 1");
            }
        }
    }
    let (end, ordered) = end(dice, list.len());
    Query { sql: sql + &end, ordered, kinds }
}

fn set_operation(dice: &mut Dice, schema: &Schema) -> Query {
    let kinds: Vec<Kind> = (0..1 + dice.below(2)).map(|_| *dice.of(&Kind::ALL)).collect();
    let operator = dice.word(&["UNION", "UNION ALL", "EXCEPT", "INTERSECT"]);
    let mut parts = Vec::new();
    for _ in 0..2 {
        let table = schema.relation(dice);
        let scope = Scope::of(schema, table, Some("a"));
        let values = kinds.iter().enumerate();
        let values = values.map(|(at, kind)| format!("{} AS c{at}", value(dice, &scope, *kind, 1)));
        let values = values.collect::<Vec<_>>().join(", ");
        parts.push(format!("SELECT {values} FROM {} AS a{}", table.name, condition(dice, &scope)));
    }
    let (end, ordered) = end(dice, kinds.len());
    Query { sql: parts.join(&format!(" {operator} ")) + &end, ordered, kinds }
}

fn windows(dice: &mut Dice, schema: &Schema) -> Query {
    let table = schema.relation(dice);
    let scope = Scope::of(schema, table, Some("a")).plain();
    // All columns: rows that tie are the same.
    let order = scope.columns.iter().map(|(name, _)| format!("{name} NULLS FIRST"));
    let order = order.collect::<Vec<_>>().join(", ");
    let over = match dice.once_in(3) {
        true => format!("ORDER BY {order}"),
        false => {
            let kind = *dice.of(&Kind::ALL);
            format!("PARTITION BY {} ORDER BY {order}", value(dice, &scope, kind, 1))
        }
    };
    let kind = *dice.of(&[Kind::Int, Kind::Double]);
    let argument = value(dice, &scope, kind, 0);
    let (function, of) = match dice.below(8) {
        0 => ("row_number()".to_string(), Kind::Int),
        1 => ("rank()".to_string(), Kind::Int),
        2 => ("dense_rank()".to_string(), Kind::Int),
        3 => (format!("lag({argument}, {})", 1 + dice.below(2)), kind),
        4 => (format!("lead({argument}, 1)"), kind),
        5 => (format!("first_value({argument})"), kind),
        6 => (format!("max({argument})"), kind),
        _ => (format!("sum({argument})"), kind),
    };
    let frame = match function.starts_with(['m', 's']) {
        true => dice.word(&[
            "",
            " ROWS BETWEEN 1 PRECEDING AND CURRENT ROW",
            " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
            " ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING",
        ]),
        false => "",
    };
    let (column, kind) = scope.columns[0].clone();
    let condition = condition(dice, &scope);
    let sql = format!(
        "SELECT {column} AS c0, {function} OVER ({over}{frame}) AS c1 FROM {} AS a{condition}",
        table.name
    );
    let (end, ordered) = end(dice, 2);
    Query { sql: sql + &end, ordered, kinds: vec![kind, of] }
}

/// Subqueries among what is selected.
fn with_subqueries(dice: &mut Dice, schema: &Schema) -> Query {
    let table = schema.relation(dice);
    let other = schema.relation(dice);
    let scope = Scope::of(schema, table, Some("a"));
    let inner = Scope::of(schema, other, Some("i")).plain();
    let (column, kind) = dice.of(&scope.columns).clone();
    let pair = inner.columns.iter().find(|(_, other)| *other == kind).map(|(name, _)| name);
    let local = predicate(dice, &inner, 1);
    let by = match pair {
        Some(pair) if dice.once_in(2) => format!("{pair} = {column} AND {local}"),
        _ => local,
    };
    let (aggregate, of) = match dice.once_in(2) {
        true => ("count(*)".to_string(), Kind::Int),
        false => {
            let (name, kind) = dice.of(&inner.columns).clone();
            (format!("{}({name})", dice.word(&["min", "max"])), kind)
        }
    };
    let condition = condition(dice, &scope);
    let sql = format!(
        "SELECT {column} AS c0, (SELECT {aggregate} FROM {} AS i WHERE {by}) AS c1 \
         FROM {} AS a{condition}",
        other.name, table.name
    );
    let (end, ordered) = end(dice, 2);
    Query { sql: sql + &end, ordered, kinds: vec![kind, of] }
}

/// A query over a query.
fn derived(dice: &mut Dice, schema: &Schema) -> Query {
    let inner = match dice.once_in(2) {
        true => grouped(dice, schema),
        false => rows(dice, schema),
    };
    let name = |(at, kind): (usize, &Kind)| super::schema::Column {
        name: format!("c{at}"),
        kind: *kind,
        not_null: false,
        default: None,
    };
    let table = Table {
        name: "q".to_string(),
        columns: inner.kinds.iter().enumerate().map(name).collect(),
        keys: 0,
        is_view: true,
    };
    let scope = Scope::of(schema, &table, Some("q"));
    let condition = condition(dice, &scope);
    let count = 1 + dice.below(2);
    let (selected, kinds) = selected(dice, &scope, count, 1);
    let sql = match dice.once_in(2) {
        true => format!("WITH q AS ({}) SELECT {selected} FROM q{condition}", inner.sql),
        false => format!("SELECT {selected} FROM ({}) AS q{condition}", inner.sql),
    };
    let (end, ordered) = end(dice, count);
    Query { sql: sql + &end, ordered, kinds }
}
