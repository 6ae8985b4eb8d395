//! Redaction: nothing that leaves the scanner may hold a raw secret.

/// What stands for a secret, or for its middle.
pub(crate) const MASK: &str = "********";
/// From this length on, a secret shows its first four and last two characters.
const SHOWN_FROM: usize = 20;
/// Longest snippet, in characters.
const SNIPPET_CHARS: usize = 160;

/// A secret as it may be shown: at most the first four and last two characters of a long one.
pub(crate) fn secret(raw: &str) -> String {
    let first_line = raw.trim().lines().next().unwrap_or_default();
    if first_line.starts_with("-----BEGIN") {
        return "<private key>".to_owned();
    }
    let count = raw.chars().count();
    if count < SHOWN_FROM {
        return MASK.to_owned();
    }
    let clean = |c: char| if c.is_control() { '*' } else { c };
    let head: String = raw.chars().take(4).map(clean).collect();
    let tail: String = raw.chars().skip(count - 2).map(clean).collect();
    format!("{head}{MASK}{tail}")
}

/// The first line of a match, from `line_start`, with everything secret in it masked.
///
/// `line` is the line's text and `masks` are the byte ranges in it that must not be shown, in order.
pub(crate) fn snippet(line: &[u8], masks: &[(std::ops::Range<usize>, String)]) -> String {
    let mut out = String::new();
    let mut at = 0;
    for (range, shown) in masks {
        let start = range.start.min(line.len());
        let end = range.end.min(line.len());
        if start >= at {
            out.push_str(&String::from_utf8_lossy(&line[at..start]));
            out.push_str(shown);
        }
        at = at.max(end);
    }
    out.push_str(&String::from_utf8_lossy(&line[at..]));
    shorten(out.trim())
}

fn shorten(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if clean.chars().count() <= SNIPPET_CHARS {
        return clean;
    }
    // Keep the mask in sight: it is what the reader looks for.
    let mask = clean.find(MASK).map_or(0, |byte| clean[..byte].chars().count());
    let skip = mask.saturating_sub(SNIPPET_CHARS / 2);
    let cut: String = clean.chars().skip(skip).take(SNIPPET_CHARS).collect();
    format!("{}{cut}…", if skip > 0 { "…" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_secrets_show_nothing_and_long_ones_six_characters() {
        assert_eq!(secret("hunter2"), "********");
        assert_eq!(secret("abcdefghijklmnopqrstuvwxyz"), "abcd********yz");
    }

    #[test]
    fn a_snippet_masks_every_range_and_stays_short() {
        let line = b"a = 'SECRET1' + 'SECRET2'";
        let shown = snippet(line, &[(5..12, "****".into()), (17..24, "****".into())]);
        assert_eq!(shown, "a = '****' + '****'");
        let long = [b"x".repeat(500), b" key=SECRET".to_vec()].concat();
        let shown = snippet(&long, &[(505..511, "********".into())]);
        assert!(shown.contains("********") && shown.chars().count() < 170, "{shown}");
    }
}
