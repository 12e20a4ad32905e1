//! Statements of any depth, by what they are made of.

/// All that [`sql`] knows.
pub const KINDS: &[&str] = &[
    "plus",
    "or",
    "and",
    "not",
    "minus",
    "parentheses",
    "case",
    "subquery",
    "scalar",
    "exists",
    "union",
    "union_all",
    "join",
    "cross",
    "cast",
    "function",
    "concat",
    "cte",
    "over",
    "is_null",
    "mixed",
];

/// A statement of so many terms.
pub fn sql(kind: &str, terms: usize) -> String {
    let around = |open: &str, inner: &str, close: &str| {
        format!("SELECT {}{inner}{} FROM t", open.repeat(terms), close.repeat(terms))
    };
    let chain = |first: &str, more: &str| format!("SELECT {first}{} FROM t", more.repeat(terms));
    let numbered = |f: &dyn Fn(usize) -> String| (0..terms).map(f).collect::<String>();
    match kind {
        "plus" => chain("a", " + a"),
        "or" => format!("SELECT a FROM t WHERE b{}", numbered(&|i| format!(" OR a = {i} * a"))),
        "and" => format!("SELECT a FROM t WHERE b{}", numbered(&|i| format!(" AND a <> {i} * a"))),
        "not" => format!("SELECT a FROM t WHERE {}b", "NOT ".repeat(terms)),
        "minus" => around("- ", "a", ""),
        "parentheses" => around("(", "a", ")"),
        "case" => around("CASE WHEN b THEN ", "a", " ELSE 0 END"),
        "subquery" => {
            format!("SELECT * FROM {}t{}", "(SELECT * FROM ".repeat(terms), ") AS t".repeat(terms))
        }
        "scalar" => around("(SELECT max(a) + ", "1", " FROM t)"),
        "exists" => format!(
            "SELECT a FROM t{}{}",
            " WHERE a IN (SELECT a FROM t".repeat(terms),
            ")".repeat(terms)
        ),
        "union" => format!("SELECT a FROM t{}", " UNION SELECT a FROM t".repeat(terms)),
        "union_all" => format!("SELECT a FROM t{}", " UNION ALL SELECT a + 1 FROM t".repeat(terms)),
        "join" => {
            let join = |i: usize| format!(" JOIN t AS t{} ON t{i}.a = t{}.a", i + 1, i + 1);
            format!("SELECT t0.a FROM t AS t0{}", numbered(&join))
        }
        "cross" => format!("SELECT t.a FROM t{}", numbered(&|i| format!(", t AS t{i}"))),
        "cast" => chain("a", "::BIGINT::INT"),
        "function" => around("abs(", "a", ")"),
        "concat" => chain("s", " || 'x' || s"),
        "cte" => {
            let next = |i: usize| format!(", c{} AS (SELECT a + 1 AS a FROM c{i})", i + 1);
            format!("WITH c0 AS (SELECT a FROM t){} SELECT * FROM c{terms}", numbered(&next))
        }
        "over" => {
            let window = |i: usize| format!(", sum(a) OVER (ORDER BY a + {i})");
            format!("SELECT a{} FROM t", numbered(&window))
        }
        "is_null" => chain("a", " IS NULL"),
        "mixed" => around("abs(1 + (- CASE WHEN NOT b THEN ", "a", " ELSE 0 END)) + 1"),
        _ => panic!("{kind}"),
    }
}
