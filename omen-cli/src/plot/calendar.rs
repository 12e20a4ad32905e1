//! Round times on an axis: seconds, hours, days, months, years.
//!
//! Called by `key_axis`. Times are nanoseconds since 1970, in the calendar that the key is shown
//! in.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime};

use super::scale::{Tick, fraction, multiples, round_step};

const SECOND: i128 = 1_000_000_000;
const MINUTE: i128 = 60 * SECOND;
const HOUR: i128 = 60 * MINUTE;
/// Nanoseconds of a day.
pub(super) const DAY: i128 = 24 * HOUR;

/// Steps of whole seconds up to a week, and how they are written.
const STEPS: [(i128, &str); 17] = [
    (SECOND, "%m-%d %H:%M:%S"),
    (2 * SECOND, "%m-%d %H:%M:%S"),
    (5 * SECOND, "%m-%d %H:%M:%S"),
    (15 * SECOND, "%m-%d %H:%M:%S"),
    (30 * SECOND, "%m-%d %H:%M:%S"),
    (MINUTE, "%Y-%m-%d %H:%M"),
    (2 * MINUTE, "%Y-%m-%d %H:%M"),
    (5 * MINUTE, "%Y-%m-%d %H:%M"),
    (15 * MINUTE, "%Y-%m-%d %H:%M"),
    (30 * MINUTE, "%Y-%m-%d %H:%M"),
    (HOUR, "%Y-%m-%d %H:%M"),
    (3 * HOUR, "%Y-%m-%d %H:%M"),
    (6 * HOUR, "%Y-%m-%d %H:%M"),
    (12 * HOUR, "%Y-%m-%d %H:%M"),
    (DAY, "%Y-%m-%d"),
    (2 * DAY, "%Y-%m-%d"),
    (7 * DAY, "%Y-%m-%d"),
];

/// The first Monday: weeks are counted from it.
const FIRST_MONDAY: i128 = 4 * DAY;

/// What is told of a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shown {
    /// Date and time.
    Moment,
    /// A date.
    Date,
    /// The time of any day.
    TimeOfDay,
}

/// Ticks from `min` to `max`, about `parts` of them; none if the calendar does not reach so far.
pub(super) fn ticks(min: i128, max: i128, parts: u32, shown: Shown) -> Vec<Tick> {
    let step_min = (max - min) / i128::from(parts.max(1));
    let months = if shown == Shown::TimeOfDay { None } else { months_of(step_min) };
    let at = |time: i128| fraction(min, max, time);
    if let Some(months) = months {
        let format = if months % 12 == 0 { "%Y" } else { "%Y-%m" };
        return month_starts(min, max, months)
            .filter_map(|(date, time)| Some(Tick { at: at(time), label: written(date, format)? }))
            .collect();
    }
    let smallest = if shown == Shown::Date { DAY } else { 1 };
    let (step, format) = step_of(step_min.max(smallest));
    let format = match shown {
        Shown::TimeOfDay if step >= MINUTE => "%H:%M",
        Shown::TimeOfDay if step >= SECOND => "%H:%M:%S",
        _ => format,
    };
    let offset = if step == 7 * DAY { FIRST_MONDAY } else { 0 };
    let times = multiples(min - offset, max - offset, step.unsigned_abs());
    let tick = |time: i128| {
        let label = written(moment(time + offset)?, format)?;
        Some(Tick { at: at(time + offset), label })
    };
    times.into_iter().filter_map(tick).collect()
}

/// The first step that is not shorter.
fn step_of(step_min: i128) -> (i128, &'static str) {
    if let Some(step) = STEPS.into_iter().find(|(step, _)| *step >= step_min)
        && step_min > SECOND / 2
    {
        return step;
    }
    match i128::try_from(round_step(step_min.unsigned_abs(), 1)) {
        Ok(step) if step >= SECOND => (step, "%Y-%m-%d"),
        Ok(step) if step >= SECOND / 1000 => (step, "%H:%M:%S%.3f"),
        Ok(step) if step >= SECOND / 1_000_000 => (step, "%H:%M:%S%.6f"),
        _ => (round_step(step_min.unsigned_abs(), 1) as i128, "%H:%M:%S%.9f"),
    }
}

/// Steps of months and years, if no shorter one will do.
fn months_of(step_min: i128) -> Option<i32> {
    if step_min <= 7 * DAY {
        return None;
    }
    let short = [1, 2, 3, 6].into_iter().find(|m| i128::from(*m) * 30 * DAY >= step_min);
    if short.is_some() {
        return short;
    }
    let years = (step_min / (365 * DAY)).unsigned_abs().max(1);
    i32::try_from(round_step(years, 1)).ok()?.checked_mul(12)
}

/// The beginnings of every so many months, as dates and as times.
fn month_starts(min: i128, max: i128, months: i32) -> impl Iterator<Item = (NaiveDateTime, i128)> {
    let first = moment(min).map(|time| (time.year() * 12 + time.month0() as i32) / months * months);
    let start = |month: i32| {
        let date =
            NaiveDate::from_ymd_opt(month.div_euclid(12), month.rem_euclid(12) as u32 + 1, 1)?;
        let time = date.and_hms_opt(0, 0, 0)?;
        Some((time, i128::from(time.and_utc().timestamp()) * SECOND))
    };
    let next = move |month: &i32| month.checked_add(months);
    std::iter::successors(first, next)
        .map_while(start)
        .take_while(move |(_, time)| *time <= max)
        .filter(move |(_, time)| *time >= min)
}

fn moment(time: i128) -> Option<NaiveDateTime> {
    let seconds = i64::try_from(time.div_euclid(SECOND)).ok()?;
    let nanos = time.rem_euclid(SECOND) as u32;
    DateTime::from_timestamp(seconds, nanos).map(|moment| moment.naive_utc())
}

fn written(time: NaiveDateTime, format: &str) -> Option<String> {
    use std::fmt::Write;
    let mut text = String::new();
    write!(text, "{}", time.format(format)).ok().map(|()| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(min: i128, max: i128, shown: Shown) -> Vec<String> {
        ticks(min, max, 6, shown).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn times_are_round_in_every_unit() {
        let day = 15_887 * DAY; // 2013-07-01
        let both = |span| {
            let labels = labels(day, day + span, Shown::Moment);
            assert!((2..=8).contains(&labels.len()), "{labels:?}");
            (labels[0].clone(), labels[1].clone())
        };
        let pair = |a: &str, b: &str| (a.to_string(), b.to_string());
        assert_eq!(both(5000 * DAY), pair("2014", "2016"));
        assert_eq!(both(360 * DAY), pair("2013-07", "2013-09"));
        assert_eq!(both(40 * DAY), pair("2013-07-01", "2013-07-08"));
        assert_eq!(both(12 * HOUR), pair("2013-07-01 00:00", "2013-07-01 03:00"));
        assert_eq!(both(10 * SECOND), pair("07-01 00:00:00", "07-01 00:00:02"));
        assert_eq!(both(SECOND / 100), pair("00:00:00.000", "00:00:00.002"));
    }

    #[test]
    fn dates_and_times_of_day_show_no_more_than_they_are() {
        assert_eq!(labels(0, 2 * DAY, Shown::Date), ["1970-01-01", "1970-01-02", "1970-01-03"]);
        let times = labels(0, DAY - 1, Shown::TimeOfDay);
        assert_eq!(times[..2], ["00:00", "06:00"]);
    }

    #[test]
    fn times_outside_the_calendar_have_no_ticks() {
        let far = i128::from(i64::MAX) * SECOND;
        assert_eq!(labels(far - 50 * SECOND, far, Shown::Moment), [""; 0]);
        assert!(!labels(-100_000 * 365 * DAY, 0, Shown::Moment).is_empty());
        let _ = labels(-far, far, Shown::Moment);
    }
}
