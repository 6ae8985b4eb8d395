//! The format of the rule files (`toolbox/modules/secrets/rules/*.yaml`).

use helve_findings::{Confidence, Severity};
use serde::Deserialize;

/// One rule file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RuleFileSpec {
    /// What rules of this file say when they say nothing themselves.
    pub(crate) defaults: Defaults,
    /// The rules, most specific first: of two assignment rules that fit, the first wins.
    pub(crate) rules: Vec<RuleSpec>,
    /// What is never a secret.
    pub(crate) allow: AllowSpec,
}

/// Fallbacks for the rules of a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Defaults {
    /// What to do about a finding.
    pub(crate) remediation: String,
    /// Labels.
    pub(crate) tags: Vec<String>,
}

/// One rule: a *token* rule has a `regex`, an *assignment* rule has `names`, a third kind names a `structure`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleSpec {
    /// Name without the `secrets/` in front.
    pub(crate) id: String,
    /// Title, in the singular: "Slack bot token".
    pub(crate) name: String,
    /// Severity of its findings.
    pub(crate) severity: Severity,
    /// Confidence of its findings.
    pub(crate) confidence: Confidence,
    /// More than the title says.
    #[serde(default)]
    pub(crate) description: Option<String>,
    /// One of these must stand in the text before anything else is tried.
    #[serde(default)]
    pub(crate) keywords: Vec<String>,
    /// Bytes before and after a keyword in which `regex` is tried.
    #[serde(default)]
    pub(crate) window: Option<(usize, usize)>,
    /// The token; its group `secret`, or else all of it, is the secret.
    #[serde(default)]
    pub(crate) regex: Option<String>,
    /// Assignment rules: the name in `snake_case`, for example `(^|_)db_password$`.
    #[serde(default)]
    pub(crate) names: Option<String>,
    /// Assignment rules: names that are not meant.
    #[serde(default)]
    pub(crate) not_names: Option<String>,
    /// Assignment rules: what the whole value must look like.
    #[serde(default)]
    pub(crate) value: Option<String>,
    /// A structure that neither pattern nor name describes.
    #[serde(default)]
    pub(crate) structure: Option<Structure>,
    /// How the value is judged.
    #[serde(default)]
    pub(crate) judge: Option<Judge>,
    /// Least Shannon entropy of the secret, in bits per character.
    #[serde(default)]
    pub(crate) entropy: Option<f64>,
    /// Least length of the secret.
    #[serde(default)]
    pub(crate) min_length: Option<usize>,
    /// Further checks.
    #[serde(default)]
    pub(crate) validators: Vec<Validator>,
    /// Only in files with such names. A rule without keywords needs this.
    #[serde(default)]
    pub(crate) paths: Vec<String>,
    /// Secrets that are known to be harmless.
    #[serde(default)]
    pub(crate) allow: Vec<String>,
    /// Token rules: what may not follow the secret, anchored with `^`.
    #[serde(default)]
    pub(crate) not_after: Option<String>,
    /// What to do about a finding, if the file's default does not fit.
    #[serde(default)]
    pub(crate) remediation: Option<String>,
    /// Web addresses to read more.
    #[serde(default)]
    pub(crate) references: Vec<String>,
    /// Labels besides the file's.
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    /// What the tests run.
    #[serde(default)]
    #[allow(dead_code, reason = "read by the tests that run every rule's examples")]
    pub(crate) examples: Examples,
}

/// Texts that a rule must find or leave alone. A middle dot is dropped before use: it keeps made-up tokens from
/// alarming the scanners that watch this repository.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(dead_code, reason = "read by the tests that run every rule's examples")]
pub(crate) struct Examples {
    /// Must be found by this rule.
    pub(crate) positive: Vec<Example>,
    /// Must not be found by this rule.
    pub(crate) negative: Vec<Example>,
}

/// A text, perhaps in a file of a certain name.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
#[allow(dead_code, reason = "read by the tests that run every rule's examples")]
pub(crate) enum Example {
    /// In a file of no special kind.
    Text(String),
    /// In a file of this name.
    File {
        /// Relative path.
        path: String,
        /// Content.
        text: String,
    },
}

/// Structures that are read by code of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Structure {
    /// The entries of a Kubernetes `Secret` in YAML.
    KubernetesSecret,
}

/// How a value is told from a placeholder, a word or an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Judge {
    /// Only placeholders are refused: the pattern says enough.
    Pattern,
    /// Something a person might have chosen as a password.
    Password,
    /// Something a machine has made.
    Random,
}

/// Checks beyond the pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Validator {
    /// The last six characters are the base62 CRC-32 of what follows the prefix. A wrong sum lowers the confidence.
    Crc32Base62,
    /// Three base64 parts, the first of which is a JSON object with `alg`.
    Jwt,
    /// Base64 of `user:password`.
    BasicCredentials,
    /// A PEM block with a plausible body.
    PrivateKey,
    /// Base64 that decodes to bytes that do not read as text.
    BinaryBase64,
    /// Letters and digits both occur.
    LettersAndDigits,
    /// Upper case, lower case and digits all occur.
    MixedCase,
}

/// What is never a secret.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AllowSpec {
    /// Whole values, compared without case.
    pub(crate) words: Vec<String>,
    /// Parts of values, compared without case.
    pub(crate) parts: Vec<String>,
    /// Patterns that the whole value must fit.
    pub(crate) values: Vec<String>,
    /// Files in which assignment rules do not look: lock files and the like.
    pub(crate) generated_files: Vec<String>,
}
