//! Inline ignores: comments with which authors accept a finding on their own line or on the line below.
//!
//! `helve:ignore` silences every rule, `helve:ignore secrets/<rule>` only the named ones. The marks of other scanners
//! (`gitleaks:allow`, `pragma: allowlist secret` and the like) silence all.

use super::text::{line_end, line_start};

const OWN: &[u8] = b"helve:ignore";
const FOREIGN: &[&[u8]] = &[
    b"gitleaks:allow",
    b"betterleaks:allow",
    b"pragma: allowlist secret",
    b"pragma: whitelist secret",
    b"trufflehog:ignore",
    b"ggignore",
    b"kingfisher:ignore",
    b"noqa: s105",
    b"nosec b105",
];
const FOREIGN_NEXT_LINE: &[&[u8]] = &[b"pragma: allowlist nextline secret", b"kingfisher:ignore-next-line"];

/// Whether a comment silences `rule` (its full id) for a match that starts at `at`.
pub(crate) fn is_suppressed(text: &[u8], at: usize, rule: &str) -> bool {
    let start = line_start(text, at);
    let line = &text[start..line_end(text, at)];
    if own_mark(line, rule) || FOREIGN.iter().any(|mark| contains(line, mark)) {
        return true;
    }
    if start == 0 {
        return false;
    }
    let above = &text[line_start(text, start - 1)..start - 1];
    FOREIGN_NEXT_LINE.iter().any(|mark| contains(above, mark)) || is_comment(above) && own_mark(above, rule)
}

fn own_mark(line: &[u8], rule: &str) -> bool {
    let Some(at) = find(line, OWN) else { return false };
    let rest = String::from_utf8_lossy(&line[at + OWN.len()..]).into_owned();
    let ids: Vec<&str> = rest
        .trim_start_matches(':')
        .split(|c: char| c.is_whitespace() || c == ',')
        .filter(|word| !word.is_empty())
        .take_while(|word| word.contains('/') || *word == "secrets" || *word == "sast")
        .collect();
    ids.is_empty() || ids.iter().any(|id| *id == rule || *id == "secrets")
}

fn is_comment(line: &[u8]) -> bool {
    let line = line.trim_ascii_start();
    [
        &b"#"[..],
        b"//",
        b"--",
        b";",
        b"/*",
        b"*",
        b"<!--",
        b"%",
        b"rem ",
        b"REM ",
    ]
    .iter()
    .any(|m| line.starts_with(m))
}

fn contains(line: &[u8], mark: &[u8]) -> bool {
    find(line, mark).is_some()
}

fn find(line: &[u8], mark: &[u8]) -> Option<usize> {
    line.windows(mark.len())
        .position(|window| window.eq_ignore_ascii_case(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silenced(text: &str, needle: &str) -> bool {
        is_suppressed(text.as_bytes(), text.find(needle).unwrap(), "secrets/generic-password")
    }

    #[test]
    fn a_mark_holds_for_its_line_and_alone_for_the_next() {
        assert!(silenced("p = 'SECRET'  # helve:ignore", "SECRET"));
        assert!(silenced("# helve:ignore\np = 'SECRET'", "SECRET"));
        assert!(!silenced("q = 1  # helve:ignore\np = 'SECRET'", "SECRET"));
    }

    #[test]
    fn a_mark_that_names_rules_holds_for_those_only() {
        assert!(silenced(
            "p = 'SECRET' // helve:ignore secrets/generic-password rotated in May",
            "SECRET"
        ));
        assert!(!silenced("p = 'SECRET' // helve:ignore secrets/jwt", "SECRET"));
        assert!(silenced("p = 'SECRET' // helve:ignore only a demo", "SECRET"));
    }

    #[test]
    fn marks_of_other_scanners_are_honoured() {
        assert!(silenced("p = 'SECRET' # gitleaks:allow", "SECRET"));
        assert!(silenced("p = 'SECRET' # pragma: allowlist secret", "SECRET"));
        assert!(silenced("# pragma: allowlist nextline secret\np = 'SECRET'", "SECRET"));
    }
}
