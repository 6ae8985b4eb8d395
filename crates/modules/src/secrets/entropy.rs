//! How random a value looks: Shannon entropy per alphabet, and how much of it reads like words.

/// The smallest alphabet that holds a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alphabet {
    /// `0-9`
    Digits,
    /// `0-9a-f` or `0-9A-F`, perhaps with dashes as in a UUID.
    Hex,
    /// Letters and digits of one case.
    OneCase,
    /// Letters and digits, and the punctuation of base64 and tokens.
    Mixed,
    /// Anything else.
    Other,
}

impl Alphabet {
    /// Recognises the alphabet of a value.
    pub(crate) fn of(value: &[u8]) -> Alphabet {
        let (mut lower, mut upper, mut beyond_f, mut marks, mut other, mut dash) =
            (false, false, false, false, false, false);
        for &byte in value {
            match byte {
                b'0'..=b'9' => {}
                b'a'..=b'z' => (lower, beyond_f) = (true, beyond_f | (byte > b'f')),
                b'A'..=b'Z' => (upper, beyond_f) = (true, beyond_f | (byte > b'F')),
                b'-' => dash = true,
                b'+' | b'/' | b'=' | b'_' | b'.' | b'~' => marks = true,
                _ => other = true,
            }
        }
        // The dashes of a UUID make it no less hexadecimal.
        let marks = marks || dash && (beyond_f || lower && upper);
        match (other, marks, lower, upper) {
            (true, ..) => Alphabet::Other,
            (_, true, ..) | (_, _, true, true) => Alphabet::Mixed,
            (_, _, false, false) => Alphabet::Digits,
            _ if beyond_f => Alphabet::OneCase,
            _ => Alphabet::Hex,
        }
    }

    /// Bits per character of a long random value.
    fn bits(self) -> f64 {
        match self {
            Alphabet::Digits => 3.32,
            Alphabet::Hex => 4.0,
            Alphabet::OneCase => 5.17,
            Alphabet::Mixed => 6.0,
            Alphabet::Other => 6.4,
        }
    }
}

/// Shannon entropy in bits per byte.
pub(crate) fn shannon(value: &[u8]) -> f64 {
    if value.is_empty() {
        return 0.0;
    }
    let mut counts = [0u32; 256];
    for &byte in value {
        counts[byte as usize] += 1;
    }
    let length = value.len() as f64;
    counts
        .iter()
        .filter(|&&count| count > 0)
        .map(|&count| f64::from(count) / length)
        .map(|p| -p * p.log2())
        .sum()
}

/// Entropy relative to what a random value of this length and alphabet could have: about 0.9 for random values.
pub(crate) fn relative(value: &[u8]) -> f64 {
    let ceiling = Alphabet::of(value).bits().min((value.len().max(2) as f64).log2());
    shannon(value) / ceiling
}

/// The share of the bytes that stand in words: runs of letters, cut where the case says so, that can be spoken.
pub(crate) fn wordiness(value: &[u8]) -> f64 {
    if value.is_empty() {
        return 0.0;
    }
    let mut covered = 0;
    let mut start = 0;
    for at in 1..=value.len() {
        let cut = at == value.len()
            || !value[at].is_ascii_alphabetic()
            || !value[at - 1].is_ascii_alphabetic()
            || value[at].is_ascii_uppercase()
                && (value[at - 1].is_ascii_lowercase() || value.get(at + 1).is_some_and(u8::is_ascii_lowercase));
        if cut {
            covered += if is_word(&value[start..at]) { at - start } else { 0 };
            start = at;
        }
    }
    covered as f64 / value.len() as f64
}

/// Letters of one case (a capital may lead) with a vowel and without long runs of consonants or vowels.
fn is_word(run: &[u8]) -> bool {
    let run = run.strip_prefix(b"_").unwrap_or(run);
    if run.len() < 3 || !run.iter().all(u8::is_ascii_alphabetic) {
        return false;
    }
    let lower = run[1..].iter().all(u8::is_ascii_lowercase);
    let upper = run.iter().all(u8::is_ascii_uppercase);
    if !lower && !upper {
        return false;
    }
    let (mut vowels, mut consonants_in_row, mut vowels_in_row, mut rare) = (0, 0, 0, 0);
    for byte in run.iter().map(u8::to_ascii_lowercase) {
        if matches!(byte, b'a' | b'e' | b'i' | b'o' | b'u' | b'y') {
            (vowels, vowels_in_row, consonants_in_row) = (vowels + 1, vowels_in_row + 1, 0);
        } else {
            (consonants_in_row, vowels_in_row) = (consonants_in_row + 1, 0);
            rare += usize::from(matches!(byte, b'q' | b'x' | b'z' | b'j'));
        }
        if consonants_in_row > 4 || vowels_in_row > 3 {
            return false;
        }
    }
    vowels > 0 && vowels * 5 >= run.len() && vowels * 5 <= run.len() * 4 && rare * 4 <= run.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_values_have_high_relative_entropy_and_few_words() {
        for value in [
            "q8Zr2LwX0vTn5KdB7hYp",
            "9f86d081884c7d659a2feaa0c55ad015",
            "x7k2m9q4w8z3v5b1",
        ] {
            assert!(relative(value.as_bytes()) > 0.8, "{value}");
            assert!(wordiness(value.as_bytes()) < 0.4, "{value}");
        }
    }

    #[test]
    fn identifiers_are_made_of_words() {
        for value in [
            "validation.password.too_short",
            "MinimumLengthValidator",
            "user-session-token",
            "SECRET_SANTA",
        ] {
            assert!(wordiness(value.as_bytes()) > 0.6, "{value}");
        }
    }

    #[test]
    fn the_smallest_alphabet_wins() {
        assert_eq!(Alphabet::of(b"20240101"), Alphabet::Digits);
        assert_eq!(Alphabet::of(b"deadbeef01"), Alphabet::Hex);
        assert_eq!(Alphabet::of(b"hello2world"), Alphabet::OneCase);
        assert_eq!(Alphabet::of(b"aB3/x=="), Alphabet::Mixed);
        assert_eq!(Alphabet::of(b"p@ss!"), Alphabet::Other);
    }
}
