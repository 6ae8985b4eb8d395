//! Texts that come from outside: their bounds.

use serde::Serialize;

use crate::error::Error;

/// Bytes of a name (of a token, a target, a rule) at most.
pub(crate) const MAX_NAME: usize = 512;

/// A name that people gave: not empty, not endless, on one line.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), Error> {
    if name.trim().is_empty() {
        return Err(Error::invalid(format!("{what} is empty: give one")));
    }
    if name.len() > MAX_NAME {
        return Err(Error::invalid(format!(
            "{what} has {} bytes: {MAX_NAME} are the most",
            name.len()
        )));
    }
    if name.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "{what} has control characters in it: leave them out"
        )));
    }
    Ok(())
}

/// What somebody calls themselves, on one line and not endless.
pub(crate) fn printable(name: &str) -> String {
    let line: String = name.chars().filter(|c| !c.is_control()).collect();
    match line.trim() {
        "" => "without a name".to_owned(),
        line => cut(line, MAX_NAME / 4),
    }
}

/// At most so many bytes of a text that a scanned repository or a tool chose, with a mark where it was cut.
pub(crate) fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(max);
    format!("{}…", &text[..end])
}

/// Plain data as JSON.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("plain data is always JSON")
}
