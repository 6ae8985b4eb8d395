//! Secrets of requests: put in just before they are sent, and taken out of what comes back.

use std::env;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use helve_runtime::http::{HttpAnswer, HttpCall, HttpEnd, HttpFailure, HttpFailureKind};

use crate::StepError;

const BASIC: &str = "Basic ";

/// The secrets of one request.
#[derive(Default)]
pub(super) struct Secrets {
    known: Vec<Secret>,
    /// Names and passwords in Base64 that are sent, with what the workflow has instead.
    encoded: Vec<(String, String)>,
}

struct Secret {
    /// What the workflow has instead.
    stand_in: String,
    value: String,
    /// As it is in an address.
    escaped: String,
}

/// A secret's value, if this worker gives it to workflows. None if the environment has none.
pub(super) fn read(allowed: &[String], name: &str) -> Result<Option<String>, StepError> {
    if !allowed.iter().any(|allowed| allowed == name) {
        return Err(StepError::NotAllowed(format!(
            "the secret `{name}` is not for workflows on this worker; `--allow-secret {name}` allows it"
        )));
    }
    Ok(env::var(name).ok().filter(|value| !value.is_empty()))
}

impl Secrets {
    pub(super) fn of(allowed: &[String], call: &HttpCall) -> Result<Self, StepError> {
        let mut known = Vec::new();
        for (stand_in, name) in &call.secrets {
            let value = read(allowed, name)?;
            let value = value.ok_or_else(|| {
                // Another worker said that there is one.
                StepError::NotAllowed(format!("the environment of this worker has no secret `{name}`"))
            })?;
            known.push(Secret {
                stand_in: stand_in.clone(),
                escaped: escaped(&value),
                value,
            });
        }
        let mut secrets = Self {
            known,
            encoded: Vec::new(),
        };
        for (_, value) in &call.headers {
            if let (Some(before), (sent, true)) = (value.strip_prefix(BASIC), secrets.put_in_header(value)) {
                let sent = sent.trim_start_matches(BASIC).to_owned();
                secrets.encoded.push((sent, before.to_owned()));
            }
        }
        Ok(secrets)
    }

    /// What must not come back, and what the workflow has instead.
    fn hidden_forms(&self) -> impl Iterator<Item = (&str, &str)> {
        let values = self.known.iter().flat_map(|secret| {
            let forms = [&secret.value, &secret.escaped];
            forms.map(|form| (form.as_str(), secret.stand_in.as_str()))
        });
        values.chain(
            self.encoded
                .iter()
                .map(|(sent, before)| (sent.as_str(), before.as_str())),
        )
    }

    /// The text with secrets instead of stand-ins, and whether there were any.
    pub(super) fn put_in(&self, text: &str) -> (String, bool) {
        let mut text = text.to_owned();
        let mut any = false;
        for secret in &self.known {
            if text.contains(&secret.stand_in) {
                text = text.replace(&secret.stand_in, &secret.value);
                any = true;
            }
        }
        (text, any)
    }

    /// The same in a URL, where a value must not be taken for syntax.
    pub(super) fn put_in_url(&self, text: &str) -> (String, bool) {
        let mut text = text.to_owned();
        let mut any = false;
        for secret in &self.known {
            if text.contains(&secret.stand_in) {
                text = text.replace(&secret.stand_in, &secret.escaped);
                any = true;
            }
        }
        (text, any)
    }

    /// The same in the value of a header, where a name and a password are in Base64.
    pub(super) fn put_in_header(&self, text: &str) -> (String, bool) {
        let credentials = text
            .strip_prefix(BASIC)
            .and_then(|encoded| BASE64_STANDARD.decode(encoded.trim()).ok())
            .and_then(|decoded| String::from_utf8(decoded).ok());
        match credentials.map(|credentials| self.put_in(&credentials)) {
            Some((credentials, true)) => (format!("{BASIC}{}", BASE64_STANDARD.encode(credentials)), true),
            _ => self.put_in(text),
        }
    }

    pub(super) fn put_in_bytes(&self, bytes: Vec<u8>) -> (Vec<u8>, bool) {
        let mut bytes = bytes;
        let mut any = false;
        for secret in &self.known {
            if let Some(replaced) = replaced(&bytes, secret.stand_in.as_bytes(), secret.value.as_bytes()) {
                bytes = replaced;
                any = true;
            }
        }
        (bytes, any)
    }

    /// What came back, without secrets, and with no more of the body than was wanted: servers say again what they were
    /// told, and the end of a body must not be the beginning of a secret.
    pub(super) fn hide(&self, end: HttpEnd, body_limit: u64) -> HttpEnd {
        match end {
            HttpEnd::Answered(answer) => {
                let mut body = BASE64_STANDARD.decode(&answer.body).unwrap_or_default();
                for (hidden, shown) in self.hidden_forms() {
                    body = replaced(&body, hidden.as_bytes(), shown.as_bytes()).unwrap_or(body);
                }
                body.truncate(usize::try_from(body_limit).unwrap_or(usize::MAX));
                let headers = answer.headers.into_iter();
                HttpEnd::Answered(HttpAnswer {
                    status: answer.status,
                    url: self.hidden(&answer.url),
                    headers: headers.map(|(name, value)| (name, self.hidden(&value))).collect(),
                    body: BASE64_STANDARD.encode(body),
                })
            }
            HttpEnd::Failed(HttpFailure { kind, message, url }) => HttpEnd::Failed(HttpFailure {
                kind,
                message: self.hidden(&message),
                url: url.map(|url| self.hidden(&url)),
            }),
        }
    }

    fn hidden(&self, text: &str) -> String {
        self.hidden_forms()
            .fold(text.to_owned(), |text, (hidden, shown)| text.replace(hidden, shown))
    }
}

/// Percent-encoded, but for what means nothing in any part of a URL.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(char::from(byte)),
            other => escaped.push_str(&format!("%{other:02X}")),
        }
    }
    escaped
}

/// None if there is nothing to replace.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    let mut rest = bytes;
    let mut out = Vec::new();
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    if rest.len() == bytes.len() {
        return None;
    }
    out.extend_from_slice(rest);
    Some(out)
}

pub(super) fn bad_body(url: &str) -> HttpFailure {
    HttpFailure {
        kind: HttpFailureKind::Io,
        message: "the body of the request is not Base64".to_owned(),
        url: Some(url.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAND_IN: &str = "helve-secret-0123";

    fn secrets() -> Secrets {
        Secrets {
            known: vec![Secret {
                stand_in: STAND_IN.to_owned(),
                value: "s3cr3t/&x".to_owned(),
                escaped: escaped("s3cr3t/&x"),
            }],
            encoded: Vec::new(),
        }
    }

    #[test]
    fn a_password_in_base64_is_put_in_too() {
        let header = format!("Basic {}", BASE64_STANDARD.encode(format!("ann:{STAND_IN}")));
        let (put, any) = secrets().put_in_header(&header);
        assert!(any);
        assert_eq!(put, format!("Basic {}", BASE64_STANDARD.encode("ann:s3cr3t/&x")));
        assert_eq!(
            secrets().put_in_header(&format!("Bearer {STAND_IN}")).0,
            "Bearer s3cr3t/&x"
        );
        assert!(!secrets().put_in_header("Basic YTpi").1);
    }

    #[test]
    fn a_secret_in_an_address_is_no_syntax() {
        assert_eq!(
            secrets().put_in_url(&format!("http://h/?k={STAND_IN}")).0,
            "http://h/?k=s3cr3t%2F%26x"
        );
    }

    #[test]
    fn what_a_server_says_again_is_hidden_everywhere_and_the_end_of_a_body_is_none_of_a_secret() {
        let answer = HttpAnswer {
            status: 200,
            url: "http://h/?k=s3cr3t%2F%26x".to_owned(),
            headers: vec![("echo".to_owned(), "you said s3cr3t/&x".to_owned())],
            body: BASE64_STANDARD.encode("abc s3cr3t/&x"),
        };
        let HttpEnd::Answered(answer) = secrets().hide(HttpEnd::Answered(answer), 8) else {
            panic!()
        };
        assert_eq!(answer.url, format!("http://h/?k={STAND_IN}"));
        assert_eq!(answer.headers[0].1, format!("you said {STAND_IN}"));
        assert_eq!(BASE64_STANDARD.decode(answer.body).unwrap(), b"abc helv");
    }

    #[test]
    fn only_names_that_the_worker_was_told_are_secrets() {
        let error = read(&["A".to_owned()], "PATH").unwrap_err();
        assert!(error.to_string().contains("--allow-secret PATH"), "{error}");
        assert!(!error.is_retryable());
        assert!(read(&["PATH".to_owned()], "PATH").unwrap().is_some());
        assert_eq!(read(&["HELVE_NO_SUCH".to_owned()], "HELVE_NO_SUCH").unwrap(), None);
    }
}
