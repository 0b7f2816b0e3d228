//! Properties files, in Java's format.
//!
//! ```text
//! # a comment, as is a line that begins with !
//! ringrail.rpc.askTimeout   30s
//! ringrail.rpc.shards     = 2
//! ringrail.network.timeout: 2min
//! spark.jars                one,\
//!                           two
//! ```
//!
//! Follows `java.util.Properties.load`: a key ends at the first white space, `=` or `:` that has no
//! backslash before it; a backslash at the end of a line joins the next one to it, without the white
//! space that it begins with; `\t`, `\n`, `\r`, `\f` and `\uXXXX` are what they say, and any other
//! character behind a backslash is itself. Files are UTF-8, as Spark reads them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::Chars;
use std::sync::Arc;

use super::error::ConfError;
use super::value::ValueError;

/// The largest properties file, in bytes.
pub const MAX_FILE_LEN: u64 = 16 << 20;

/// A line of a properties file that sets something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// The key.
    pub key: String,
    /// The value, with its trailing white space.
    pub value: String,
    /// The line on which it begins, from 1.
    pub line: usize,
}

/// Reads a properties file.
///
/// # Errors
/// It cannot be read, is longer than [`MAX_FILE_LEN`] or not UTF-8, or has a line that means nothing.
pub fn read_file(path: &Path) -> Result<Vec<Property>, ConfError> {
    let unreadable = |source: io::Error| ConfError::Unreadable {
        path: path.to_owned(),
        source: Arc::new(source),
    };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_FILE_LEN + 1).read_to_end(&mut bytes);
    if read.map_err(unreadable)? as u64 > MAX_FILE_LEN {
        let text = format!("it is longer than {MAX_FILE_LEN} bytes");
        return Err(unreadable(io::Error::other(text)));
    }
    let properties = match String::from_utf8(bytes) {
        Ok(text) => parse(&text),
        Err(error) => {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + String::from_utf8_lossy(good).matches('\n').count();
            Err(bad_line(line, "not UTF-8"))
        }
    };
    properties.map_err(|error| match error {
        ConfError::BadLine { line, cause, .. } => ConfError::BadLine {
            path: Some(path.to_owned()),
            line,
            cause,
        },
        other => other,
    })
}

/// Reads the text of a properties file, in its order; a key may come more than once.
///
/// # Errors
/// A `\u` is not followed by four hexadecimal digits, or by half a surrogate pair only.
pub fn parse(text: &str) -> Result<Vec<Property>, ConfError> {
    let mut lines = natural_lines(text);
    let mut properties = Vec::new();
    while let Some((line, logical)) = logical_line(&mut lines) {
        let (key, value) = split(&logical);
        let unescaped = |text| unescape(text).map_err(|cause| bad_line(line, cause));
        let (key, value) = (unescaped(key)?, unescaped(value)?);
        properties.push(Property { key, value, line });
    }
    Ok(properties)
}

/// Writes pairs so that [`parse`], and Java, read them back.
pub fn write<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::new();
    for (key, value) in pairs {
        escape(key, true, &mut out);
        out.push('=');
        escape(value, false, &mut out);
        out.push('\n');
    }
    out
}

fn bad_line(line: usize, cause: &str) -> ConfError {
    ConfError::BadLine {
        path: None,
        line,
        cause: ValueError::new(cause),
    }
}

/// Lines that end with a newline, a carriage return, or both, with their numbers.
fn natural_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut after_return = false;
    let lines = text.split_inclusive(['\n', '\r']).filter(move |part| {
        // The newline behind a carriage return ends no line of its own.
        let second_half = after_return && *part == "\n";
        after_return = part.ends_with('\r');
        !second_half
    });
    let lines = lines.map(|part| part.trim_end_matches(['\n', '\r']));
    lines.enumerate().map(|(at, line)| (at + 1, line))
}

/// The next line that is neither empty nor a comment, joined with its continuation lines, and its line
/// number. If a lone backslash ends the text, Java finds an empty key; this function does not.
fn logical_line<'a>(lines: &mut impl Iterator<Item = (usize, &'a str)>) -> Option<(usize, String)> {
    let mut logical = String::new();
    let mut first = None;
    for (number, line) in lines {
        let line = line.trim_start_matches(is_space);
        if logical.is_empty() && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        let first = *first.get_or_insert(number);
        logical.push_str(line);
        if !is_continued(&logical) {
            return Some((first, logical));
        }
        logical.pop();
    }
    first
        .filter(|_| !logical.is_empty())
        .map(|first| (first, logical))
}

/// Whether an odd number of backslashes ends it.
fn is_continued(line: &str) -> bool {
    let rest = line.trim_end_matches('\\');
    (line.len() - rest.len()) % 2 == 1
}

fn is_space(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\u{c}')
}

/// Key and value, still escaped.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|char: char| {
        let ends = !escaped && (is_space(char) || matches!(char, '=' | ':'));
        escaped = !escaped && char == '\\';
        ends
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(is_space);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(is_space))
}

fn unescape(text: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            out.push(char);
            continue;
        }
        match chars.next() {
            None => {}
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some('u') => out.push(unicode(&mut chars)?),
            Some(other) => out.push(other),
        }
    }
    Ok(out)
}

/// The character whose code, or surrogate pair, follows a `\u`.
fn unicode(chars: &mut Chars<'_>) -> Result<char, &'static str> {
    const HALF: &str =
        "half a surrogate pair: \\uD800 to \\uDFFF stand for a character only two by two";
    let first = code_unit(chars)?;
    let units = if (0xd800..0xdc00).contains(&first) {
        let mut ahead = chars.clone();
        if (ahead.next(), ahead.next()) != (Some('\\'), Some('u')) {
            return Err(HALF);
        }
        *chars = ahead;
        vec![first, code_unit(chars)?]
    } else {
        vec![first]
    };
    let mut decoded = char::decode_utf16(units);
    match (decoded.next(), decoded.next()) {
        (Some(Ok(char)), None) => Ok(char),
        _ => Err(HALF),
    }
}

fn code_unit(chars: &mut Chars<'_>) -> Result<u16, &'static str> {
    let mut unit = 0;
    for _ in 0..4 {
        let digit = chars.next().and_then(|char| char.to_digit(16));
        unit = unit * 16 + digit.ok_or("\\u must be followed by four hexadecimal digits")?;
    }
    Ok(unit as u16)
}

fn escape(text: &str, is_key: bool, out: &mut String) {
    for (at, char) in text.char_indices() {
        match char {
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\u{c}' => out.push_str("\\f"),
            ' ' if is_key || at == 0 => out.push_str("\\ "),
            '\\' | '=' | ':' | '#' | '!' => out.extend(['\\', char]),
            other => out.push(other),
        }
    }
}
