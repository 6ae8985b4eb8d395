//! Anchors: what a fingerprint recognises a finding by.
//!
//! An anchor is always sealed, that is hashed, before it leaves this crate, because matched code may hold a secret.
//! For secrets, hashing alone is not enough: whoever holds a report could hash a list of common passwords and compare.
//! So a secret's anchor keeps 16 bits only: it tells a rotated secret from an unchanged one, and millions of candidate
//! secrets share each value. Two secrets of one rule in one file that collide are told apart by their order.

const CODE: &str = "c1-";
const SECRET: &str = "s1-";
const CODE_DIGITS: usize = 32;
const SECRET_DIGITS: usize = 4;

/// The sealed anchor of matched code: insensitive to indentation, line breaks and spacing.
pub fn code_anchor(code: &str) -> String {
    let hash = blake3::Hasher::new_derive_key("helve findings v1 code anchor")
        .update(normalise(code).as_bytes())
        .finalize();
    format!("{CODE}{}", &hash.to_hex()[..CODE_DIGITS])
}

/// The sealed anchor of a secret: reveals 16 bits of a hash of it, which is enough to see that it was rotated and
/// too little to confirm a guess.
pub fn secret_anchor(secret: &str) -> String {
    let hash = blake3::Hasher::new_derive_key("helve findings v1 secret anchor")
        .update(secret.as_bytes())
        .finalize();
    format!("{SECRET}{}", &hash.to_hex()[..SECRET_DIGITS])
}

/// Seals an anchor as a module gave it; one that is sealed already stays as it is, except that a full-length one is
/// cut down when it turns out to stand for a secret.
pub(crate) fn seal(anchor: &str, holds_secret: bool) -> String {
    match (
        is_sealed(anchor, SECRET, SECRET_DIGITS),
        is_sealed(anchor, CODE, CODE_DIGITS),
        holds_secret,
    ) {
        (true, _, _) | (_, true, false) => anchor.to_owned(),
        (_, _, true) => secret_anchor(&normalise(anchor)),
        (_, _, false) => code_anchor(anchor),
    }
}

fn is_sealed(anchor: &str, prefix: &str, digits: usize) -> bool {
    anchor
        .strip_prefix(prefix)
        .is_some_and(|hex| hex.len() == digits && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

/// Drops white space except where it separates two words, so that reformatting does not change an anchor.
fn normalise(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    for word in code.split_whitespace() {
        let joins_words = out.chars().next_back().is_some_and(is_word) && word.chars().next().is_some_and(is_word);
        if joins_words {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reformatting_does_not_change_a_code_anchor() {
        let one_line = code_anchor("cursor.execute(\"SELECT \" + name, [a, b])");
        let wrapped = code_anchor("cursor.execute(\n        \"SELECT \" + name,\n\t[a,b]\n)");
        assert_eq!(one_line, wrapped);
    }

    #[test]
    fn different_words_give_different_anchors() {
        assert_ne!(code_anchor("return x"), code_anchor("returnx"));
        assert_ne!(code_anchor("eval(a)"), code_anchor("eval(b)"));
    }

    #[test]
    fn a_secret_anchor_carries_sixteen_bits_only() {
        let anchor = secret_anchor("AKIAIOSFODNN7EXAMPLE");
        assert_eq!(anchor.len(), SECRET.len() + 4);
        assert!(!anchor.contains("AKIA"));
    }

    #[test]
    fn sealing_is_idempotent_and_never_lengthens_a_secret_anchor() {
        for (text, holds_secret) in [
            ("eval(x)", false),
            ("password = 'hunter2'", true),
            ("", false),
            ("", true),
        ] {
            let sealed = seal(text, holds_secret);
            assert_eq!(seal(&sealed, holds_secret), sealed);
        }
        let short = seal("password = 'hunter2'", true);
        assert_eq!(seal(&short, false), short, "what stood for a secret stays short");
    }
}
