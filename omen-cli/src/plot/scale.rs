//! Where round numbers lie on an axis.

/// A mark on an axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    /// Between 0 and 1.
    pub(super) at: f64,
    pub(super) label: String,
}

/// The smallest of 1, 2, 5, 10, 20, 50, … that divides `span` into at most `parts`.
pub(super) fn round_step(span: u128, parts: u32) -> u128 {
    let least = span.div_ceil(u128::from(parts.max(1))).max(1);
    let mut unit: u128 = 1;
    loop {
        for factor in [1, 2, 5] {
            match unit.checked_mul(factor) {
                Some(step) if step >= least => return step,
                Some(_) => {}
                None => return least,
            }
        }
        match unit.checked_mul(10) {
            Some(next) => unit = next,
            None => return least,
        }
    }
}

/// The multiples of `step` between two numbers, few enough to draw.
pub(super) fn multiples(min: i128, max: i128, step: u128) -> Vec<i128> {
    const TICKS_MAX: usize = 64;
    let Ok(step) = i128::try_from(step) else { return Vec::new() };
    let rest = min.rem_euclid(step);
    let first = if rest == 0 { Some(min) } else { min.checked_add(step - rest) };
    let next = |value: &i128| value.checked_add(step);
    let values = std::iter::successors(first, next).take_while(|value| *value <= max);
    values.take(TICKS_MAX).collect()
}

/// Where `value` lies between `min` and `max`; in the middle if they are the same.
pub(super) fn fraction(min: i128, max: i128, value: i128) -> f64 {
    match max.saturating_sub(min) {
        0 => 0.5,
        span => value.saturating_sub(min) as f64 / span as f64,
    }
}

/// A round step for numbers with a fraction, and how many decimals show it; `None` if numbers of
/// that size have no round steps.
pub(super) fn round_step_real(span: f64, parts: u32) -> Option<(f64, usize)> {
    const DECIMALS_MAX: i32 = 17;
    let least = span / f64::from(parts.max(1));
    if !least.is_normal() {
        return None;
    }
    let exponent = least.log10().floor() as i32;
    let rounds = [(1.0, exponent), (2.0, exponent), (5.0, exponent), (1.0, exponent + 1)];
    let mut steps = rounds.into_iter().map(|(factor, exponent)| {
        (factor * 10_f64.powi(exponent), (-exponent).clamp(0, DECIMALS_MAX) as usize)
    });
    steps.find(|(step, _)| step.is_normal() && *step >= least * (1.0 - 1e-9))
}

/// A whole number with groups of three digits.
pub(super) fn grouped(value: i128) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::new();
    if value < 0 {
        text.push('−');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A power of two, briefly: 512, 1k, 64k, 1M.
pub(super) fn brief(value: u64) -> String {
    match value {
        0..1024 => value.to_string(),
        1024..0x10_0000 => format!("{}k", value >> 10),
        0x10_0000..0x4000_0000 => format!("{}M", value >> 20),
        _ => format!("{}G", value >> 30),
    }
}

/// Ticks for the numbers from 0 to `max`.
pub(super) fn counts(max: u64, parts: u32) -> Vec<Tick> {
    let max = i128::from(max.max(1));
    let tick = |value: i128| Tick { at: fraction(0, max, value), label: grouped(value) };
    multiples(0, max, round_step(max.unsigned_abs(), parts)).into_iter().map(tick).collect()
}

/// Numbers of both signs by their magnitude: steps of ten take the same room, near 0 all do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Magnitudes {
    /// The largest, of either sign.
    max: f64,
}

impl Magnitudes {
    /// For numbers of at most this magnitude.
    pub(super) fn new(max: f64) -> Self {
        Self { max: max.max(10.0) }
    }

    /// Where `value` lies, between 0 and 1.
    pub(super) fn at(&self, value: f64) -> f64 {
        let height = (1.0 + value.abs()).log10() / (1.0 + self.max).log10();
        0.5 + value.signum() * height.min(1.0) / 2.0
    }

    /// Ticks at least `gap` apart: 0 and powers of ten.
    pub(super) fn ticks(&self, gap: f64) -> Vec<Tick> {
        let mut ticks = vec![Tick { at: 0.5, label: "0".to_string() }];
        let mut last = 0.5;
        let mut power: i128 = 1;
        while power as f64 <= self.max {
            let above = self.at(power as f64);
            if above - last >= gap {
                last = above;
                ticks.push(Tick { at: above, label: format!("+{}", grouped(power)) });
                ticks.push(Tick { at: 1.0 - above, label: grouped(-power) });
            }
            power *= 10;
        }
        ticks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_few() {
        assert_eq!(round_step(336_776, 5), 100_000);
        assert_eq!(round_step(7, 5), 2);
        assert_eq!(round_step(0, 5), 1);
        assert_eq!(round_step(u128::from(u64::MAX), 4), 5_000_000_000_000_000_000);
        assert!(round_step(u128::MAX, 1) > 0);
        assert_eq!(round_step_real(1.0, 5), Some((0.2, 1)));
        assert_eq!(round_step_real(100.0, 4), Some((50.0, 0)));
        assert_eq!(round_step_real(0.003, 3).map(|(_, decimals)| decimals), Some(3));
        let none = [0.0, f64::INFINITY, f64::NAN, f64::MIN_POSITIVE].map(|s| round_step_real(s, 4));
        assert_eq!(none, [None; 4]);
    }

    #[test]
    fn multiples_lie_between_the_ends() {
        assert_eq!(multiples(-7, 12, 5), [-5, 0, 5, 10]);
        assert_eq!(multiples(10, 10, 5), [10]);
        assert_eq!(multiples(i128::MAX - 1, i128::MAX, 10), [0; 0]);
        assert!((fraction(i64::MIN.into(), i64::MAX.into(), 0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn magnitudes_are_symmetric() {
        let scale = Magnitudes::new(1000.0);
        assert_eq!((scale.at(0.0), scale.at(1000.0), scale.at(-1000.0)), (0.5, 1.0, 0.0));
        let labels: Vec<String> = scale.ticks(0.1).into_iter().map(|tick| tick.label).collect();
        assert_eq!(labels, ["0", "+10", "−10", "+100", "−100", "+1,000", "−1,000"]);
    }
}
