//! The words that documents about runs have for states, read back.

use serde::{Deserialize, Deserializer};

/// One of a few words that this version knows.
pub type Word = &'static str;

/// What is read where a newer server says a word that this version does not know.
const UNKNOWN: Word = "unknown";

/// All words: of runs, of steps, of log lines.
const WORDS: [Word; 17] = [
    "running",
    "completed",
    "failed",
    "canceled",
    "terminated",
    "timed_out",
    "continued_as_new",
    "paused",
    "waiting",
    "inconclusive",
    "cancelled",
    "skipped",
    "pending",
    "note",
    "warning",
    "error",
    UNKNOWN,
];

/// Reads one.
pub(crate) fn word<'de, D: Deserializer<'de>>(source: D) -> Result<Word, D::Error> {
    let text = String::deserialize(source)?;
    Ok(WORDS.into_iter().find(|word| *word == text).unwrap_or(UNKNOWN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::STATUSES;

    fn read(text: &str) -> Word {
        word(serde_json::Value::from(text)).unwrap()
    }

    #[test]
    fn a_word_is_read_back_and_a_new_one_is_not_taken_for_another() {
        for (status, _) in STATUSES {
            assert_eq!(read(status), status);
        }
        assert_eq!(read("on fire"), "unknown");
    }
}
