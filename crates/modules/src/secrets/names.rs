//! Finding the whole name around a keyword hit, and spelling it the one way that rules expect.

use std::ops::Range;

use super::prefilter::Hit;

/// Longer "names" are data.
const LONGEST: usize = 80;

/// The name that holds a keyword.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// Where it stands, without quotes and dashes in front.
    pub(crate) range: Range<usize>,
    /// The quote that it stands in, if it is a key like `"password"`.
    pub(crate) quote: Option<u8>,
    /// Whether it is a command-line flag.
    pub(crate) flag: bool,
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'$') || byte >= 0x80
}

/// Widens a keyword hit to the name it is a part of.
pub(crate) fn around(text: &[u8], hit: Hit) -> Option<Name> {
    let mut start = hit.start;
    while start > 0 && is_name_byte(text[start - 1]) {
        if hit.start - start > LONGEST {
            return None;
        }
        start -= 1;
    }
    let mut end = hit.end;
    while end < text.len() && is_name_byte(text[end]) {
        if end - hit.end > LONGEST {
            return None;
        }
        end += 1;
    }
    // `password->`, `password.` at the end of a sentence, `-Dpassword`.
    while end > hit.end && matches!(text[end - 1], b'-' | b'.' | b'$') {
        end -= 1;
    }
    let flag = text[start..].starts_with(b"-");
    while start < hit.start && matches!(text[start], b'-' | b'.' | b'$') {
        start += 1;
    }
    let before = start.checked_sub(1).map(|at| text[at]);
    let quote = before.filter(|byte| matches!(byte, b'"' | b'\'' | b'`'));
    Some(Name {
        range: start..end,
        quote,
        flag,
    })
}

/// `spring.datasource.password`, `dbPassword`, `DB-PASSWORD`: words in lower case with underscores between.
pub(crate) fn snake_case(name: &[u8]) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for (at, &byte) in name.iter().enumerate() {
        let previous = if at > 0 { name[at - 1] } else { b'_' };
        let next_is_lower = name.get(at + 1).is_some_and(u8::is_ascii_lowercase);
        let starts_word = byte.is_ascii_uppercase()
            && (previous.is_ascii_lowercase()
                || previous.is_ascii_digit()
                || previous.is_ascii_uppercase() && next_is_lower);
        if starts_word && !out.ends_with('_') {
            out.push('_');
        }
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte.to_ascii_lowercase()));
        } else if !out.ends_with('_') && !out.is_empty() {
            out.push('_');
        }
    }
    out.truncate(out.trim_end_matches('_').len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str, keyword: &str) -> (String, Name) {
        let start = text.find(keyword).unwrap();
        let name = around(
            text.as_bytes(),
            Hit {
                start,
                end: start + keyword.len(),
            },
        )
        .unwrap();
        (text[name.range.clone()].to_owned(), name)
    }

    #[test]
    fn a_hit_widens_to_the_whole_name() {
        assert_eq!(name("x = spring.data.password=1", "pass").0, "spring.data.password");
        assert_eq!(name("{\"apiToken\": 1}", "Token").1.quote, Some(b'"'));
        let (text, found) = name("mysql --db-password x", "pass");
        assert_eq!((text.as_str(), found.flag), ("db-password", true));
    }

    #[test]
    fn every_spelling_becomes_snake_case() {
        for spelling in [
            "dbPassword",
            "DB_PASSWORD",
            "db-password",
            "db.password",
            "DbPassword",
            "$dbPassword",
        ] {
            assert_eq!(snake_case(spelling.as_bytes()), "db_password", "{spelling}");
        }
        assert_eq!(snake_case(b"AWSSecretKey"), "aws_secret_key");
        assert_eq!(snake_case(b"oauth2ClientSecret"), "oauth2_client_secret");
    }
}
