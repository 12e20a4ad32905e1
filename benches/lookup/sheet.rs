//! A sheet of figures: values over the workloads of a kind, printed under one prefix.

use omen_benches::figure::{at_least, at_most, measured};

/// What was found for one workload.
pub trait Row {
    /// Whether the workload is one of the smooth ones.
    fn is_smooth(&self) -> bool;
}

/// What was found at one size, a row for each workload.
pub struct Sheet<'a, R> {
    /// The beginning of each figure's name.
    pub prefix: String,
    pub rows: &'a [R],
}

impl<R: Row> Sheet<'_, R> {
    /// The smallest value over the workloads of a kind; infinite if there are none.
    pub fn least(&self, smooth_only: bool, value: impl Fn(&R) -> f64) -> f64 {
        let kind = self.rows.iter().filter(|row| row.is_smooth() || !smooth_only);
        kind.map(value).filter(|value| !value.is_nan()).fold(f64::INFINITY, f64::min)
    }

    pub fn most(&self, smooth_only: bool, value: impl Fn(&R) -> f64) -> f64 {
        -self.least(smooth_only, |row| -value(row))
    }

    /// Prints a ratio that should be large, unless nothing was measured.
    pub fn at_least(&self, name: &str, value: f64, goal: f64) {
        if value.is_finite() {
            at_least(&format!("{}_{name}", self.prefix), value, goal);
        }
    }

    pub fn at_most(&self, name: &str, value: f64, goal: f64) {
        if value.is_finite() {
            at_most(&format!("{}_{name}", self.prefix), value, goal);
        }
    }

    pub fn measured(&self, name: &str, value: f64) {
        if value.is_finite() {
            measured(&format!("{}_{name}", self.prefix), value);
        }
    }

    /// The least of the smooth workloads and of all, without goals.
    pub fn measured_least(&self, name: &str, value: impl Fn(&R) -> f64) {
        self.measured(&format!("{name}_smooth"), self.least(true, &value));
        self.measured(&format!("{name}_any"), self.least(false, &value));
    }

    /// The most of the smooth workloads and of all, without goals.
    pub fn measured_most(&self, name: &str, value: impl Fn(&R) -> f64) {
        self.measured(&format!("{name}_smooth"), self.most(true, &value));
        self.measured(&format!("{name}_any"), self.most(false, &value));
    }
}
