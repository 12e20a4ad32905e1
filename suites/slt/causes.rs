//! Why OmenDB answers otherwise than DataFusion where it is known: by choice, because something is
//! not there yet, or in consequence of such a statement before.

use super::script::Judged;

/// The names that a script misses, because what would have made them failed.
#[derive(Debug, Default)]
pub struct Missing(Vec<String>);

/// What an error of ours says, and the cause.
const OWN_ERRORS: [(&str, &str); 12] = [
    ("number the rows that are alike", "refused, because DataFusion's answer is wrong"),
    ("which Parquet cannot hold", "a type that Parquet cannot hold"),
    ("needs a column", "a table without columns"),
    ("outside of the database", "one schema holds all tables and views"),
    ("ends with the session", "a view of the database names nothing of a session"),
    ("joins, windows and subqueries", "a statement has at most 40 joins, windows and subqueries"),
    ("write to its own folder", "queries write to the database's own folder"),
    ("Not enough memory", "many partitions keep back more memory for sorts than there is"),
    ("OR REPLACE and IF NOT EXISTS", "OmenDB's own words for an error"),
    ("which is no column of it", "OmenDB's own words for an error"),
    ("or: not found: ", "OmenDB's own words for an error"),
    ("or: already exists: ", "OmenDB's own words for an error"),
];

/// Tables with a UNIQUE column that may be NULL, which to DataFusion determines the others.
const BY_UNIQUE: [&str; 2] = ["t_uniq", "sales_global_with_unique"];

impl Missing {
    /// A statement that passes: what it makes is there again.
    pub fn passed(&mut self, sql: &str) {
        let words = words(sql);
        if words.first().is_some_and(|word| word == "create") {
            let made = made(&words);
            self.0.retain(|name| Some(name) != made.as_ref());
        }
    }

    /// The cause of a failure, if it is known.
    pub fn cause(&mut self, record: &Judged) -> Option<&'static str> {
        let failure = record.failure.as_deref()?;
        let own = OWN_ERRORS.iter().find(|(text, _)| failure.contains(text));
        let words: Vec<String> = words(&record.sql);
        let is_made = words.first().is_some_and(|word| word == "create" || word == "insert");
        let cause = match own {
            _ if words.iter().any(|word| self.0.contains(word)) => {
                Some("in consequence of a statement before")
            }
            Some((_, cause)) => Some(*cause),
            None => of_answer(failure, &words),
        };
        if cause.is_some() && is_made {
            self.0.extend(made(&words));
        }
        cause
    }
}

fn of_answer(failure: &str, words: &[String]) -> Option<&'static str> {
    let first = words.first().map(String::as_str)?;
    let differs = failure.starts_with("query result mismatch");
    if first == "explain" && differs {
        return Some("a plan shows OmenDB's scans and settings");
    }
    let of_catalog = ["show", "describe", "desc"].contains(&first)
        || words.iter().any(|word| word == "information_schema");
    let is_missing = failure.contains("doesn't exist") || failure.contains("' not found");
    if of_catalog && (differs || is_missing) {
        return Some("another catalog, with other settings");
    }
    if failure.contains("datafusion") && failure.contains("omen.") {
        return Some("another name of the catalog");
    }
    if failure.contains("NOT NULL") && failure.contains("non-nullable") {
        return Some("OmenDB's own words for an error");
    }
    if failure.contains("\"; ") && failure.contains("doesn't exist") || failure.contains("drops it")
    {
        return Some("OmenDB's own words for an error");
    }
    if words.iter().any(|word| BY_UNIQUE.contains(&word.as_str())) {
        return Some("UNIQUE over NULLs: DataFusion issues 23634, 23818, 23819");
    }
    let has = |word: &str| words.iter().any(|other| other == word);
    if differs && ["not", "or", "outer_table", "inner_table2"].into_iter().all(has) {
        return Some("NOT IN within OR, where DataFusion takes NULL for FALSE: issue 8241");
    }
    let lines = |sign: char| -> Vec<String> {
        let lines = failure.lines().filter_map(|line| line.strip_prefix(sign));
        lines.map(|line| line.replace("Utf8View", "Utf8")).collect()
    };
    let is_of_type =
        failure.contains("Utf8View") && words.iter().any(|word| word == "arrow_typeof");
    if differs && (is_of_type || lines('-') == lines('+')) {
        return Some("TEXT is Utf8, not Utf8View");
    }
    if failure.contains("is expected to fail, but actually succeed") && failure.contains("count(") {
        return Some("columns of one name are given names of their own");
    }
    None
}

/// The words of a statement, in small letters.
fn words(sql: &str) -> Vec<String> {
    let words = sql.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// The name in CREATE TABLE, CREATE VIEW, INSERT INTO.
fn made(words: &[String]) -> Option<String> {
    let skipped = [
        "create",
        "or",
        "replace",
        "temporary",
        "table",
        "view",
        "schema",
        "external",
        "unbounded",
        "if",
        "not",
        "exists",
        "insert",
        "into",
        "overwrite",
    ];
    words.iter().find(|word| !skipped.contains(&word.as_str())).cloned()
}

#[test]
fn what_is_not_known_has_no_cause() {
    let judged = |sql: &str, failure: &str| Judged {
        place: "1".to_string(),
        sql: sql.to_string(),
        failure: Some(failure.to_string()),
    };
    let mut missing = Missing::default();
    let wrong = "query result mismatch:\n[Diff]\n-   1\n+   2";
    assert_eq!(missing.cause(&judged("SELECT * FROM t", wrong)), None);
    let refused = judged("CREATE TABLE t(a INTERVAL)", "a type which Parquet cannot hold");
    assert_eq!(missing.cause(&refused), Some("a type that Parquet cannot hold"));
    assert!(missing.cause(&judged("SELECT * FROM t", wrong)).is_some());
    assert_eq!(missing.cause(&judged("SELECT * FROM u", wrong)), None);
    missing.passed("CREATE TABLE t(a INT)");
    assert_eq!(missing.cause(&judged("SELECT * FROM t", wrong)), None);
}
