//! Reading the value to the right of an operator: literals, wrapped literals, fallbacks, bare words.

use std::ops::Range;

use super::text::{Kind, line_end, line_start};

/// Longer values are data.
const LONGEST: usize = 4096;
/// How many wrappers (`new Secret(Base64.decode(`) may stand before a literal.
const WRAPPERS: usize = 6;
/// Calls that ask for a value by its name: their literal is the name.
const ASKING: &[&str] = &[
    "env",
    "get",
    "read",
    "load",
    "fetch",
    "find",
    "lookup",
    "input",
    "prompt",
    "request",
    "param",
    "param_or",
    "config",
    "setting",
    "vault",
    "open",
    "select",
    "query",
    "credentials",
    "ssm",
    "header",
    "cookie",
    "join",
    "path",
    "file",
    "secret_manager",
    "translate",
    "gettext",
    "t",
    "i18n",
    "test",
    "match",
    "include",
    "contains",
    "print",
    "error",
    "format",
    "sprintf",
    "hash",
    "sha256",
    "md5",
    "flag",
    "argument",
    "option",
    "require",
    "import",
    "type",
    "regexp",
    "encode",
    "replace",
    "strip",
    "split",
    "startswith",
    "endswith",
];

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    /// Without quotes.
    pub(crate) range: Range<usize>,
    /// Whether quotes, or the tags of an element, delimit it.
    pub(crate) quoted: bool,
}

/// Whether and how a value may stand without quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bare {
    /// It may not.
    No,
    /// Up to white space.
    ToEnd,
    /// Up to white space or the punctuation of the text around it.
    InText,
}

/// Reads the value at or after `at`.
pub(crate) fn read(text: &[u8], at: usize, kind: Kind, bare: Bare) -> Option<Value> {
    let same_line = kind != Kind::Code;
    let mut at = skip(text, at, same_line);
    if let Some(value) = literal_at(text, at) {
        return Some(value);
    }
    if bare != Bare::No {
        return bare_word(text, at, bare);
    }
    for _ in 0..WRAPPERS {
        if let Some(value) = literal_at(text, at) {
            return Some(value);
        }
        match text.get(at)? {
            b'(' | b'[' | b'{' | b'&' | b'*' | b']' => at = skip(text, at + 1, false),
            b if b.is_ascii_alphabetic() || *b == b'_' || *b == b'$' => {
                let end = path_end(text, at);
                let callee = &text[at..end];
                if is_asking(callee) {
                    return fallback(text, end);
                }
                let next = skip(text, end, true);
                at = match text.get(next)? {
                    b'(' | b'[' | b'{' => skip(text, next + 1, false),
                    b'!' => skip(text, next + 1, true),
                    _ if callee == b"new" || callee == b"await" || callee == b"return" => next,
                    _ => return None,
                };
            }
            _ => return None,
        }
    }
    None
}

/// `getenv("X", "VALUE")`, `env.X || "VALUE"`, `env("X") or "VALUE"`: what is used when the lookup finds nothing.
fn fallback(text: &[u8], at: usize) -> Option<Value> {
    let rest = &text[at..line_end(text, at).min(at + LONGEST)];
    let mut depth_seen = 0;
    for (offset, &byte) in rest.iter().enumerate() {
        let operator = match byte {
            b',' if depth_seen > 0 => 1,
            b'|' | b'?' if rest.get(offset + 1).is_some_and(|&next| next == byte || next == b':') => 2,
            b'o' if rest[offset..].starts_with(b"or ") && offset > 0 && rest[offset - 1] == b' ' => 3,
            b'(' => {
                depth_seen += 1;
                0
            }
            _ => 0,
        };
        if operator > 0 {
            let next = skip(text, at + offset + operator, true);
            if let Some(value) = literal_at(text, next) {
                return Some(value);
            }
        }
    }
    None
}

/// The end of a dotted or `::` path.
fn path_end(text: &[u8], start: usize) -> usize {
    let mut end = start;
    while end < text.len() && end - start < 120 {
        let byte = text[end];
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$') {
            end += 1;
        } else if text[end..].starts_with(b"::") || text[end..].starts_with(b"->") {
            end += 2;
        } else {
            break;
        }
    }
    end
}

/// Whether any word of a path asks for something.
fn is_asking(path: &[u8]) -> bool {
    let path = super::names::snake_case(
        &path
            .iter()
            .map(|&b| if b == b':' || b == b'>' { b'.' } else { b })
            .collect::<Vec<_>>(),
    );
    path.split('_')
        .any(|word| ASKING.contains(&word) || word.starts_with("get") || word.contains("env"))
}

fn skip(text: &[u8], mut at: usize, same_line: bool) -> usize {
    let mut newlines = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b' ' | b'\t' => {}
            b'\r' | b'\n' | b'\\' if !same_line && newlines < 4 => newlines += 1,
            _ => break,
        }
        at += 1;
    }
    at
}

/// The string literal that begins at `at`, perhaps with a prefix as in `b"..."`.
pub(crate) fn literal_at(text: &[u8], mut at: usize) -> Option<Value> {
    let mut prefix = 0;
    while prefix < 3 && text.get(at).is_some_and(|b| b"bBrRuUfFLc@$\\".contains(b)) {
        at += 1;
        prefix += 1;
    }
    let &quote = text.get(at)?;
    if !matches!(quote, b'"' | b'\'' | b'`') {
        return None;
    }
    let escaped = prefix > 0 && text[at - 1] == b'\\';
    let triple = text[at..].starts_with(&[quote; 3]);
    let start = at + if triple { 3 } else { 1 };
    let end = literal_end(text, start, quote, triple, escaped)?;
    Some(Value {
        range: start..end,
        quoted: true,
    })
}

/// Where a literal that began at `start` closes; it may not cross lines unless it is a triple one.
pub(crate) fn literal_end(text: &[u8], start: usize, quote: u8, triple: bool, escaped: bool) -> Option<usize> {
    let limit = text.len().min(start + LONGEST);
    let mut at = start;
    while at < limit {
        match text[at] {
            // Inside of a string in a string, the closing quote is escaped as the opening one was.
            b'\\' if escaped && text.get(at + 1) == Some(&quote) => return Some(at),
            b'\\' => at += 1,
            b'\n' if !triple => return None,
            byte if byte == quote && !triple => return Some(at),
            byte if byte == quote && text[at..].starts_with(&[quote; 3]) => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// A value without quotes.
fn bare_word(text: &[u8], start: usize, bare: Bare) -> Option<Value> {
    let stops = |byte: u8| match bare {
        Bare::InText => byte.is_ascii_whitespace() || b"\"'`<>,;&)}]\\".contains(&byte),
        _ => byte.is_ascii_whitespace() || b"\"'`".contains(&byte),
    };
    let rest = &text[start.min(text.len())..text.len().min(start + LONGEST)];
    if bare == Bare::InText && rest.first().is_some_and(|b| b"{([<|".contains(b)) {
        return None;
    }
    let mut length = rest.iter().position(|&byte| stops(byte)).unwrap_or(rest.len());
    let word = &rest[..length];
    if !word.contains(&b'{') && !word.contains(&b'(') {
        length = word
            .iter()
            .rposition(|b| !matches!(b, b',' | b';' | b')' | b'}' | b']'))
            .map_or(0, |last| last + 1);
    }
    (length > 0).then(|| Value {
        range: start..start + length,
        quoted: false,
    })
}

/// Whether `at` stands inside a string literal of its line.
pub(crate) fn inside_literal(text: &[u8], at: usize) -> bool {
    let start = line_start(text, at).max(at.saturating_sub(1024));
    let mut open = None;
    let mut index = start;
    while index < at {
        match (text[index], open) {
            (b'\\', _) => index += 1,
            (byte @ (b'"' | b'\'' | b'`'), None) => {
                // An apostrophe inside a word opens nothing.
                let in_word = byte == b'\'' && index > start && text[index - 1].is_ascii_alphanumeric();
                open = if in_word { None } else { Some(byte) };
            }
            (byte, Some(quote)) if byte == quote => open = None,
            _ => {}
        }
        index += 1;
    }
    open.is_some()
}
