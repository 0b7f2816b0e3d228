//! The text of DIGEST-MD5 tokens: `name=value` with commas between, values bare or in quotes.

use std::borrow::Cow;

use super::AuthError;

const BAD: AuthError = AuthError::Digest("a token that is not a list of name=value");

/// The directives of a token, in their order.
pub(super) struct Directives<'a> {
    rest: &'a str,
}

impl<'a> Directives<'a> {
    pub(super) fn new(token: &'a [u8]) -> Result<Self, AuthError> {
        match std::str::from_utf8(token) {
            Ok(rest) => Ok(Self { rest }),
            Err(_) => Err(AuthError::Digest("a token that is not UTF-8")),
        }
    }

    /// The next one.
    pub(super) fn next(&mut self) -> Result<Option<(&'a str, Cow<'a, str>)>, AuthError> {
        // Empty members of the list are allowed.
        self.rest = self.rest.trim_start_matches([',', ' ', '\t', '\r', '\n']);
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (name, value) = self.rest.split_once('=').ok_or(BAD)?;
        let name = name.trim_end();
        if !name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-') {
            return Err(BAD);
        }
        let value = value.trim_start();
        let (value, rest) = match value.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = value.find(',').unwrap_or(value.len());
                (Cow::Borrowed(value[..end].trim_end()), &value[end..])
            }
        };
        let rest = rest.trim_start();
        if !rest.is_empty() && !rest.starts_with(',') {
            return Err(BAD);
        }
        self.rest = rest;
        Ok(Some((name, value)))
    }
}

/// The value behind an opening quote, and what stands behind the closing one.
fn unquote(quoted: &str) -> Result<(Cow<'_, str>, &str), AuthError> {
    let mut own = String::new();
    let mut from = 0;
    loop {
        let at = from + quoted[from..].find(['"', '\\']).ok_or(BAD)?;
        if quoted[at..].starts_with('"') {
            let rest = &quoted[at + 1..];
            if own.is_empty() {
                return Ok((Cow::Borrowed(&quoted[..at]), rest));
            }
            own.push_str(&quoted[from..at]);
            return Ok((Cow::Owned(own), rest));
        }
        let escaped = quoted[at + 1..].chars().next().ok_or(BAD)?;
        own.push_str(&quoted[from..at]);
        own.push(escaped);
        from = at + 1 + escaped.len_utf8();
    }
}

/// Keeps a value; a directive that comes twice is an error.
pub(super) fn once<'a>(
    slot: &mut Option<Cow<'a, str>>,
    value: Cow<'a, str>,
) -> Result<(), AuthError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(AuthError::Digest("a directive that comes twice")),
    }
}

/// A value in quotes.
pub(super) fn quote(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str("=\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<(String, String)>, AuthError> {
        let mut directives = Directives::new(text.as_bytes())?;
        let mut found = Vec::new();
        while let Some((name, value)) = directives.next()? {
            found.push((name.to_owned(), value.into_owned()));
        }
        Ok(found)
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn values_are_bare_or_quoted() {
        let found = all(r#"realm="a,b", qop = auth ,, x="a\"\\b",y="",z=1"#).expect("good");
        let expected = [
            pair("realm", "a,b"),
            pair("qop", "auth"),
            pair("x", "a\"\\b"),
            pair("y", ""),
            pair("z", "1"),
        ];
        assert_eq!(found, expected);
        assert_eq!(all("").expect("nothing is good"), []);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["realm", "a,b=c", "a=\"b", "a=\"b\\", "a=\"b\"c", "a=b,c"] {
            assert_eq!(all(text), Err(BAD), "{text}");
        }
    }

    #[test]
    fn quotes_are_undone_by_reading() {
        let mut out = String::new();
        quote(&mut out, "realm", "a\"b\\c");
        assert_eq!(all(&out).expect("good"), [pair("realm", "a\"b\\c")]);
    }
}
