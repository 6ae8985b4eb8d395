//! What people type into a search box, as a question to SQLite's full-text index. Nothing they type is syntax there.

use crate::error::Error;

/// Terms of a search at most.
const MAX_TERMS: usize = 32;

/// Bytes of a search at most.
const MAX_BYTES: usize = 1_000;

/// The question: every term occurs. None if there is no word in it.
pub(crate) fn question(text: &str) -> Result<Option<String>, Error> {
    if text.len() > MAX_BYTES {
        return Err(Error::invalid(format!(
            "the search has {} bytes, and {MAX_BYTES} are the most: use fewer words",
            text.len()
        )));
    }
    let terms = terms(text);
    if terms.len() > MAX_TERMS {
        return Err(Error::invalid(format!(
            "the search has {} words, and {MAX_TERMS} are the most: use fewer",
            terms.len()
        )));
    }
    if terms.is_empty() {
        return Ok(None);
    }
    Ok(Some(format!("body : ({})", terms.join(" AND "))))
}

/// Each term as a quoted string, with a star behind it if it is a beginning.
fn terms(text: &str) -> Vec<String> {
    let mut terms = Vec::new();
    // What is between two quotes is one phrase; a quote that is never closed begins none.
    let pieces: Vec<&str> = text.split('"').collect();
    let last = pieces.len() - 1;
    for (index, piece) in pieces.into_iter().enumerate() {
        if index % 2 == 1 && index != last {
            terms.extend(term(piece));
        } else {
            terms.extend(piece.split_whitespace().filter_map(term));
        }
    }
    terms
}

fn term(text: &str) -> Option<String> {
    // The index has no other characters in its words.
    let is_word = text.chars().any(char::is_alphanumeric);
    let star = if text.ends_with('*') { " *" } else { "" };
    is_word.then(|| format!("\"{}\"{star}", text.replace(['"', '\0'], " ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_phrases_and_beginnings_become_one_question() {
        let cases = [
            ("eval user", r#"body : ("eval" AND "user")"#),
            (
                r#"os.system "user input" inj*"#,
                r#"body : ("os.system" AND "user input" AND "inj*" *)"#,
            ),
            (r#"a" OR keys:n2"#, r#"body : ("a" AND "OR" AND "keys:n2")"#),
            (r#"say "hi"#, r#"body : ("say" AND "hi")"#),
            ("a NEAR(b) ^c -d", r#"body : ("a" AND "NEAR(b)" AND "^c" AND "-d")"#),
        ];
        for (text, expected) in cases {
            assert_eq!(question(text).unwrap().as_deref(), Some(expected), "{text}");
        }
        assert_eq!(question(" * - \" ").unwrap(), None);
        assert!(question(&"a ".repeat(40)).is_err());
    }
}
