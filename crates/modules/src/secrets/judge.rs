//! Telling a secret from a placeholder, a reference, a word or an identifier.

use helve_findings::Confidence;

use super::assign::Form;
use super::entropy::{Alphabet, relative, shannon, wordiness};
use super::rules::{Allow, CompiledRule};
use super::spec::Judge;
use super::text::Kind;
use super::validate::{self, Outcome};

/// Longest value that can be a password or token in an assignment.
const LONGEST: usize = 512;
/// Shortest password worth a word.
const SHORTEST_PASSWORD: usize = 6;
/// Shortest token that a machine makes.
const SHORTEST_RANDOM: usize = 12;
/// Runs of one character this long occur in masks, not in secrets.
const MASK_RUN: usize = 5;
/// Rising or falling runs (`0123456789`, `abcdefghij`) this long occur in test vectors.
const SEQUENCE_RUN: usize = 8;

/// How an assignment presents its value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting<'a> {
    /// The name in `snake_case`.
    pub(crate) name: &'a str,
    /// Whether the value is a literal.
    pub(crate) quoted: bool,
    /// How name and value are joined.
    pub(crate) form: Form,
    /// The kind of file.
    pub(crate) kind: Kind,
}

/// A verdict on a candidate; `None` means that it is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// How sure.
    pub(crate) confidence: Confidence,
    /// Whether a check sum proves it (`Some(true)`) or speaks against it (`Some(false)`).
    pub(crate) checksum: Option<bool>,
}

/// Judges a token that was recognised by its look.
pub(crate) fn token(rule: &CompiledRule, allow: &Allow, secret: &[u8]) -> Option<Verdict> {
    if secret.len() < rule.min_length || shannon(secret) < rule.entropy || is_placeholder(secret, allow) {
        return None;
    }
    let mut confidence = rule.meta.confidence;
    if rule.judge == Judge::Password {
        let setting = Setting {
            name: "",
            quoted: true,
            form: Form::Loose,
            kind: Kind::Text,
        };
        confidence = password(secret, &setting)?.min(confidence);
    }
    checked(rule, secret, confidence)
}

/// Judges the value of an assignment.
pub(crate) fn assignment(rule: &CompiledRule, allow: &Allow, value: &[u8], setting: &Setting<'_>) -> Option<Verdict> {
    if value.len() < rule.min_length || value.len() > LONGEST || shannon(value) < rule.entropy {
        return None;
    }
    if is_placeholder(value, allow) || is_reference(value, setting) || says_its_name(value, setting.name) {
        return None;
    }
    if let Some(decoded) = readable_base64(value)
        && is_placeholder(&decoded, allow)
    {
        return None;
    }
    let confidence = match rule.judge {
        Judge::Pattern => rule.meta.confidence,
        Judge::Password => password(value, setting)?.min(rule.meta.confidence),
        Judge::Random => random(value, setting)?.min(rule.meta.confidence),
    };
    checked(rule, value, confidence)
}

fn checked(rule: &CompiledRule, secret: &[u8], confidence: Confidence) -> Option<Verdict> {
    if rule.allow.iter().any(|pattern| pattern.is_match(secret)) {
        return None;
    }
    let mut verdict = Verdict {
        confidence,
        checksum: None,
    };
    for &validator in &rule.validators {
        match validate::check(validator, secret) {
            Outcome::Refused => return None,
            Outcome::Plausible => {}
            Outcome::Proven => {
                verdict = Verdict {
                    confidence: Confidence::High,
                    checksum: Some(true),
                }
            }
            Outcome::Doubtful => {
                verdict = Verdict {
                    confidence: confidence.min(Confidence::Medium),
                    checksum: Some(false),
                }
            }
        }
    }
    Some(verdict)
}

/// `changeme`, `<password>`, `${VAR}`, `xxxx`, `0123456789`: what stands where a secret would be.
pub(crate) fn is_placeholder(value: &[u8], allow: &Allow) -> bool {
    let value = value.trim_ascii();
    if value.is_empty() || is_template(value) || has_mask(value) || has_sequence(value) {
        return true;
    }
    let lower = String::from_utf8_lossy(value).to_ascii_lowercase();
    allow.words.contains(lower.as_str())
        || allow.parts.iter().any(|part| lower.contains(part.as_str()))
        || allow.values.iter().any(|pattern| pattern.is_match(value))
}

/// Whether something else is to be filled in here.
pub(crate) fn is_template(value: &[u8]) -> bool {
    let has = |needle: &[u8]| value.windows(needle.len()).any(|window| window == needle);
    // Long random values hold any two characters by chance.
    let marked = value.len() < 60 && value.iter().any(|b| b"$#{%@<".contains(b));
    let within = |open: &[u8], close: &[u8]| value.starts_with(open) && value.ends_with(close);
    within(b"<", b">")
        || within(b"[", b"]")
        || within(b"{", b"}")
        || within(b"%", b"%")
        || within(b"@", b"@")
        || within(b"__", b"__")
        || within(b"#{", b"#")
        || within(b"*", b"*")
        || marked
            && [&b"${"[..], b"$(", b"{{", b"#{", b"<%", b"%(", b"$[[", b"@{"]
                .iter()
                .any(|mark| has(mark))
        || value[0] == b'$'
            && value.len() > 1
            && value[1..]
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(b))
            && !looks_hashed(value)
        || value[0] == b'%' && value.len() < 4
}

fn looks_hashed(value: &[u8]) -> bool {
    value.iter().filter(|&&b| b == b'$').count() > 1
}

/// Two different characters at most, or a long run of one.
fn has_mask(value: &[u8]) -> bool {
    let mut seen = [false; 256];
    value.iter().for_each(|&byte| seen[byte as usize] = true);
    if value.len() > 3 && seen.iter().filter(|&&seen| seen).count() < 3 {
        return true;
    }
    let mut run = 1;
    value.windows(2).any(|pair| {
        run = if pair[0] == pair[1] { run + 1 } else { 1 };
        // Runs of `A` are zero bytes in base64, runs of `-` are rulers.
        run >= MASK_RUN && !matches!(pair[0], b'=' | b'-' | b'A')
    }) && value.len() < 200
}

fn has_sequence(value: &[u8]) -> bool {
    let (mut up, mut down) = (1, 1);
    value.len() < 200
        && value.windows(2).any(|pair| {
            let wraps = pair == b"90" || pair == b"9a" || pair == b"9A";
            up = if pair[1] == pair[0].wrapping_add(1) || wraps {
                up + 1
            } else {
                1
            };
            down = if pair[0] == pair[1].wrapping_add(1) {
                down + 1
            } else {
                1
            };
            up.max(down) >= SEQUENCE_RUN
        })
}

/// A path, an address, an expression: a pointer to a secret rather than the secret.
fn is_reference(value: &[u8], setting: &Setting<'_>) -> bool {
    let has = |needle: &[u8]| value.windows(needle.len()).any(|window| window == needle);
    let starts = |prefixes: &[&[u8]]| prefixes.iter().any(|prefix| value.starts_with(prefix));
    if has(b"://")
        || starts(&[
            b"./",
            b"../",
            b"~/",
            b"arn:",
            b"projects/",
            b"vault:",
            b"op:",
            b"ENC(",
            b"AQICA",
        ])
    {
        return true;
    }
    if value[0] == b'/' && value.iter().filter(|&&b| b == b'/').count() > 1 && wordiness(value) > 0.4 {
        return true;
    }
    let dotted_file = value.rsplit(|&b| b == b'.').next().is_some_and(|extension| {
        extension.len() < value.len()
            && [
                &b"txt"[..],
                b"pem",
                b"key",
                b"json",
                b"yml",
                b"yaml",
                b"crt",
                b"jks",
                b"env",
                b"html",
                b"php",
                b"py",
                b"js",
            ]
            .contains(&extension)
    });
    let call = !setting.quoted
        && (has(b"(") || has(b"::") || has(b"->") || has(b"[") || starts(&[b"&", b"@", b"|", b">", b"!"]));
    dotted_file || call
}

/// `password: "password"`, `apiKey: "api-key"`, `DB_PASSWORD: "db.password"`.
fn says_its_name(value: &[u8], name: &str) -> bool {
    let value = super::names::snake_case(value);
    value == name
        || !value.is_empty() && name.ends_with(&value)
        || value.ends_with(name) && value.len() < name.len() + 12
}

fn readable_base64(value: &[u8]) -> Option<Vec<u8>> {
    if value.len() < 8 || !value.len().is_multiple_of(4) {
        return None;
    }
    validate::base64(value).filter(|bytes| bytes.iter().all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()))
}

/// Judges what a person might have chosen.
fn password(value: &[u8], setting: &Setting<'_>) -> Option<Confidence> {
    if !is_password_like(value, setting.quoted) {
        return None;
    }
    let letters_only = value.iter().all(u8::is_ascii_alphabetic);
    let digits_only = value.iter().all(u8::is_ascii_digit);
    let words = wordiness(value);
    if setting.form == Form::Loose && (letters_only || digits_only || words > 0.7) {
        return None;
    }
    if digits_only || letters_only && words > 0.5 {
        return Some(Confidence::Low);
    }
    // `user-password-field`, `validation.too_short`: words and separators without a single digit.
    let separators = value.iter().all(|b| b.is_ascii_alphabetic() || b"_-. /:,".contains(b));
    if separators && words > 0.6 {
        return None;
    }
    Some(Confidence::High)
}

fn is_password_like(value: &[u8], quoted: bool) -> bool {
    let spaces = value.iter().any(u8::is_ascii_whitespace);
    let text = value.iter().filter(|&&b| b < 0x20 || b == 0x7f).count() == 0;
    let hashed = [
        &b"$2a$"[..],
        b"$2b$",
        b"$2y$",
        b"$argon2",
        b"pbkdf2",
        b"{bcrypt}",
        b"{SSHA}",
        b"sha1$",
        b"$pbkdf2",
    ]
    .iter()
    .any(|prefix| value.starts_with(prefix));
    value.len() >= SHORTEST_PASSWORD && value.len() <= 128 && !spaces && text && !hashed && (quoted || value.is_ascii())
}

/// Judges what a machine must have made.
fn random(value: &[u8], setting: &Setting<'_>) -> Option<Confidence> {
    let blanks = value.iter().filter(|&&b| b == b' ').count();
    let text = value.iter().all(|&b| b.is_ascii_graphic() || b == b' ');
    // The keys that WordPress and the like generate hold blanks too.
    let generated = setting.quoted && value.len() >= 48 && blanks * 8 < value.len() && wordiness(value) < 0.25;
    if value.len() < SHORTEST_RANDOM || !text || blanks > 0 && !generated {
        return None;
    }
    let alphabet = Alphabet::of(value);
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    let words = if alphabet == Alphabet::Hex {
        0.0
    } else {
        wordiness(value)
    };
    let least = if value.len() < 20 { 0.78 } else { 0.72 };
    if alphabet == Alphabet::Digits || relative(value) < least || words > 0.6 {
        return None;
    }
    if digits == 0 && (words > 0.34 || alphabet != Alphabet::Mixed && alphabet != Alphabet::Other) {
        return None;
    }
    if setting.form == Form::Loose && (digits < 2 || words > 0.4) {
        return None;
    }
    let code = !setting.quoted && setting.kind == Kind::Text && value.iter().any(|b| b"()[]{}<>;".contains(b));
    (!code).then_some(if value.len() >= 16 {
        Confidence::High
    } else {
        Confidence::Medium
    })
}
