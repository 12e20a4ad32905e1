//! Tables with keys of every type, and constants to compare their columns with.

use crate::differential::dice::Dice;

/// A type, and how values of it are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    TinyInt,
    Int,
    BigInt,
    Unsigned,
    Float,
    Double,
    Decimal,
    Date,
    Timestamp,
    Zoned,
    Text,
    Boolean,
}

impl Type {
    pub const ALL: [Self; 12] = [
        Self::TinyInt,
        Self::Int,
        Self::BigInt,
        Self::Unsigned,
        Self::Float,
        Self::Double,
        Self::Decimal,
        Self::Date,
        Self::Timestamp,
        Self::Zoned,
        Self::Text,
        Self::Boolean,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::TinyInt => "TINYINT",
            Self::Int => "INT",
            Self::BigInt => "BIGINT",
            Self::Unsigned => "BIGINT UNSIGNED",
            Self::Float => "FLOAT",
            Self::Double => "DOUBLE",
            Self::Decimal => "DECIMAL(10, 2)",
            Self::Date => "DATE",
            Self::Timestamp => "TIMESTAMP",
            Self::Zoned => "TIMESTAMP WITH TIME ZONE",
            Self::Text => "TEXT",
            Self::Boolean => "BOOLEAN",
        }
    }

    fn is_number(self) -> bool {
        matches!(
            self,
            Self::TinyInt
                | Self::Int
                | Self::BigInt
                | Self::Unsigned
                | Self::Float
                | Self::Double
                | Self::Decimal
        )
    }

    /// A value that a column of this type takes.
    pub fn value(self, dice: &mut Dice) -> String {
        match self {
            Self::TinyInt => dice.between(-128, 127).to_string(),
            Self::Unsigned if dice.once_in(30) => u64::MAX.to_string(),
            Self::Unsigned => dice.between(0, 300).to_string(),
            Self::Int if dice.once_in(30) => i32::MIN.to_string(),
            // The smallest cannot be written as a number in SQL.
            Self::BigInt if dice.once_in(30) => dice.of(&[i64::MAX, i64::MIN + 1]).to_string(),
            Self::Int | Self::BigInt => dice.between(-150, 150).to_string(),
            Self::Float | Self::Double if dice.once_in(30) => {
                let text = dice.word(&["-0.0", "0.0", "1e300", "-1e-300", "16777217", "0.1"]);
                format!("CAST('{text}' AS DOUBLE)")
            }
            Self::Float | Self::Double => format!("{:.1}", dice.between(-100, 100) as f64 / 10.0),
            Self::Decimal => format!("{:.2}", dice.between(-400, 400) as f64 / 100.0),
            Self::Date => format!("DATE '{}'", date(dice)),
            Self::Timestamp => format!("TIMESTAMP '{}'", moment(dice)),
            Self::Zoned => {
                let zone = dice.word(&["Z", "+02:00", "-05:30"]);
                format!("TIMESTAMP '{}{zone}'", moment(dice))
            }
            Self::Text => format!("'{}'", text(dice)),
            Self::Boolean => dice.word(&["TRUE", "FALSE"]).to_string(),
        }
    }

    /// Something to compare a column of this type with: often of another type, or out of bounds.
    pub fn constant(self, dice: &mut Dice) -> String {
        if dice.once_in(25) {
            return "NULL".to_string();
        }
        if self.is_number() {
            return number(dice, self);
        }
        match (self, dice.below(6)) {
            (Self::Date, 0) => format!("'{}'", date(dice)),
            (Self::Date, 1) => Self::Timestamp.value(dice),
            (Self::Date, 2) => format!("CAST('{}' AS DATE)", date(dice)),
            (Self::Timestamp, 0) => Self::Date.value(dice),
            (Self::Timestamp, 1) => format!("'{}'", moment(dice)),
            (Self::Timestamp, 2) => Self::Zoned.value(dice),
            (Self::Zoned, 0) => Self::Timestamp.value(dice),
            (Self::Zoned, 1) => format!("'{}+01:00'", moment(dice)),
            (Self::Zoned, 2) => Self::Date.value(dice),
            (Self::Text, 0) => dice.word(&["''", "'€'", "'zzzz'", "'k-1'", "'k-'"]).to_string(),
            (Self::Text, 1) => format!("concat('k-', '{}')", dice.between(100, 130)),
            _ => self.value(dice),
        }
    }
}

fn number(dice: &mut Dice, of: Type) -> String {
    match dice.below(14) {
        0 => format!("{}.5", dice.between(-30, 30)),
        1 => format!("{}.0", dice.between(-120, 120)),
        2 => format!("CAST({} AS SMALLINT)", dice.between(-150, 150)),
        3 => format!("CAST({}.5 AS DECIMAL(12, 3))", dice.between(-50, 50)),
        4 => format!("CAST('{:.3}' AS DECIMAL(9, 3))", dice.between(-4000, 4000) as f64 / 1000.0),
        5 => format!("CAST('{:.1}' AS FLOAT)", dice.between(-90, 90) as f64 / 10.0),
        6 => {
            let text = dice.word(&["NaN", "-0.0", "0.0", "inf", "-inf", "1e300", "1e19"]);
            format!("CAST('{text}' AS DOUBLE)")
        }
        7 => dice.word(&["9223372036854775807", "-9223372036854775807", "0", "128"]).to_string(),
        8 => dice.word(&["2147483648", "-2147483649", "18446744073709551615", "-1"]).to_string(),
        9 => dice.word(&["'7'", "'-3'", "'100'"]).to_string(),
        10 => format!("({} + 1)", dice.between(-90, 90)),
        _ => of.value(dice),
    }
}

fn date(dice: &mut Dice) -> String {
    format!("20{:02}-{:02}-{:02}", dice.between(18, 23), dice.between(1, 12), dice.between(1, 28))
}

fn moment(dice: &mut Dice) -> String {
    let day = format!("2020-01-{:02}", dice.between(1, 6));
    let seconds = dice.word(&["00", "30", "59.5", "00.000001", "59.999999999"]);
    format!("{day}T{:02}:{:02}:{seconds}", dice.between(0, 23), dice.of(&[0, 15, 59]))
}

fn text(dice: &mut Dice) -> String {
    match dice.below(6) {
        0 => dice.word(&["", "a", "b", "ab", "ba", "日本", "€", "zz", "A"]).to_string(),
        1 => format!("k-{}-{}", dice.between(100, 110), dice.between(0, 9)),
        _ => format!("k-{}", dice.between(100, 250)),
    }
}

/// A table with a key, and how it came to its rows.
#[derive(Debug, Clone)]
pub struct Table {
    pub name: &'static str,
    /// Key first, then the values `v` BIGINT, `w` TEXT and `d` DOUBLE.
    pub columns: Vec<(String, Type)>,
    pub keys: usize,
    pub statements: Vec<String>,
}

impl Table {
    pub fn made_up(dice: &mut Dice, name: &'static str) -> Self {
        let keys = *dice.of(&[1, 1, 2, 3]);
        let mut columns: Vec<(String, Type)> =
            (0..keys).map(|at| (format!("k{at}"), *dice.of(&Type::ALL))).collect();
        let values = [("v", Type::BigInt), ("w", Type::Text), ("d", Type::Double)];
        columns.extend(values.map(|(name, of)| (name.to_string(), of)));
        let list = columns.iter().map(|(name, of)| format!("{name} {}", of.name()));
        let list = list.collect::<Vec<_>>().join(", ");
        let key = columns[..keys].iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
        let create = format!("CREATE TABLE {name} ({list}, PRIMARY KEY ({}))", key.join(", "));
        let mut table = Self { name, columns, keys, statements: vec![create] };
        for _ in 0..dice.between(2, 4) {
            let rows: Vec<_> = (0..dice.between(20, 90)).map(|_| table.row(dice)).collect();
            let insert = format!("INSERT OR REPLACE INTO {name} VALUES {}", rows.join(", "));
            table.statements.push(insert);
            let remainder = dice.between(0, 4);
            table.statements.push(match dice.below(3) {
                0 => format!("DELETE FROM {name} WHERE v % 5 = {remainder}"),
                _ => format!(
                    "UPDATE {name} SET v = v + 1, w = concat('k-', v) WHERE v % 7 = {remainder}"
                ),
            });
            let upkeep = dice.word(&["checkpoint", "checkpoint", "compact", ""]);
            table.statements.push(upkeep.to_string());
        }
        table
    }

    fn row(&self, dice: &mut Dice) -> String {
        let values = self.columns.iter().enumerate().map(|(at, (_, of))| match at < self.keys {
            false if dice.once_in(5) => "NULL".to_string(),
            false if *of == Type::Double && dice.once_in(12) => "CAST('NaN' AS DOUBLE)".to_string(),
            _ => of.value(dice),
        });
        format!("({})", values.collect::<Vec<_>>().join(", "))
    }
}
