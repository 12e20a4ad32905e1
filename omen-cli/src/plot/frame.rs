//! The rectangle that a panel draws in: its axes, their marks and titles, a legend above it.

use super::scale::Tick;
use super::svg::{Anchor, Style, Svg, colour, width};

/// Size of marks and legends.
const SMALL: f64 = 11.0;

/// Where a panel draws.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A word of a legend: its colour, the thickness of its sample, what it means.
pub(super) type Legend<'a> = (&'static str, f64, &'a str);

impl Frame {
    /// From a fraction of the width to a place.
    pub(super) fn x(&self, fraction: f64) -> f64 {
        self.left + fraction.clamp(0.0, 1.0) * self.width
    }

    /// From a fraction of the height, counted from below, to a place.
    pub(super) fn y(&self, fraction: f64) -> f64 {
        self.bottom() - fraction.clamp(0.0, 1.0) * self.height
    }

    pub(super) fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// The panel's name and legend, above it.
    pub(super) fn heading(&self, svg: &mut Svg, name: &str, legend: &[Legend<'_>]) {
        let y = self.top - 10.0;
        svg.text(self.left, y, Style::new(12.5, colour::TEXT).bold(), name);
        let mut right = self.left + self.width;
        for (colour, thickness, meaning) in legend.iter().rev() {
            let style = Style::new(SMALL, colour::MUTED).anchored(Anchor::End);
            let start = right - svg.text(right, y, style, meaning) - 24.0;
            let place = [start, y - 4.0 - thickness / 2.0, 18.0, *thickness];
            svg.bar("", place, colour, "");
            right = start - 14.0;
        }
    }

    /// Horizontal lines with their labels.
    pub(super) fn rows(&self, svg: &mut Svg, ticks: &[Tick]) {
        for tick in ticks {
            let y = self.y(tick.at);
            svg.line((self.left, y), (self.left + self.width, y), colour::GRID, false);
            let style = Style::new(SMALL, colour::MUTED).anchored(Anchor::End);
            svg.text(self.left - 7.0, y + 3.8, style, &tick.label);
        }
    }

    /// The lower border with marks, their labels where there is room, and the axis' title.
    pub(super) fn columns(&self, svg: &mut Svg, ticks: &[Tick], title: &str) {
        let y = self.bottom();
        svg.line((self.left, y), (self.left + self.width, y), colour::AXIS, false);
        for (tick, centre) in ticks.iter().zip(self.centres(ticks)) {
            let Some(centre) = centre else { continue };
            let x = self.x(tick.at);
            svg.line((x, y), (x, y + 4.0), colour::AXIS, false);
            let style = Style::new(SMALL, colour::MUTED).anchored(Anchor::Middle);
            svg.text(centre, y + 16.0, style, &tick.label);
        }
        let style = Style::new(SMALL, colour::MUTED).anchored(Anchor::Middle);
        svg.text(self.left + self.width / 2.0, y + 32.0, style, title);
    }

    /// Whether the labels of all these ticks fit beside each other.
    pub(super) fn fit(&self, ticks: &[Tick]) -> bool {
        self.centres(ticks).iter().all(Option::is_some)
    }

    /// The middle of each label, moved to stay near the frame; `None` if it would touch the one
    /// before it.
    fn centres(&self, ticks: &[Tick]) -> Vec<Option<f64>> {
        const OVERHANG: f64 = 30.0;
        const GAP: f64 = 12.0;
        let mut free = f64::NEG_INFINITY;
        let place = |tick: &Tick| {
            let half = width(&tick.label, SMALL) / 2.0;
            let leftmost = self.left - OVERHANG + half;
            let rightmost = (self.left + self.width + OVERHANG - half).max(leftmost);
            let centre = self.x(tick.at).clamp(leftmost, rightmost);
            let fits = centre - half >= free;
            if fits {
                free = centre + half + GAP;
            }
            fits.then_some(centre)
        };
        ticks.iter().map(place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_do_not_touch() {
        let frame = Frame { left: 50.0, top: 0.0, width: 200.0, height: 100.0 };
        let tick = |at| Tick { at, label: "1,000,000".to_string() };
        assert!(frame.fit(&[tick(0.0), tick(0.5), tick(1.0)]));
        assert!(!frame.fit(&[tick(0.0), tick(0.1)]));
        let centres = frame.centres(&[tick(0.0), tick(0.1), tick(0.5)]);
        assert_eq!(centres.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    }
}
