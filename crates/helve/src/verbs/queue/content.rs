//! Inputs and outputs as the command line gets them.

use std::io::Read;
use std::path::Path;

use helve_queue::Content;

use crate::errors::{Problem, Result};

pub(super) fn json_text(option: &str, text: &str) -> Result<Content> {
    let value = serde_json::from_str(text);
    let value = value.map_err(|error| {
        Problem::new(format!("{option} is no JSON: {error}"))
            .help("a text has quotes of its own: '\"like this\"'; --file takes anything")
    })?;
    Ok(Content::Json(value))
}

/// JSON, text or bytes, whatever is in the file.
pub(super) fn from_file(path: &Path) -> Result<Content> {
    let bytes = match path.as_os_str() == "-" {
        true => stdin()?,
        false => std::fs::read(path).map_err(|error| Problem::io("read", path, &error))?,
    };
    Ok(of_program(&bytes))
}

/// One for each line of standard input that is not empty.
pub(super) fn lines() -> Result<Vec<Content>> {
    let bytes = stdin()?;
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let contents: Vec<Content> = lines.map(of_program).collect();
    match contents.is_empty() {
        true => Err(Problem::new("standard input has no line").help("each line is a job: JSON, or a text")),
        false => Ok(contents),
    }
}

/// What a program writes: JSON if it is that, a text if it is one, otherwise bytes.
pub(super) fn of_program(bytes: &[u8]) -> Content {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Content::Json(value);
    }
    match std::str::from_utf8(bytes) {
        Ok("") => Content::default(),
        Ok(text) => Content::Json(text.into()),
        Err(_) => Content::of_bytes(bytes),
    }
}

fn stdin() -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut bytes);
    read.map_err(|error| Problem::io("read", Path::new("standard input"), &error))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_program_writes_is_json_text_or_bytes() {
        assert_eq!(of_program(b"{\"a\": 1}\n"), Content::Json(json!({"a": 1})));
        assert_eq!(of_program(b"two words\n"), Content::Json(json!("two words\n")));
        assert_eq!(of_program(b""), Content::default());
        assert_eq!(of_program(&[0xff, 0]), Content::of_bytes(&[0xff, 0]));
        assert!(json_text("--input", "two words").is_err());
    }
}
