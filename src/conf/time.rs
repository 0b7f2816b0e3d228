//! Times as Spark writes them: `50s`, `100ms`, `250us`, `2min`, `1h`, `1d`.
//!
//! A bare number is in the reader's unit. Follows `JavaUtils.timeStringAs`: a sign is
//! allowed, fractions are not, and converting to a larger unit drops what is left over.
//! [`parse_duration`] keeps all of it, so typed entries in seconds may be set to `1500ms`.

use std::time::Duration;

use super::value::ValueError;

/// The unit of a time (Spark: `java.util.concurrent.TimeUnit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeUnit {
    /// Microseconds.
    Micros,
    /// Milliseconds.
    Millis,
    /// Seconds.
    Seconds,
    /// Minutes.
    Minutes,
    /// Hours.
    Hours,
    /// Days.
    Days,
}

use TimeUnit::{Days, Hours, Micros, Millis, Minutes, Seconds};

/// Unit suffixes of a number, in lower case.
const SUFFIXES: [(&str, TimeUnit); 7] = [
    ("us", Micros),
    ("ms", Millis),
    ("s", Seconds),
    ("m", Minutes),
    ("min", Minutes),
    ("h", Hours),
    ("d", Days),
];

impl TimeUnit {
    /// Microseconds of one.
    pub const fn micros(self) -> i64 {
        match self {
            Micros => 1,
            Millis => 1_000,
            Seconds => 1_000_000,
            Minutes => 60_000_000,
            Hours => 3_600_000_000,
            Days => 86_400_000_000,
        }
    }

    /// How the unit is written: `µs`, `ms`, `s`, …
    pub const fn name(self) -> &'static str {
        match self {
            Micros => "µs",
            Millis => "ms",
            Seconds => "s",
            Minutes => "min",
            Hours => "h",
            Days => "d",
        }
    }
}

/// Reads `text` as a number of `unit`; a bare number is in that unit already. Values out of range
/// are clamped to the smallest or largest number.
///
/// # Errors
/// It is no time, has a fraction or an unknown suffix, or has more than 63 bits of digits.
pub fn parse_time(text: &str, unit: TimeUnit) -> Result<i64, ValueError> {
    let (number, from) = split(text, unit)?;
    if from > unit {
        Ok(number.saturating_mul(from.micros() / unit.micros()))
    } else {
        Ok(number / (unit.micros() / from.micros()))
    }
}

/// Reads `text` as a time, to the microsecond; `unit` is that of a bare number. `None` for a
/// negative one.
///
/// # Errors
/// As [`parse_time`], or it is longer than a [`Duration`] can be.
pub fn parse_duration(text: &str, unit: TimeUnit) -> Result<Option<Duration>, ValueError> {
    let (number, from) = split(text, unit)?;
    let Ok(number) = u64::try_from(number) else {
        return Ok(None);
    };
    let duration = match from {
        Micros => Some(Duration::from_micros(number)),
        Millis => Some(Duration::from_millis(number)),
        _ => number
            .checked_mul(from.micros().unsigned_abs() / 1_000_000)
            .map(Duration::from_secs),
    };
    let duration = duration.ok_or_else(|| no_time(format!("Too long a time: {text}")))?;
    Ok(Some(duration))
}

/// Writes a time so that [`parse_duration`] reads it back, whatever its unit. Fractions of a
/// microsecond are rounded up, so that a short time does not become zero.
pub fn format_duration(time: Duration) -> String {
    let nanos = time.as_nanos();
    let micros = nanos.div_ceil(1_000);
    if micros.is_multiple_of(1_000_000) {
        format!("{}s", micros / 1_000_000)
    } else if micros.is_multiple_of(1_000) {
        format!("{}ms", micros / 1_000)
    } else {
        format!("{micros}us")
    }
}

fn split(text: &str, bare: TimeUnit) -> Result<(i64, TimeUnit), ValueError> {
    let lower = text.trim().to_ascii_lowercase();
    let unsigned = lower.strip_prefix('-').unwrap_or(&lower);
    let digits = unsigned
        .find(|char: char| !char.is_ascii_digit())
        .unwrap_or(unsigned.len());
    let (number, suffix) = lower.split_at(lower.len() - unsigned.len() + digits);
    if digits == 0 || !suffix.chars().all(|char| char.is_ascii_lowercase()) {
        return Err(no_time(format!("Failed to parse time string: {text}")));
    }
    let value = number.parse::<i64>();
    let value = value.map_err(|_| no_time(format!("For input string: \"{number}\"")))?;
    let unit = match SUFFIXES.iter().find(|(name, _)| *name == suffix) {
        Some((_, unit)) => *unit,
        None if suffix.is_empty() => bare,
        None => return Err(no_time(format!("Invalid suffix: \"{suffix}\""))),
    };
    Ok((value, unit))
}

fn no_time(cause: String) -> ValueError {
    ValueError::new(format!(
        "{cause}. A time is a whole number of seconds (s), milliseconds (ms), microseconds (us), \
         minutes (m or min), hours (h) or days (d): 50s, 100ms, 250us"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_bare_numbers_and_signs_are_read() {
        for (text, unit, value) in [
            ("5", Seconds, 5),
            ("5", Millis, 5),
            ("5s", Millis, 5_000),
            ("-5s", Millis, -5_000),
            ("2m", Seconds, 120),
            ("2min", Seconds, 120),
            ("1h", Minutes, 60),
            ("1d", Hours, 24),
            (" 250US ", Micros, 250),
            ("1500ms", Seconds, 1),
            ("-1500ms", Seconds, -1),
            ("999us", Millis, 0),
            ("9223372036854775807d", Micros, i64::MAX),
            ("-9223372036854775808d", Micros, i64::MIN),
        ] {
            assert_eq!(parse_time(text, unit).unwrap(), value, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_told_apart() {
        let refused = |text| parse_time(text, Seconds).unwrap_err().to_string();
        for text in [
            "", "-", "s", "1.5s", "0.5", "1 s", "+1s", "1s2", "- 1s", "--1s",
        ] {
            let error = refused(text);
            assert!(
                error.contains("Failed to parse time string"),
                "{text}: {error}"
            );
            assert!(error.contains("50s, 100ms, 250us"), "{text}: {error}");
        }
        assert!(refused("600l").contains("Invalid suffix: \"l\""));
        assert!(refused("9223372036854775808").contains("For input string"));
    }

    #[test]
    fn durations_keep_what_is_finer_than_their_unit() {
        let read = |text| parse_duration(text, Seconds).unwrap();
        assert_eq!(read("1500ms"), Some(Duration::from_millis(1500)));
        assert_eq!(read("7us"), Some(Duration::from_micros(7)));
        assert_eq!(read("2"), Some(Duration::from_secs(2)));
        assert_eq!(read("-1"), None);
        assert!(parse_duration("9223372036854775807d", Seconds).is_err());
        assert_eq!(format_duration(Duration::from_nanos(1)), "1us");
        assert_eq!(format_duration(Duration::ZERO), "0s");
    }
}
