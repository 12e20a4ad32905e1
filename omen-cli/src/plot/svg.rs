//! Writes SVG: elements one after the other, numbers kept short, text made harmless.
//!
//! Invariant: what comes out is well-formed XML whatever text goes in.

use std::fmt::Write;

/// Colours that people with any colour vision tell apart, on the picture's own white ground.
pub(super) mod colour {
    pub(in super::super) const GROUND: &str = "#ffffff";
    pub(in super::super) const TEXT: &str = "#1f2933";
    pub(in super::super) const MUTED: &str = "#52606d";
    pub(in super::super) const GRID: &str = "#e4e7eb";
    pub(in super::super) const AXIS: &str = "#9aa5b1";
    pub(in super::super) const KEYS: &str = "#7cc4f0";
    pub(in super::super) const MODEL: &str = "#b04300";
    pub(in super::super) const MODEL_PALE: &str = "#eda86f";
    pub(in super::super) const RANGE: &str = "#b9c9d9";
    pub(in super::super) const MARK: &str = "#00664f";
}

/// Where a text stands from its point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) size: f64,
    pub(super) colour: &'static str,
    pub(super) bold: bool,
    pub(super) anchor: Anchor,
}

impl Style {
    /// Plain text of this size.
    pub(super) const fn new(size: f64, colour: &'static str) -> Self {
        Self { size, colour, bold: false, anchor: Anchor::Start }
    }

    pub(super) const fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub(super) const fn anchored(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }
}

/// The elements of a picture so far.
#[derive(Debug, Default)]
pub(super) struct Svg {
    body: String,
}

impl Svg {
    /// A text; returns the width it takes, roughly.
    pub(super) fn text(&mut self, x: f64, y: f64, style: Style, text: &str) -> f64 {
        self.text_of_class(x, y, style, "", text)
    }

    /// A text that programs find by its class.
    pub(super) fn text_of_class(
        &mut self,
        x: f64,
        y: f64,
        style: Style,
        class: &str,
        text: &str,
    ) -> f64 {
        self.open("text", class);
        self.number("x", x);
        self.number("y", y);
        self.number("font-size", style.size);
        self.attribute("fill", style.colour);
        if style.bold {
            self.attribute("font-weight", "600");
        }
        match style.anchor {
            Anchor::Start => {}
            Anchor::Middle => self.attribute("text-anchor", "middle"),
            Anchor::End => self.attribute("text-anchor", "end"),
        }
        let _ = writeln!(self.body, ">{}</text>", escape(text));
        width(text, style.size)
    }

    /// A straight line; dashed if asked for.
    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, dashed: bool) {
        self.open("line", "");
        self.number("x1", from.0);
        self.number("y1", from.1);
        self.number("x2", to.0);
        self.number("y2", to.1);
        self.attribute("stroke", colour);
        if dashed {
            self.attribute("stroke-dasharray", "4 3");
        }
        self.body.push_str("/>\n");
    }

    /// A filled rectangle `[x, y, width, height]`, with a text that shows when it is pointed at.
    pub(super) fn bar(&mut self, class: &str, place: [f64; 4], colour: &str, tip: &str) {
        self.open("rect", class);
        for (name, value) in ["x", "y", "width", "height"].into_iter().zip(place) {
            self.number(name, value);
        }
        self.attribute("fill", colour);
        match tip {
            "" => self.body.push_str("/>\n"),
            _ => {
                let _ = writeln!(self.body, "><title>{}</title></rect>", escape(tip));
            }
        }
    }

    /// A path drawn as a line of this width.
    pub(super) fn stroke(&mut self, class: &str, path: &Path, colour: &str, width: f64) {
        self.open("path", class);
        self.attribute("d", &path.data);
        self.attribute("fill", "none");
        self.attribute("stroke", colour);
        self.number("stroke-width", width);
        self.body.push_str(" stroke-linejoin=\"round\"/>\n");
    }

    /// A path drawn as an area.
    pub(super) fn area(&mut self, class: &str, path: &Path, colour: &str) {
        self.open("path", class);
        self.attribute("d", &format!("{}Z", path.data));
        self.attribute("fill", colour);
        self.body.push_str("/>\n");
    }

    /// Begins a group that programs find by its class.
    pub(super) fn begin(&mut self, class: &str, label: &str) {
        self.open("g", class);
        self.attribute("aria-label", &escape(label));
        self.body.push_str(">\n");
    }

    /// Ends the group.
    pub(super) fn end(&mut self) {
        self.body.push_str("</g>\n");
    }

    /// The whole picture, described by `title` and `description` for those who do not see it.
    pub(super) fn finish(self, size: (f64, f64), title: &str, description: &str) -> String {
        let (width, height) = size;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"title description\" \
             font-family=\"system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, \
             sans-serif\">\n<title id=\"title\">{}</title>\n<desc id=\"description\">{}</desc>\n\
             <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"{}\"/>\n{}</svg>",
            escape(title),
            escape(description),
            colour::GROUND,
            self.body
        )
    }

    fn open(&mut self, element: &str, class: &str) {
        let _ = write!(self.body, "<{element}");
        if !class.is_empty() {
            self.attribute("class", class);
        }
    }

    fn number(&mut self, name: &str, value: f64) {
        let _ = write!(self.body, " {name}=\"{}\"", short(value));
    }

    fn attribute(&mut self, name: &str, value: &str) {
        let _ = write!(self.body, " {name}=\"{value}\"");
    }
}

/// The outline of a line or an area: steps from point to point, in tenths of a pixel, because that
/// is half as long as the points themselves.
#[derive(Debug, Default)]
pub(super) struct Path {
    data: String,
    at: (i64, i64),
}

impl Path {
    /// A line through points.
    pub(super) fn through(points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let mut path = Self::default();
        for point in points {
            if path.data.is_empty() { path.begin(point) } else { path.draw_to(point) }
        }
        path
    }

    /// One more vertical stroke.
    pub(super) fn upright(&mut self, x: f64, from: f64, to: f64) {
        self.begin((x, from));
        self.draw_to((x, to));
    }

    fn begin(&mut self, point: (f64, f64)) {
        let (x, y) = self.step(point);
        let _ = write!(self.data, "m{}{}", short(x), signed(y));
    }

    fn draw_to(&mut self, point: (f64, f64)) {
        let _ = match self.step(point) {
            (0.0, 0.0) => Ok(()),
            (0.0, y) => write!(self.data, "v{}", short(y)),
            (x, 0.0) => write!(self.data, "h{}", short(x)),
            (x, y) => write!(self.data, "l{}{}", short(x), signed(y)),
        };
    }

    /// Goes to a point; how far that is.
    fn step(&mut self, (x, y): (f64, f64)) -> (f64, f64) {
        let tenths = |value: f64| (value * 10.0).round() as i64;
        let (from, to) = (self.at, (tenths(x), tenths(y)));
        self.at = to;
        ((to.0 - from.0) as f64 / 10.0, (to.1 - from.1) as f64 / 10.0)
    }
}

/// A number behind another: the sign parts them, or a space.
fn signed(value: f64) -> String {
    let number = short(value);
    if number.starts_with('-') { number } else { format!(" {number}") }
}

/// A number with one decimal, which is a tenth of a pixel.
fn short(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    // Neither "-0" nor what XML readers would not take for a number.
    if rounded == 0.0 || !rounded.is_finite() { "0".to_string() } else { rounded.to_string() }
}

/// Text as it may stand in XML. What does not show, or is not allowed in XML at all, is replaced:
/// control characters by their symbols, marks that turn the direction of writing by U+FFFD.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(shown(letter)),
        }
    }
    out
}

fn shown(letter: char) -> char {
    match letter {
        '\0'..='\x1f' => char::from_u32(0x2400 + letter as u32).unwrap_or('\u{fffd}'),
        '\x7f' => '\u{2421}',
        '\u{80}'..='\u{9f}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{fffe}'
        | '\u{ffff}' => '\u{fffd}',
        _ => letter,
    }
}

/// How wide a text is, roughly: fonts differ, and this is a wide one.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let of = |letter: char| match letter {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '|' | '!' | '\'' | ' ' => 0.33,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.88,
        'A'..='Z' => 0.7,
        '\0'..='\u{2dff}' => 0.63,
        _ => 1.0,
    };
    text.chars().map(of).sum::<f64>() * size
}

/// The text, or as much of its beginning as fits beside an ellipsis.
pub(super) fn shortened(text: &str, letters_max: usize) -> String {
    if text.chars().count() <= letters_max {
        return text.to_string();
    }
    text.chars().take(letters_max.saturating_sub(1)).chain(['…']).collect()
}

/// The text in lines that fit.
pub(super) fn wrapped(text: &str, size: f64, width_max: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if width(&format!("{line} {word}"), size) <= width_max => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_harmless() {
        assert_eq!(escape("<script>&\"'"), "&lt;script&gt;&amp;&quot;&#39;");
        assert_eq!(escape("a\0b\nc\x1b\x7f"), "a␀b␊c␛␡");
        assert_eq!(escape("\u{202e}x\u{ffff}é漢"), "\u{fffd}x\u{fffd}é漢");
    }

    #[test]
    fn numbers_are_short_and_finite() {
        assert_eq!([1.0, -0.04, 12.345, f64::NAN].map(short), ["1", "0", "12.3", "0"]);
    }

    #[test]
    fn a_path_goes_through_its_points() {
        let path = Path::through([(10.0, 20.0), (11.04, 18.0), (11.04, 18.0), (11.0, 30.0)]);
        assert_eq!(path.data, "m10 20l1-2v12");
        let mut strokes = Path::default();
        strokes.upright(5.0, 1.0, 4.5);
        strokes.upright(7.0, 2.0, 1.0);
        assert_eq!(strokes.data, "m5 1v3.5m2-2.5v-1");
    }

    #[test]
    fn text_is_cut_and_wrapped() {
        assert_eq!(shortened("abcdef", 6), "abcdef");
        assert_eq!(shortened("abcdefg", 6), "abcde…");
        assert_eq!(wrapped("aaaa bbbb cccc", 10.0, 60.0), ["aaaa bbbb", "cccc"]);
    }
}
