//! What can go wrong, in the words of the server where it said some.

use serde::Deserialize;

/// Why a request has no answer, or not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address of a server makes no sense, or a token must not go there.
    #[error("{0}")]
    Address(String),
    /// The certificates or the token that were given cannot be used.
    #[error("{0}")]
    Setup(String),
    /// It did not answer.
    #[error("the server at {server} cannot be reached: {reason}")]
    Unreachable {
        /// Whether nobody listens there.
        is_absent: bool,
        /// Its address.
        server: String,
        /// Why, for people.
        reason: String,
    },
    /// It answered that it will not.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// It answered what this version does not understand.
    #[error("the server at {server} answered what this helve does not understand: {reason}")]
    Strange {
        /// Its address.
        server: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What was to be sent cannot be read, or what came cannot be kept.
    #[error("{what}: {source}")]
    Local {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    /// The status of the refusal, if it is one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(refusal) => Some(refusal.status),
            _ => None,
        }
    }

    /// Whether the server says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// A word for programs.
    pub fn code(&self) -> &str {
        match self {
            Self::Address(_) => "address",
            Self::Setup(_) => "setup",
            Self::Unreachable { .. } => "unreachable",
            Self::Refused(refusal) => &refusal.code,
            Self::Strange { .. } => "not-understood",
            Self::Local { .. } => "local",
        }
    }
}

/// A problem as the server says it.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The kind: `not-found`, `forbidden`.
    pub code: String,
    /// What happened, to what, and what to do.
    pub detail: String,
    /// What is wrong with which field.
    pub errors: Vec<FieldError>,
    /// When it may be tried again, in seconds.
    pub retry_after: Option<u64>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

/// What is wrong with a field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FieldError {
    /// The field, or the place within it.
    pub field: String,
    /// What is wrong; reads on after the field's name.
    pub message: String,
}

/// The body of a refusal.
#[derive(Debug, Deserialize)]
struct Body {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    errors: Vec<FieldError>,
}

impl Refusal {
    /// From an answer that is none; whatever stands between may have made it.
    pub(crate) fn read(status: u16, retry_after: Option<u64>, body: &[u8]) -> Self {
        let body = serde_json::from_slice::<Body>(body).ok();
        let code = body
            .as_ref()
            .map(|body| body.kind.rsplit(':').next().unwrap_or_default());
        let code = code.filter(|code| !code.is_empty()).unwrap_or("refused").to_owned();
        let (detail, errors) = body.map(|body| (body.detail, body.errors)).unwrap_or_default();
        let detail = match detail.is_empty() {
            true => format!("the server answered with status {status}"),
            false => detail,
        };
        Self {
            status,
            code,
            detail,
            errors,
            retry_after,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_the_words_of_the_server() {
        let body = br#"{"type": "urn:helve:problem:invalid", "title": "A value is wrong", "status": 422,
            "detail": "the parameters do not fit", "errors": [{"field": "parameters.x", "message": "is required"}]}"#;
        let refusal = Refusal::read(422, None, body);
        assert_eq!(
            (refusal.code.as_str(), refusal.detail.as_str()),
            ("invalid", "the parameters do not fit")
        );
        assert_eq!(refusal.errors[0].field, "parameters.x");
    }

    #[test]
    fn what_a_proxy_says_is_still_a_refusal() {
        let refusal = Refusal::read(502, Some(3), b"<html>Bad gateway</html>");
        assert_eq!((refusal.code.as_str(), refusal.retry_after), ("refused", Some(3)));
        assert_eq!(refusal.detail, "the server answered with status 502");
    }
}
