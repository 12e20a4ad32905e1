//! Keys that are byte strings: four kinds, each a function of the count alone, and probes for
//! them.
//!
//! All but the last have long beginnings in common, which is what makes text hard: the bytes that
//! tell keys apart come late, and many keys agree in any eight of those before.

use omen_index::key::encoding::{put_bytes_terminated, put_i32};

use super::synthetic::distinct;
use crate::random::{Random, mixed};
use crate::settings;

/// A named kind of byte strings.
#[derive(Debug, Clone, Copy)]
pub struct TextWorkload {
    /// The name in tables, figures and the environment.
    pub name: &'static str,
    /// What it models.
    pub note: &'static str,
    draw: fn(&mut Random) -> Vec<u8>,
}

pub(super) const ALL: &[TextWorkload] = &[
    TextWorkload { name: "urls", note: "pages of 5,000 sites, some far larger", draw: url },
    TextWorkload { name: "paths", note: "source files of 300 projects, 60 bytes deep", draw: path },
    TextWorkload {
        name: "city_year",
        note: "composite: (city, year, number) of 2,000 cities and 75 years, as keys are encoded",
        draw: city_year,
    },
    TextWorkload { name: "uuids", note: "random ids, written in 36 characters", draw: uuid },
];

impl TextWorkload {
    /// All kinds, or those that `WORKLOADS` in the environment names.
    pub fn chosen() -> Vec<TextWorkload> {
        let names: Vec<&str> = ALL.iter().map(|workload| workload.name).collect();
        let words = settings::chosen("WORKLOADS", &names);
        let is_asked = |w: &TextWorkload| match &words {
            Some(words) => words.iter().any(|word| word == w.name),
            None => true,
        };
        ALL.iter().copied().filter(is_asked).collect()
    }

    /// `count` keys, strictly ascending, one after the other in one block.
    pub fn keys(&self, count: usize) -> PackedTexts {
        let mut random = Random::new(13);
        let keys = distinct(count, || (self.draw)(&mut random));
        let mut packed = PackedTexts { bytes: Vec::new(), ends: Vec::with_capacity(count) };
        for key in keys {
            packed.bytes.extend(key);
            packed.ends.push(packed.bytes.len());
        }
        packed
    }
}

/// Byte strings one after the other.
#[derive(Debug, PartialEq, Eq)]
pub struct PackedTexts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl PackedTexts {
    /// The strings in order.
    pub fn slices(&self) -> Vec<&[u8]> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).map(|(&start, &end)| &self.bytes[start..end]).collect()
    }
}

/// A stored key and its position.
pub fn draw_stored_text(keys: &[&[u8]], random: &mut Random) -> (Vec<u8>, usize) {
    let position = random.below(keys.len() as u64) as usize;
    (keys[position].to_vec(), position)
}

/// A key that is not stored, and its lower bound: another of the same kind, or a stored one with
/// a byte more, with fewer, or with another last byte.
pub fn draw_absent_text(
    workload: TextWorkload,
    keys: &[&[u8]],
    random: &mut Random,
) -> (Vec<u8>, usize) {
    loop {
        let (mut key, _) = draw_stored_text(keys, random);
        match random.below(4) {
            0 => key = (workload.draw)(random),
            1 => key.push(0),
            2 => key.truncate(random.below(key.len() as u64) as usize),
            _ => key.iter_mut().next_back().into_iter().for_each(|byte| *byte ^= 1),
        }
        let position = keys.partition_point(|stored| *stored < key.as_slice());
        if keys.get(position) != Some(&key.as_slice()) {
            return (key, position);
        }
    }
}

/// The word of a number, six letters long.
fn word(number: u64) -> String {
    const SYLLABLES: [&str; 16] = [
        "ba", "de", "fi", "go", "ka", "le", "mi", "no", "pa", "re", "si", "to", "va", "we", "zi",
        "cu",
    ];
    let hash = mixed(number);
    (0..3).map(|i| SYLLABLES[(hash >> (4 * i)) as usize % 16]).collect()
}

fn url(random: &mut Random) -> Vec<u8> {
    let site = random.log_uniform(1, 5_000);
    let section = word(random.below(8) + 100 * site);
    let (year, article) = (2000 + random.below(25), random.below(10_000_000));
    let title = word(article);
    format!("https://www.{}-{site:04}.example/{section}/{year}/{title}-{article}", word(site))
        .into_bytes()
}

fn path(random: &mut Random) -> Vec<u8> {
    let project = random.log_uniform(1, 300);
    let (module, file) = (random.below(400), random.below(2_000));
    let module_name = word(module + project * 1_000);
    format!(
        "/srv/build/workspaces/project-{project:03}/modules/{module_name}/src/{}_{file:04}.rs",
        word(file),
    )
    .into_bytes()
}

fn city_year(random: &mut Random) -> Vec<u8> {
    let city = format!("{} {}", word(random.log_uniform(1, 2_000)), "upon the river");
    let mut key = Vec::new();
    put_bytes_terminated(&mut key, city.as_bytes());
    put_i32(&mut key, 1950 + random.below(75) as i32);
    put_i32(&mut key, random.below(1_000_000) as i32);
    key
}

fn uuid(random: &mut Random) -> Vec<u8> {
    let (high, low) = (random.any(), random.any());
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xFFFF,
        high & 0xFFFF,
        low >> 48,
        low & 0xFFFF_FFFF_FFFF,
    )
    .into_bytes()
}
