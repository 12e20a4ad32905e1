//! A sheet of figures: values over the workloads of a kind, printed under one prefix.

use omen_benches::figure::{at_least, at_most, measured};
use omen_benches::settings::size_name;

/// The fewest keys for which there are goals: with fewer, everything lies in the caches.
const GOAL_KEYS_MIN: usize = 1_000_000;

/// What was found for one workload.
pub trait Row {
    /// Whether the workload is one of the smooth ones.
    fn is_smooth(&self) -> bool;
}

/// What was found at one size, a row for each workload.
pub struct Sheet<'a, R> {
    prefix: String,
    pub rows: &'a [R],
    has_goals: bool,
}

impl<'a, R: Row> Sheet<'a, R> {
    /// A sheet for one size, whose figures begin with the bench, the size and `subject`.
    pub fn new(size: usize, subject: &str, rows: &'a [R]) -> Self {
        let prefix = format!("index_lookup_{}{subject}", size_name(size));
        Self { prefix, rows, has_goals: size >= GOAL_KEYS_MIN }
    }

    /// The smallest value over the workloads of a kind; infinite if there are none.
    pub fn least(&self, smooth_only: bool, value: impl Fn(&R) -> f64) -> f64 {
        let kind = self.rows.iter().filter(|row| row.is_smooth() || !smooth_only);
        kind.map(value).filter(|value| !value.is_nan()).fold(f64::INFINITY, f64::min)
    }

    /// The largest value over the workloads of a kind; infinite if there are none.
    pub fn most(&self, smooth_only: bool, value: impl Fn(&R) -> f64) -> f64 {
        -self.least(smooth_only, |row| -value(row))
    }

    /// Prints a ratio that should be large, unless nothing was measured.
    pub fn at_least(&self, name: &str, value: f64, goal: f64) {
        match self.has_goals {
            true if value.is_finite() => at_least(&self.name(name), value, goal),
            true => {}
            false => self.measured(name, value),
        }
    }

    pub fn at_most(&self, name: &str, value: f64, goal: f64) {
        match self.has_goals {
            true if value.is_finite() => at_most(&self.name(name), value, goal),
            true => {}
            false => self.measured(name, value),
        }
    }

    pub fn measured(&self, name: &str, value: f64) {
        if value.is_finite() {
            measured(&self.name(name), value);
        }
    }

    fn name(&self, name: &str) -> String {
        format!("{}_{name}", self.prefix)
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
