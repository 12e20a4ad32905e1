//! The whole picture: title, a block for each part, what is not drawn.

use omen_provider::{IndexSample, PartInspection, TableSample};

use super::figures::Figures;
use super::file::Picture;
use super::frame::Frame;
use super::key_axis::KeyAxis;
use super::svg::{Style, Svg, colour, shortened, wrapped};
use super::{bars, caption, curves};
use crate::notes::{counted, rows};

const WIDTH: f64 = 1080.0;
const MARGIN: f64 = 28.0;
/// Widths of text are estimated generously.
const TEXT_WIDTH: f64 = (WIDTH - 2.0 * MARGIN) * 1.07;
const HEADING: Style = Style::new(15.0, colour::TEXT).bold();
const VERDICT: Style = Style::new(13.5, colour::TEXT);
const NOTE: Style = Style::new(12.0, colour::MUTED);
const LINE: f64 = 18.0;

const GUIDE: &str = "\
    A learned index calculates from a key where it should be, and knows a range of positions \
    where it is for sure. The nearer a key is to the expected place, the fewer keys a lookup \
    compares.";

/// A picture in the making: what was drawn, how far down, and what was said.
struct Page {
    svg: Svg,
    y: f64,
    said: Vec<String>,
}

/// Draws a table.
pub(super) fn draw(sample: &TableSample) -> Picture {
    let table = &sample.table;
    let title = format!("Learned index of table \"{}\"", shortened(&table.name, 60));
    let mut page = Page { svg: Svg::default(), y: 44.0, said: Vec::new() };
    page.svg.text(MARGIN, page.y, Style::new(20.0, colour::TEXT).bold(), &title);
    page.y += 24.0;
    let key = match table.key.is_empty() {
        true => "no primary key: rows are found by a hidden row id".to_string(),
        false => format!("primary key ({})", shortened(&table.key.join(", "), 60)),
    };
    let parts = counted(table.parts.len() as u64, "part");
    page.write(VERDICT, "", &format!("{key} · {} in {parts}", rows(table.rows)));
    page.write(NOTE, "", GUIDE);
    for (number, (part, keys)) in sample.parts.iter().enumerate() {
        if let Some(inspected) = table.parts.get(*part) {
            let ordinal = format!("Part {} of {}", number + 1, table.parts.len());
            page.part(&ordinal, inspected, keys, &table.key);
        }
    }
    if sample.parts.is_empty() {
        page.y += 10.0;
        page.write(HEADING, "verdict", nothing_to_draw(table.rows));
    }
    let drawn: Vec<usize> = sample.parts.iter().map(|(part, _)| *part).collect();
    page.y += 10.0;
    for line in caption::rest(&table.parts, &drawn) {
        page.write(NOTE, "rest", &line);
    }
    let size = (WIDTH, (page.y + 4.0).round());
    let svg = page.svg.finish(size, &title, &page.said.join(" "));
    Picture { title, svg }
}

fn nothing_to_draw(rows: u64) -> &'static str {
    match rows {
        0 => "The table is empty: there is no index to draw.",
        _ => "There is no index to draw: all rows are in memory, in parts too small to need one.",
    }
}

impl Page {
    /// A text in as many lines as it takes.
    fn write(&mut self, style: Style, class: &str, text: &str) {
        for line in wrapped(text, style.size, TEXT_WIDTH) {
            self.svg.text_of_class(MARGIN, self.y, style, class, &line);
            self.y += LINE;
        }
        self.said.push(text.to_string());
    }

    /// The block of a part: its verdict, four panels, its figures.
    fn part(&mut self, ordinal: &str, part: &PartInspection, keys: &IndexSample, key: &[String]) {
        let figures = Figures::new(keys);
        let name = format!("{ordinal}: {}", caption::name(part));
        self.svg.begin("part", &name);
        self.svg.line((MARGIN, self.y), (WIDTH - MARGIN, self.y), colour::GRID, false);
        self.y += 26.0;
        self.write(HEADING, "name", &name);
        self.y += 2.0;
        self.write(VERDICT, "verdict", &caption::verdict(keys, &figures));
        let top = self.y + 22.0;
        let left = |top, height| Frame { left: 92.0, top, width: 570.0, height };
        let right = |top, height| Frame { left: 740.0, top, width: 306.0, height };
        let upper = left(top, 196.0);
        let axis = KeyAxis::new(keys, key, &upper);
        curves::distribution(&mut self.svg, &upper, keys, &axis);
        curves::differences(&mut self.svg, &left(top + 270.0, 126.0), keys);
        let (errors, ranges) = (right(top, 150.0), right(top + 246.0, 150.0));
        bars::both(&mut self.svg, [&errors, &ranges], &figures, keys.page_rows);
        self.y = top + 396.0 + 60.0;
        for line in caption::lines(part, keys, &figures) {
            self.write(NOTE, "figures", &line);
        }
        self.svg.end();
        self.y += 8.0;
    }
}
