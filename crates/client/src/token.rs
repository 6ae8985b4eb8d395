//! A secret that no message shows.

use std::fmt;

/// What is presented to a server.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// From a file, a variable or an input; white space around it is not a part of it. None if nothing is left, or if it
    /// could not be sent.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }

    /// The secret itself, to be sent or to be kept where only its owner can read it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word_and_is_never_shown() {
        let token = Token::new(" helve_abc\n").unwrap();
        assert_eq!(token.reveal(), "helve_abc");
        assert!(!format!("{token:?}").contains("abc"));
        for wrong in ["", " \n", "two words", "a\nb", "é"] {
            assert!(Token::new(wrong).is_none(), "{wrong:?}");
        }
    }
}
