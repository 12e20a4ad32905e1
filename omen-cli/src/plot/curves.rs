//! The two panels along the keys: where keys are and where the index expects them, and how far the
//! one is from the other.

use omen_provider::{IndexSample, SampledKey};

use super::frame::Frame;
use super::key_axis::KeyAxis;
use super::scale::{Magnitudes, counts};
use super::svg::{Path, Svg, colour};

/// Draws positions over keys, actual and predicted.
pub(super) fn distribution(svg: &mut Svg, frame: &Frame, sample: &IndexSample, axis: &KeyAxis) {
    svg.begin("distribution", "position over key, actual and predicted");
    let legend =
        [(colour::KEYS, 6.0, "the keys"), (colour::MODEL, 1.8, "where the index expects them")];
    frame.heading(svg, "Where the keys lie", &legend);
    frame.rows(svg, &counts(u64::from(sample.rows), 4));
    let curve = |of: fn(&SampledKey) -> u32| {
        let place = |(key, x): (&SampledKey, &f64)| {
            let y = f64::from(of(key)) / f64::from(sample.rows.max(1));
            (frame.x(*x), frame.y(y))
        };
        let points: Vec<_> = sample.entries.iter().zip(&axis.places).map(place).collect();
        Path::through(thinned(&points))
    };
    svg.stroke("keys", &curve(|key| key.position), colour::KEYS, 6.0);
    svg.stroke("model", &curve(|key| key.predicted), colour::MODEL, 1.6);
    frame.columns(svg, &axis.ticks, &axis.title);
    svg.end();
}

/// Draws how far the prediction is off, over positions, within the search range.
pub(super) fn differences(svg: &mut Svg, frame: &Frame, sample: &IndexSample) {
    svg.begin(
        "differences",
        "predicted minus actual position, and the search range, along the keys",
    );
    let legend = [
        (colour::RANGE, 9.0, "search range"),
        (colour::MODEL_PALE, 9.0, "expected places"),
        (colour::MODEL, 9.0, "middle half of them"),
    ];
    frame.heading(svg, "How far the index is off", &legend);
    let spans = spans(sample, frame.width as usize / 2);
    let reach = |span: &Span| span.range.0.abs().max(span.range.1.abs());
    let scale = Magnitudes::new(spans.iter().map(reach).fold(0.0, f64::max));
    let y = |value: f64| frame.y(scale.at(value));
    let band = |side: fn(&Span) -> f64| {
        let edges = move |span: &Span| [(span.from, side(span)), (span.to, side(span))];
        spans.iter().flat_map(edges).map(|(x, value)| (frame.x(x), y(value))).collect::<Vec<_>>()
    };
    let mut outline = band(|span| span.range.1);
    outline.extend(band(|span| span.range.0).into_iter().rev());
    svg.area("range", &Path::through(outline), colour::RANGE);
    frame.rows(svg, &scale.ticks(13.0 / frame.height));
    let width = spans.first().map_or(1.0, |s| (s.to - s.from) * frame.width * 1.02);
    let strokes = |of: fn(&Span) -> (f64, f64)| {
        let mut strokes = Path::default();
        for span in &spans {
            let (low, high) = of(span);
            let x = frame.x((span.from + span.to) / 2.0);
            strokes.upright(x, y(high) - 0.7, y(low) + 0.7);
        }
        strokes
    };
    let width = width.clamp(1.0, 6.0);
    svg.stroke("error", &strokes(|span| span.error), colour::MODEL_PALE, width);
    svg.stroke("middle", &strokes(|span| span.middle), colour::MODEL, width);
    frame.columns(svg, &counts(u64::from(sample.rows), 6), "position of the key (rows before it)");
    svg.end();
}

/// A piece of the axis of positions, and what the keys of the sample in it span.
struct Span {
    from: f64,
    to: f64,
    /// The least and the greatest difference of prediction and position.
    error: (f64, f64),
    /// Those that a quarter of the keys does not reach, and does not exceed.
    middle: (f64, f64),
    /// How far the search ranges reach below and above the position.
    range: (f64, f64),
}

/// The sample in at most `pieces` pieces of the axis; each begins where the one before ends.
fn spans(sample: &IndexSample, pieces: usize) -> Vec<Span> {
    let keys = &sample.entries;
    let pieces = pieces.min(keys.len()).max(1);
    let rows = f64::from(sample.rows.max(1));
    let start = |piece: usize| piece * keys.len() / pieces;
    let place = |index: usize| match keys.get(index) {
        Some(key) if index > 0 => f64::from(key.position) / rows,
        Some(_) => 0.0,
        None => 1.0,
    };
    let mut spans = Vec::with_capacity(pieces);
    for piece in 0..pieces {
        let (first, end) = (start(piece), start(piece + 1));
        let keys = keys.get(first..end).unwrap_or_default();
        spans.extend(Span::new(keys, place(first), place(end)));
    }
    spans
}

impl Span {
    /// What `keys` span; `None` if there are none.
    fn new(keys: &[SampledKey], from: f64, to: f64) -> Option<Self> {
        let away = |key: &SampledKey, place: u32| f64::from(place) - f64::from(key.position);
        let mut errors: Vec<f64> = keys.iter().map(|key| away(key, key.predicted)).collect();
        errors.sort_by(f64::total_cmp);
        let last = errors.len().checked_sub(1)?;
        let below = keys.iter().map(|key| away(key, key.range.start));
        let above = keys.iter().map(|key| away(key, key.range.end));
        Some(Self {
            from,
            to,
            error: (errors[0], errors[last]),
            middle: (errors[last / 4], errors[last - last / 4]),
            range: (below.fold(0.0, f64::min), above.fold(0.0, f64::max)),
        })
    }
}

/// Points of which at most four remain in each pixel's column: the first, the lowest, the highest
/// and the last, so that the line through them looks the same.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for column in points.chunk_by(|a, b| a.0.floor() == b.0.floor()) {
        let by_height = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let ends = [column.first(), column.last()];
        let extremes = [column.iter().min_by(by_height), column.iter().max_by(by_height)];
        let is_kept = |point: &&(f64, f64)| {
            let same = |kept: &Option<&(f64, f64)>| kept.is_some_and(|k| std::ptr::eq(k, *point));
            ends.iter().any(same) || extremes.iter().any(same)
        };
        kept.extend(column.iter().filter(is_kept));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thinned_line_keeps_its_extremes() {
        let points: Vec<(f64, f64)> = (0..1000)
            .map(|i| (f64::from(i) / 100.0, if i == 555 { 99.0 } else { f64::from(i % 7) }))
            .collect();
        let kept = thinned(&points);
        assert!(kept.len() <= 40 && kept.contains(&points[555]), "{}", kept.len());
        assert_eq!((kept[0], kept[kept.len() - 1]), (points[0], points[999]));
        assert_eq!(thinned(&[]), []);
    }

    #[test]
    fn spans_cover_the_axis_and_hold_every_key() {
        let key = |position: u32| SampledKey {
            position,
            predicted: position + 2,
            range: position - position % 8..position + 9,
            number: 0,
        };
        let entries = (0..1000).map(|i| key(i * 3)).collect();
        let sample = IndexSample {
            rows: 3000,
            page_rows: None,
            fixed_width: true,
            entries,
            columns: Vec::new(),
        };
        let spans = spans(&sample, 60);
        assert_eq!((spans.len(), spans[0].from, spans[59].to), (60, 0.0, 1.0));
        assert!(spans.windows(2).all(|pair| pair[0].to == pair[1].from));
        assert!(spans.iter().all(|s| s.error == (2.0, 2.0) && s.range == (-7.0, 9.0)));
    }
}
