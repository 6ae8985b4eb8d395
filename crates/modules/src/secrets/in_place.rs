//! What is a secret because of where it stands, whatever it looks like: for masking, not for findings. To mask a word too
//! many costs a reader a word; a finding too many costs an hour.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use regex::Regex;

use super::judge::is_template;
use super::redact::MASK;
use super::rules::Allow;

/// Without any of these, no pattern can match.
const NEEDLES: &[&str] = &[
    "://",
    "authorization",
    "--",
    "mysql",
    "mariadb",
    "sshpass",
    "private key",
];
/// What follows a flag in prose.
const PROSE: &[&str] = &[
    "a",
    "an",
    "and",
    "argument",
    "arguments",
    "as",
    "at",
    "be",
    "by",
    "can",
    "cannot",
    "does",
    "flag",
    "flags",
    "for",
    "from",
    "has",
    "if",
    "in",
    "instead",
    "into",
    "is",
    "it",
    "may",
    "must",
    "not",
    "of",
    "on",
    "or",
    "option",
    "options",
    "parameter",
    "parameters",
    "should",
    "so",
    "switch",
    "than",
    "that",
    "the",
    "then",
    "this",
    "to",
    "was",
    "when",
    "which",
    "will",
    "with",
    "without",
];
/// What `-p` begins when it is no password: `-port`, `-path`, `-print`, `-protocol`.
const OTHER_FLAGS: &[&str] = &["ort", "ath", "rint", "rotocol"];

/// How much the place says by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Only a credential stands there.
    Sure,
    /// Prose may go on there.
    Flag,
    /// Prose often goes on there.
    Header,
}

static NEEDLE: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(NEEDLES)
        .expect("constant needles")
});

static PATTERNS: LazyLock<Vec<(Regex, Place)>> = LazyLock::new(|| {
    let patterns = [
        // `scheme://user:VALUE@`; the last `@` before the path ends it.
        (
            r#"(?i)\b[a-z][a-z0-9+.-]*://[^\s/?#"'<>`:]*:(?P<secret>[^\s/?#"'<>`]+)@"#,
            Place::Sure,
        ),
        // `Authorization: token VALUE`, `"Authorization": "Bearer VALUE"`
        (
            r#"(?i)authorization["'`\]\\]*\s*(?:=>|[:=,])\s*[bf]?["'`\\]*(?:bearer|token|basic|digest|apikey|negotiate)\s+(?P<secret>[^\s"'`\\,;<>()…]+)"#,
            Place::Header,
        ),
        // `--password VALUE`, `--db-token=VALUE`, `"--password", "VALUE"`
        (
            r#"(?i)--(?:[a-z0-9]+-)*(?:password|passwd|token)(?:=["'`]?|["'`]\s*,\s*["'`]|\s+["'`]?)(?P<secret>[^\s"'`,;|<>()…-][^\s"'`;|<>()…]*)"#,
            Place::Flag,
        ),
        // `mysqldump -u root -pVALUE`, `"mysql", "-pVALUE"`
        (
            r#"\b(?:mysql\w*|mariadb[\w-]*)\b[^\n|;]{0,160}?[\s"'`,\[]-p["']?(?P<secret>[^\s"'`,;|<>)…]+)"#,
            Place::Sure,
        ),
        // `sshpass -p VALUE`
        (
            r#"\bsshpass\b["'`,\s]+-p["'`,\s]*(?P<secret>[^\s"'`,;|<>)…]+)"#,
            Place::Sure,
        ),
        // A key that was cut.
        (
            r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:\\[nr]|\s)*(?P<secret>[A-Za-z0-9+/=]{24,}(?:(?:\s|\\[nr])+[A-Za-z0-9+/=]{24,})*)",
            Place::Sure,
        ),
    ];
    let compiled = patterns.map(|(pattern, place)| (Regex::new(pattern).expect("a constant pattern"), place));
    compiled.into()
});

/// Calls `visit` for the range of each.
pub(super) fn find(text: &str, allow: &Allow, mut visit: impl FnMut(Range<usize>)) {
    if !NEEDLE.is_match(text) {
        return;
    }
    for (pattern, place) in &*PATTERNS {
        for captures in pattern.captures_iter(text) {
            let Some(secret) = captures.name("secret") else {
                continue;
            };
            if is_template(secret.as_str().as_bytes()) {
                continue;
            }
            let value = secret.as_str().trim_end_matches(['.', ',', ':', ')', ']', '}']);
            if !value.is_empty() && is_meant(value, *place, allow) {
                visit(secret.start()..secret.start() + value.len());
            }
        }
    }
}

fn is_meant(value: &str, place: Place, allow: &Allow) -> bool {
    if value.contains(MASK) || is_template(value.as_bytes()) || OTHER_FLAGS.contains(&value) {
        return false;
    }
    let lower = value.to_ascii_lowercase();
    match place {
        Place::Sure => true,
        Place::Flag => !PROSE.contains(&lower.as_str()) && !allow.words.contains(&lower),
        Place::Header => !is_word(value) && !allow.words.contains(&lower),
    }
}

/// Letters in lower case, the first perhaps not, and what joins words.
pub(super) fn is_word(value: &str) -> bool {
    let mut bytes = value.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'_' | b'.'))
}
