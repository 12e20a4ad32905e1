use datafusion::sql::sqlparser::dialect::GenericDialect;

use super::*;

fn depth(sql: &str) -> usize {
    let mut meter = Meter::default();
    for token in Tokenizer::new(&GenericDialect {}, sql).tokenize().unwrap() {
        meter.take(&token);
    }
    while meter.close() {}
    meter.level.depth()
}

/// Joins and unions.
fn steps(sql: &str) -> (usize, usize) {
    let mut meter = Meter::default();
    for token in Tokenizer::new(&GenericDialect {}, sql).tokenize().unwrap() {
        meter.take(&token);
    }
    (meter.joins, meter.unions)
}

/// `a`, and `n` times `b`.
fn times(a: &str, n: usize, b: &str) -> String {
    format!("{a}{}", b.repeat(n))
}

#[test]
fn items_and_rows_do_not_add_up() {
    for (one, more) in [
        ("SELECT 1 WHERE x IN (1", ", -1"),
        ("INSERT INTO t VALUES (1, -2, 'a')", ", (1, -2, 'a')"),
        ("SELECT a + 1", ", a + 1"),
        ("SELECT CASE WHEN a = 1 THEN b", " WHEN a = 1 THEN b"),
        ("SELECT 1 AS a FROM t", " UNION ALL SELECT 1 AS a FROM t"),
        ("SELECT a.x FROM a", " LEFT JOIN a ON a.x = b.x"),
        ("SELECT CASE WHEN a THEN NULL END", ", CASE WHEN a THEN NULL END"),
        ("CREATE TABLE t (a BIGINT NOT NULL", ", b BIGINT NOT NULL"),
    ] {
        let (few, many) = (depth(&times(one, 3, more)), depth(&times(one, 1_000, more)));
        assert_eq!(few, many, "{one}{more}");
        assert!(many < 12, "{many}: {one}{more}");
    }
}

#[test]
fn what_nests_adds_up() {
    for (one, more) in [
        ("SELECT 1", " + 1"),
        ("SELECT a", " OR a"),
        ("SELECT ", "NOT "),
        ("SELECT ", "- "),
        ("SELECT ", "("),
        ("SELECT 1", ")"),
        ("SELECT a", "::INT"),
        ("SELECT a", "[1]"),
        ("SELECT a", ".b"),
        ("SELECT a", " IS NULL"),
        ("SELECT a", " IS DISTINCT FROM a"),
        ("SELECT a", " + where"),
        ("SELECT a", " + left + - -"),
        ("SELECT a", " AND end"),
        ("SELECT ", "CASE WHEN a THEN "),
        ("SELECT ", "CASE end WHEN a THEN "),
        ("SELECT ", "CASE WHEN CASE "),
        ("SELECT ", "f(1, "),
        ("SELECT a", " || 'b'"),
        ("SELECT CAST(a AS ", "ARRAY<"),
        ("SELECT * FROM ", "(SELECT * FROM "),
    ] {
        let few = depth(&times(one, 10, more));
        let many = depth(&times(one, 1_010, more));
        if more == ")" {
            assert_eq!(few, many, "nothing to close");
            continue;
        }
        assert!(many >= few + 1_000, "{few} {many}: {one}{more}");
    }
    let left_deep = format!("SELECT {}1{}", "(".repeat(9), " + 1 + 1 + 1)".repeat(9));
    assert!(depth(&left_deep) >= 9 + 3 * 9, "{}", depth(&left_deep));
    let cases = format!("{}a{}", "CASE WHEN ".repeat(9), " THEN b END + 1 + 1".repeat(9));
    assert!(depth(&cases) >= 9 + 2 * 9, "{}", depth(&cases));
}

#[test]
fn steps_are_counted_in_the_whole_statement() {
    for (one, more) in [
        ("SELECT 1", " UNION SELECT 1"),
        ("SELECT * FROM a", ", a"),
        ("SELECT * FROM where", ", where"),
        ("SELECT * FROM a", " JOIN b ON a.x = b.x"),
        ("WITH a AS (SELECT 1)", ", b AS (SELECT * FROM a)"),
        ("WITH a AS (SELECT 1)", ", b AS (FROM a)"),
        ("WITH a AS (SELECT 1)", ", b AS (TABLE a)"),
        ("WITH a AS (SELECT 1)", ", b AS (WITH c AS (SELECT 1) FROM a)"),
        ("SELECT 1", ", sum(x) OVER (ORDER BY y)"),
        ("FROM t", " |> where x"),
    ] {
        let (few, many) = (steps(&times(one, 1, more)), steps(&times(one, 1_001, more)));
        assert!(many.0 + many.1 >= few.0 + few.1 + 1_000, "{one}{more}");
    }
    assert_eq!(steps("SELECT a, b, c FROM t WHERE x IN (1, 2) GROUP BY a, b, c"), (0, 0));
    assert_eq!(steps("SELECT extract(epoch FROM a) FROM t"), (0, 0));
    assert_eq!(steps("INSERT INTO t VALUES (1), (2), (3)"), (0, 0));
}

#[test]
fn operands_of_and_and_or_are_beside_each_other() {
    let filters = times("SELECT a FROM t WHERE a = 1", 200, " OR b.c + 1 >= 2 AND NOT d IS NULL");
    assert!((400..420).contains(&depth(&filters)), "{}", depth(&filters));
    // AND of BETWEEN, and an operator that takes AND as its operand, are no borders.
    for more in [" AND NOT - - a BETWEEN 1", " OR INTERVAL - - a", " AND (x -> - - a"] {
        let (few, many) =
            (depth(&times("SELECT a", 10, more)), depth(&times("SELECT a", 110, more)));
        assert!(many >= few + 400, "{few} {many} {more}");
    }
}

#[test]
fn texts_are_bounded() {
    let long = format!("SELECT '{}'", "a".repeat(BYTES_MAX));
    let refused = tokens(&long, &GenericDialect {}).unwrap_err();
    assert!(matches!(&refused, Error::InvalidInput(m) if m.contains("16777216")), "{refused}");
    assert!(tokens("SELECT 'open", &GenericDialect {}).unwrap().is_none());
}
