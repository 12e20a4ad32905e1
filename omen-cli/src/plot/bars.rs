//! The two histograms: how far predictions are off, how long search ranges are.
//!
//! Bars double: 0, 1, 2–3, 4–7, … Both histograms of a part have the same axis.

use super::figures::{Figures, WITHIN_WINDOW, bucket, bucket_start, percent, shares};
use super::frame::Frame;
use super::scale::{Tick, brief, grouped};
use super::svg::{Anchor, Style, Svg, colour, width};

/// What a histogram shows.
pub(super) struct Histogram<'a> {
    pub(super) class: &'static str,
    pub(super) name: &'static str,
    pub(super) axis: &'static str,
    pub(super) colour: &'static str,
    pub(super) numbers: &'a [u32],
    /// Places worth knowing: up to which number, and what fits up to there.
    pub(super) marks: Vec<(u32, &'static str)>,
}

/// Draws the histogram of errors above that of search ranges.
pub(super) fn both(svg: &mut Svg, frames: [&Frame; 2], figures: &Figures, page_rows: Option<u32>) {
    let page = page_rows.map(|rows| (rows, "one page"));
    let errors = Histogram {
        class: "errors",
        name: "How many keys are how far off",
        axis: "positions off (each bar reaches to the next number)",
        colour: colour::MODEL,
        numbers: figures.errors(),
        marks: [(WITHIN_WINDOW, "window of 16 keys")].into_iter().chain(page).collect(),
    };
    let ranges = Histogram {
        class: "ranges",
        name: "How long the search ranges are",
        axis: "positions in the search range",
        colour: "#7b93ab",
        numbers: figures.ranges(),
        marks: page.into_iter().collect(),
    };
    let furthest = |histogram: &Histogram<'_>| {
        let marks = histogram.marks.iter().map(|(number, _)| bucket(*number));
        marks.chain([bucket(histogram.numbers.last().copied().unwrap_or(0))]).max().unwrap_or(0)
    };
    let buckets = furthest(&errors).max(furthest(&ranges)) + 1;
    errors.draw(svg, frames[0], buckets);
    ranges.draw(svg, frames[1], buckets);
}

impl Histogram<'_> {
    fn draw(&self, svg: &mut Svg, frame: &Frame, buckets: usize) {
        svg.begin(self.class, self.name);
        frame.heading(svg, self.name, &[]);
        let shares = shares(self.numbers);
        // Room above the bars for what the marks say.
        let top = shares.iter().copied().fold(0.01, f64::max) * 1.35;
        frame.rows(svg, &percent_ticks(top));
        let slot = frame.width / buckets as f64;
        for (bucket, share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            let height = (share / top * frame.height).max(0.8);
            let x = frame.left + (bucket as f64 + 0.1) * slot;
            let place = [x, frame.bottom() - height, slot * 0.8, height];
            let tip = format!("{}: {:.2} % of keys", span_text(bucket), share * 100.0);
            svg.bar("bar", place, self.colour, &tip);
            let style = Style::new(10.0, colour::TEXT).anchored(Anchor::Middle);
            // The tallest bar is labelled in any case.
            let is_tallest = *share >= shares.iter().copied().fold(0.0, f64::max);
            let label = bar_label(*share, slot, style.size, is_tallest);
            svg.text(x + slot * 0.4, frame.bottom() - height - 4.0, style, &label);
        }
        self.draw_marks(svg, frame, slot);
        frame.columns(svg, &bucket_ticks(frame, buckets), self.axis);
        svg.end();
    }

    fn draw_marks(&self, svg: &mut Svg, frame: &Frame, slot: f64) {
        for (line, (number, meaning)) in self.marks.iter().enumerate() {
            let bucket = bucket(*number);
            let beyond = (f64::from(*number) / bucket_start(bucket).max(1) as f64).log2();
            let x = frame.left + (bucket as f64 + beyond) * slot;
            svg.line((x, frame.top), (x, frame.bottom()), colour::MARK, true);
            // To the side where there is more room.
            let is_left = x - frame.left > frame.width / 2.0;
            let (x, anchor) =
                if is_left { (x - 5.0, Anchor::End) } else { (x + 5.0, Anchor::Start) };
            let style = Style::new(10.5, colour::MARK).bold().anchored(anchor);
            svg.text(x, frame.top + 10.0 + 13.0 * line as f64, style, meaning);
        }
    }
}

/// A share in per cent as far as there is room for it: exact, or rounded, or nothing.
fn bar_label(share: f64, slot: f64, size: f64, always: bool) -> String {
    let exact =
        percent(share).replace(" %", "").replace("less than ", "<").replace("more than ", ">");
    // A share that rounds to nothing would pretend.
    let rounded = Some(format!("{:.0}", share * 100.0)).filter(|_| share >= 0.01);
    let labels = || [Some(&exact), rounded.as_ref()].into_iter().flatten();
    let fitting = labels().find(|label| width(label, size) <= slot);
    fitting.or(labels().last().filter(|_| always)).cloned().unwrap_or_default()
}

fn percent_ticks(top: f64) -> Vec<Tick> {
    let steps = [0.5, 0.25, 0.2, 0.1, 0.05, 0.02, 0.01];
    let step = steps.into_iter().find(|step| top / step >= 2.0).unwrap_or(0.01);
    let shares = (0..=(top.min(1.0) / step + 1e-9) as u32).map(|i| f64::from(i) * step);
    let label = |share: f64| format!("{:.0} %", share * 100.0);
    shares.map(|share| Tick { at: share / top, label: label(share) }).collect()
}

/// The first number of each bar, below its left edge, as far as there is room.
fn bucket_ticks(frame: &Frame, buckets: usize) -> Vec<Tick> {
    let tick = |bucket: usize| Tick {
        at: (bucket as f64 + if bucket == 0 { 0.5 } else { 0.0 }) / buckets as f64,
        label: brief(bucket_start(bucket)),
    };
    let every = |step: usize| (0..buckets).step_by(step).map(tick).collect::<Vec<_>>();
    (1..=4).map(every).find(|ticks| frame.fit(ticks)).unwrap_or_default()
}

fn span_text(bucket: usize) -> String {
    let (first, next) = (bucket_start(bucket), bucket_start(bucket + 1));
    match next - first {
        1 => grouped(first.into()),
        _ => format!("{}–{}", grouped(first.into()), grouped(i128::from(next) - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_name_what_they_hold() {
        assert_eq!([0, 1, 2, 3, 11].map(span_text), ["0", "1", "2–3", "4–7", "1,024–2,047"]);
    }

    #[test]
    fn per_cents_are_marked_up_to_the_top() {
        let labels = |top| percent_ticks(top).into_iter().map(|t| t.label).collect::<Vec<_>>();
        assert_eq!(labels(1.35), ["0 %", "50 %", "100 %"]);
        assert_eq!(labels(0.3), ["0 %", "10 %", "20 %", "30 %"]);
    }
}
