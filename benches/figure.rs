//! How a bench reports what it found: a line for programs per figure, tables for people.
//!
//! A figure's line is `FIGURE name value goal verdict`: names are stable and hold no spaces, the
//! goal is `>=10`, `<=0.13` or `-` for none, the verdict `met`, `short` or `measured`.

/// A figure that should be at least `goal`.
pub fn at_least(name: &str, value: f64, goal: f64) {
    println!("FIGURE {name} {value:.3} >={} {}", rounded(goal), verdict(value >= goal));
}

/// A figure that should be at most `goal`.
pub fn at_most(name: &str, value: f64, goal: f64) {
    println!("FIGURE {name} {value:.3} <={} {}", rounded(goal), verdict(value <= goal));
}

/// A figure without a goal.
pub fn measured(name: &str, value: f64) {
    println!("FIGURE {name} {value:.3} - measured");
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "short" }
}

/// To three decimals, as few as will do.
fn rounded(goal: f64) -> f64 {
    (goal * 1e3).round() / 1e3
}

/// The median; of an even number of values, the lower of the middle two. NaN without values.
pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// How far apart values are: the distance of their quartiles in relation to their median.
pub fn spread(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values.get((values.len() as f64 * share) as usize).copied();
    let (low, high) = (at(0.25).unwrap_or(f64::NAN), at(0.75).unwrap_or(f64::NAN));
    (high - low) / median(&values)
}

/// A table: a title, one heading per column, rows of a name and numbers. Missing numbers are NaN.
#[derive(Debug)]
pub struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<(String, Vec<f64>)>,
    decimals: usize,
}

impl Table {
    /// An empty table whose numbers show so many decimals.
    pub fn new(title: String, columns: Vec<String>, decimals: usize) -> Self {
        Self { title, columns, rows: Vec::new(), decimals }
    }

    /// Adds a row.
    pub fn row(&mut self, name: &str, numbers: Vec<f64>) {
        self.rows.push((name.to_string(), numbers));
    }

    /// Writes the table to standard output.
    pub fn print(&self) {
        println!("\n{}", self.title);
        let width = |name: &str| name.chars().count().max(7) + 2;
        print!("{:16}", "");
        for column in &self.columns {
            print!("{column:>w$}", w = width(column));
        }
        println!();
        for (name, numbers) in &self.rows {
            print!("{name:16}");
            for (column, number) in self.columns.iter().zip(numbers) {
                let w = width(column);
                if number.is_nan() {
                    print!("{:>w$}", "-");
                } else {
                    print!("{number:>w$.d$}", d = self.decimals);
                }
            }
            println!();
        }
    }
}
