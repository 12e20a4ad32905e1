//! Real keys: the shipped flights and weather, their composite primary keys packed into 64 bits.
//!
//! Each column is reduced to its distance from its minimum (text to its rank) and given as many
//! bits as it needs, the first column highest: the order of the packed keys is the order of the
//! composite keys. More keys than a file has are had by repeating the recorded year.

use std::fmt::Display;
use std::fs::File;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};

/// Rows of the flights.
pub(super) const FLIGHTS: usize = 336_776;
/// Rows of the weather.
pub(super) const WEATHER: usize = 26_115;

const HOUR_MICROS: i64 = 3_600_000_000;
const YEAR_HOURS: u64 = 365 * 24;
/// Bits of a flight number.
const FLIGHT_BITS: u32 = 14;
/// Bits of a carrier's rank.
const CARRIER_BITS: u32 = 4;
/// Bits of an hour, for repeated years too.
const HOUR_BITS: u32 = 40;

/// (hour, carrier, flight)
pub(super) fn flights(count: usize) -> Vec<u64> {
    let rows = read("flights", |row| (hour(row), text(row, "carrier"), number(row, "flight")));
    assert!(rows.len() == FLIGHTS, "{} flights", rows.len());
    let first_hour = rows.iter().map(|row| row.0).min().unwrap_or(0);
    let carriers = ranks(rows.iter().map(|row| row.1.clone()));
    assert!(carriers.len() <= 1 << CARRIER_BITS, "{} carriers", carriers.len());
    let mut year: Vec<(u64, u64)> = rows
        .iter()
        .map(|(hour, carrier, flight)| {
            assert!((0..1 << FLIGHT_BITS).contains(flight), "flight {flight}");
            let carrier = carriers.partition_point(|c| c < carrier) as u64;
            ((hour - first_hour) as u64, carrier << FLIGHT_BITS | *flight as u64)
        })
        .collect();
    year.sort_unstable();
    let pack = |age: u64, hour: u64, rest: u64| {
        (hour + age * YEAR_HOURS) << (CARRIER_BITS + FLIGHT_BITS) | rest
    };
    let years = count.div_ceil(FLIGHTS) as u64;
    let all =
        (0..years).flat_map(|age| year.iter().map(move |&(hour, rest)| pack(age, hour, rest)));
    all.take(count).collect()
}

/// (station, hour)
pub(super) fn weather(count: usize) -> Vec<u64> {
    let rows = read("weather", |row| (hour(row), text(row, "origin")));
    assert!(rows.len() == WEATHER, "{} hours of weather", rows.len());
    let first_hour = rows.iter().map(|row| row.0).min().unwrap_or(0);
    let stations = ranks(rows.iter().map(|row| row.1.clone()));
    let years = count.div_ceil(WEATHER) as u64;
    let mut keys = Vec::with_capacity(years as usize * WEATHER);
    for (hour, station) in &rows {
        let station = stations.partition_point(|s| s < station) as u64;
        let hour = (hour - first_hour) as u64;
        keys.extend((0..years).map(|age| station << HOUR_BITS | (hour + age * YEAR_HOURS)));
    }
    keys.sort_unstable();
    keys.truncate(count);
    keys
}

/// The different words in order.
fn ranks(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut words: Vec<String> = words.collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// Each row of a shipped file.
fn read<T>(name: &str, take: impl Fn(&Row) -> T) -> Vec<T> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../data/{name}.parquet"));
    let failed = |error: &dyn Display| -> ! { panic!("{}: {error}", path.display()) };
    let file = File::open(&path).unwrap_or_else(|error| failed(&error));
    let reader = SerializedFileReader::new(file).unwrap_or_else(|error| failed(&error));
    let rows = reader.get_row_iter(None).unwrap_or_else(|error| failed(&error));
    rows.map(|row| take(&row.unwrap_or_else(|error| failed(&error)))).collect()
}

/// Hours since 1970.
fn hour(row: &Row) -> i64 {
    match field(row, "time_hour") {
        Field::TimestampMicros(micros) => micros.div_euclid(HOUR_MICROS),
        other => panic!("time_hour is {other}"),
    }
}

fn text(row: &Row, name: &str) -> String {
    match field(row, name) {
        Field::Str(text) => text.clone(),
        other => panic!("{name} is {other}"),
    }
}

fn number(row: &Row, name: &str) -> i64 {
    match field(row, name) {
        Field::Long(number) => *number,
        other => panic!("{name} is {other}"),
    }
}

fn field<'a>(row: &'a Row, name: &str) -> &'a Field {
    let mut columns = row.get_column_iter();
    match columns.find(|(column, _)| *column == name) {
        Some((_, field)) => field,
        None => panic!("there is no column {name}"),
    }
}
