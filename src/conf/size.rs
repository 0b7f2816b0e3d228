//! Sizes as Spark writes them: `512k`, `64m`, `2g`, powers of 1024.
//!
//! A bare number is in the reader's unit. Follows `JavaUtils.byteStringAs` and
//! `ByteUnit`: fractions are refused by a text of their own, overflow is an error and converting
//! to a larger unit drops what is left over.

use super::value::ValueError;

/// The unit of a size (Spark: `ByteUnit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ByteUnit {
    /// Bytes.
    Byte,
    /// 1024 bytes.
    KiB,
    /// 1024 KiB.
    MiB,
    /// 1024 MiB.
    GiB,
    /// 1024 GiB.
    TiB,
    /// 1024 TiB.
    PiB,
}

use ByteUnit::{Byte, GiB, KiB, MiB, PiB, TiB};

/// Unit suffixes of a number, in lower case. Newer versions of Spark accept the forms with `ib`.
const SUFFIXES: [(&str, ByteUnit); 16] = [
    ("b", Byte),
    ("k", KiB),
    ("kb", KiB),
    ("kib", KiB),
    ("m", MiB),
    ("mb", MiB),
    ("mib", MiB),
    ("g", GiB),
    ("gb", GiB),
    ("gib", GiB),
    ("t", TiB),
    ("tb", TiB),
    ("tib", TiB),
    ("p", PiB),
    ("pb", PiB),
    ("pib", PiB),
];

impl ByteUnit {
    /// Bytes of one.
    pub const fn bytes(self) -> u64 {
        1 << (10 * self as u32)
    }

    /// How the unit is written: `bytes`, `KiB`, …
    pub const fn name(self) -> &'static str {
        match self {
            Byte => "bytes",
            KiB => "KiB",
            MiB => "MiB",
            GiB => "GiB",
            TiB => "TiB",
            PiB => "PiB",
        }
    }

    const fn suffix(self) -> char {
        match self {
            Byte => 'b',
            KiB => 'k',
            MiB => 'm',
            GiB => 'g',
            TiB => 't',
            PiB => 'p',
        }
    }
}

/// Reads `text` as a number of `unit`; a bare number is one of them already.
///
/// # Errors
/// It is no size, has a fraction or an unknown suffix, or does not fit in 63 bits.
pub fn parse_size(text: &str, unit: ByteUnit) -> Result<u64, ValueError> {
    let (number, from) = split(text, unit)?;
    convert(number, from, unit)
}

/// Reads `text` as a number of bytes; `unit` is that of a bare number.
///
/// # Errors
/// As [`parse_size`].
pub fn parse_bytes(text: &str, unit: ByteUnit) -> Result<u64, ValueError> {
    let (number, from) = split(text, unit)?;
    convert(number, from, Byte)
}

/// Writes a number of bytes so that [`parse_bytes`] reads it back, whatever its unit.
pub fn format_size(bytes: u64) -> String {
    let units = [PiB, TiB, GiB, MiB, KiB];
    let unit = units
        .into_iter()
        .find(|unit| bytes != 0 && bytes.is_multiple_of(unit.bytes()))
        .unwrap_or(Byte);
    format!("{}{}", bytes / unit.bytes(), unit.suffix())
}

fn convert(number: u64, from: ByteUnit, to: ByteUnit) -> Result<u64, ValueError> {
    if from <= to {
        return Ok(number / (to.bytes() / from.bytes()));
    }
    let converted = number.checked_mul(from.bytes() / to.bytes());
    let converted = converted.filter(|converted| i64::try_from(*converted).is_ok());
    converted.ok_or_else(|| {
        ValueError::new(format!(
            "Conversion of {number} {} exceeds 2^63 - 1 {}",
            from.name(),
            to.name(),
        ))
    })
}

fn split(text: &str, bare: ByteUnit) -> Result<(u64, ByteUnit), ValueError> {
    let lower = text.trim().to_ascii_lowercase();
    let end = lower
        .find(|char: char| !char.is_ascii_digit())
        .unwrap_or(lower.len());
    let (digits, suffix) = lower.split_at(end);
    if is_fraction(digits, suffix) {
        let cause = format!("Fractional values are not supported. Input was: {lower}");
        return Err(no_size(cause));
    }
    if digits.is_empty() || !suffix.chars().all(|char| char.is_ascii_lowercase()) {
        return Err(no_size(format!("Failed to parse byte string: {text}")));
    }
    let number = digits.parse::<i64>().map(i64::unsigned_abs);
    let number = number.map_err(|_| no_size(format!("For input string: \"{digits}\"")))?;
    let unit = match SUFFIXES.iter().find(|(name, _)| *name == suffix) {
        Some((_, unit)) => *unit,
        None if suffix.is_empty() => bare,
        None => return Err(no_size(format!("Invalid suffix: \"{suffix}\""))),
    };
    Ok((number, unit))
}

/// Whether it reads `digits.digits[letters]`.
fn is_fraction(digits: &str, rest: &str) -> bool {
    let Some(rest) = rest.strip_prefix('.') else {
        return false;
    };
    let suffix = rest.trim_start_matches(|char: char| char.is_ascii_digit());
    !digits.is_empty()
        && suffix.len() < rest.len()
        && suffix.chars().all(|char| char.is_ascii_lowercase())
}

fn no_size(cause: String) -> ValueError {
    ValueError::new(format!(
        "{cause}. A size is a whole number of bytes (b), kibibytes (k), mebibytes (m), gibibytes \
         (g), tebibytes (t) or pebibytes (p): 50b, 100k, 250m"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_powers_of_1024_in_any_case() {
        for (text, bytes) in [
            ("1", 1u64),
            ("50b", 50),
            ("1k", 1 << 10),
            ("1KB", 1 << 10),
            ("1KiB", 1 << 10),
            (" 250M ", 250 << 20),
            ("3gb", 3 << 30),
            ("1T", 1 << 40),
            ("1p", 1 << 50),
        ] {
            assert_eq!(parse_size(text, Byte).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn a_bare_number_takes_the_readers_unit_and_conversion_drops_the_rest() {
        assert_eq!(parse_size("128", MiB).unwrap(), 128);
        assert_eq!(parse_size("1g", MiB).unwrap(), 1024);
        assert_eq!(parse_size("1500k", MiB).unwrap(), 1);
        assert_eq!(parse_size("1023b", KiB).unwrap(), 0);
    }

    #[test]
    fn what_is_no_size_is_told_apart() {
        let refused = |text| parse_size(text, Byte).unwrap_err().to_string();
        assert!(refused("0.064m").contains("Fractional values are not supported"));
        assert!(refused("1.5").contains("Fractional values are not supported"));
        assert!(refused("600l").contains("Invalid suffix: \"l\""));
        for text in ["", "m", "-1", "-1m", "1 m", "1.m", ".5m", "1m2", "ten"] {
            assert!(
                refused(text).contains("Failed to parse byte string"),
                "{text}"
            );
        }
        assert!(refused("9999999999999999999").contains("For input string"));
        assert!(refused("9223372036854775807k").contains("exceeds"));
        assert!(refused("8192p").contains("exceeds"));
        assert_eq!(parse_size("8191p", Byte).unwrap(), 8191 << 50);
    }
}
