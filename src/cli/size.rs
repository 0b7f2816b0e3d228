//! Sizes in bytes, as people write and read them.

use std::fmt;
use std::str::FromStr;

/// A number of bytes: `4096`, `64KiB`, `4MiB`, `1GiB`; `K`, `M`, `G`, `T` mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

const UNITS: [(&str, u32); 4] = [("T", 40), ("G", 30), ("M", 20), ("K", 10)];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|char: char| !char.is_ascii_digit());
        let unit = text[digits.len()..].trim().to_ascii_uppercase();
        let shift = match unit.trim_end_matches('B').trim_end_matches('I') {
            "" if unit.is_empty() || unit == "B" => Some(0),
            name => UNITS
                .iter()
                .find(|(unit, _)| *unit == name)
                .map(|(_, shift)| *shift),
        };
        let number: Option<u64> = digits.parse().ok();
        let bytes = number
            .zip(shift)
            .and_then(|(number, shift)| number.checked_mul(1 << shift));
        bytes
            .map(Size)
            .ok_or_else(|| format!("`{text}` is no size: write 4096, 64KiB, 4MiB, 1GiB"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in UNITS {
            if self.0 >= 1 << shift {
                let value = self.0 as f64 / f64::from(1u32 << (shift - 10)) / 1024.0;
                let exact = self.0.is_multiple_of(1 << shift);
                return write!(f, "{value:.*} {unit}iB", if exact { 0 } else { 2 });
            }
        }
        write!(f, "{} B", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        let read = |text: &str| text.parse::<Size>().map(|size| size.0).ok();
        assert_eq!(read("4096"), Some(4096));
        assert_eq!(read("64KiB"), Some(64 << 10));
        assert_eq!(read("64k"), Some(64 << 10));
        assert_eq!(read("4 MB"), Some(4 << 20));
        assert_eq!(read("1G"), Some(1 << 30));
        assert_eq!(read("2TiB"), Some(2 << 40));
        for bad in [
            "",
            "x",
            "KiB",
            "4x",
            "4iB",
            "-1",
            "1.5G",
            "99999999999999999999",
            "18446744073709551615K",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(Size(1 << 30).to_string(), "1 GiB");
        assert_eq!(Size(1536 << 10).to_string(), "1.50 MiB");
        assert_eq!(Size(1 << 40).to_string(), "1 TiB");
        assert_eq!(Size(12).to_string(), "12 B");
    }
}
