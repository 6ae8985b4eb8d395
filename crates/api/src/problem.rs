//! Errors as the API answers them: RFC 9457, `application/problem+json`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use helve_ledger::{Denied, Refused, TooOften};
use helve_toolbox::{NotFound, ParameterError, PinError};
use serde::Serialize;
use temporalio_client::tonic::{Code, Status};
use utoipa::ToSchema;

/// What handlers return.
pub(crate) type Result<T, E = Problem> = std::result::Result<T, E>;

/// What went wrong, for machines (`type`, `status`) and for people (`title`, `detail`).
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// The kind of problem: `urn:helve:problem:` and a word that never changes.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The kind of problem, for people.
    pub(crate) title: &'static str,
    /// The HTTP status.
    pub(crate) status: u16,
    /// What happened, to what, and what to do.
    pub(crate) detail: String,
    /// What is wrong with which field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<FieldError>,
    /// When it may be tried again, in seconds.
    #[serde(skip)]
    pub(crate) retry_after: Option<u64>,
}

/// What is wrong with a field of the request.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// The field, or the place within it: `parameters.scanner.max_size`.
    pub(crate) field: String,
    /// What is wrong; reads on after the field's name.
    pub(crate) message: String,
}

impl Problem {
    fn new(status: StatusCode, word: &str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:helve:problem:{word}"),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
        }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad-request",
            "The request makes no sense",
            detail,
        )
    }

    pub(crate) fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "A token is needed", detail)
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed", detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing", detail)
    }

    pub(crate) fn no_namespace(namespace: &str) -> Self {
        Self::not_found(format!(
            "there is no namespace `{}`, or this token has no access to it",
            shown(namespace)
        ))
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "This method is not for this address",
            "the header `Allow` names the methods that are",
        )
    }

    pub(crate) fn timeout(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            "The request came too slowly",
            detail,
        )
    }

    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "conflict",
            "This is at odds with what there is",
            detail,
        )
    }

    pub(crate) fn precondition_failed(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "precondition-failed",
            "It was changed meanwhile",
            detail,
        )
    }

    pub(crate) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "The body is too large",
            detail,
        )
    }

    pub(crate) fn unsupported_media_type(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "The body is of a type that is not read here",
            detail,
        )
    }

    pub(crate) fn misdirected(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::MISDIRECTED_REQUEST,
            "misdirected",
            "The request was meant for another host",
            detail,
        )
    }

    pub(crate) fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "A value is wrong", detail)
    }

    pub(crate) fn too_many(detail: impl Into<String>, retry_after: u64) -> Self {
        let mut problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many", "Too many at once", detail);
        problem.retry_after = Some(retry_after);
        problem
    }

    pub(crate) fn no_room(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "no-room",
            "There is no room for it",
            detail,
        )
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        let mut problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "Not able to do it now",
            detail,
        );
        problem.retry_after = Some(1);
        problem
    }

    /// A defect, or a disk that fails: the log has it in full, the answer does not.
    pub(crate) fn internal(what: &str, error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, what, "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something failed on the server",
            format!("{what}; the server's log says more"),
        )
    }

    pub(crate) fn with_errors(mut self, errors: impl IntoIterator<Item = FieldError>) -> Self {
        self.errors.extend(errors);
        self
    }
}

/// A text of the request, as a message may repeat it.
pub(crate) fn shown(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .take(200)
        .collect()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).expect("a problem is plain data");
        let mut response = (status, body).into_response();
        // For pages, which say it in their own way.
        response.extensions_mut().insert(self.clone());
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        Self::unauthenticated(refused.to_string())
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match &denied {
            // Who has no access to a namespace need not learn that there is one.
            Denied::Namespace { namespace, .. } => Self::no_namespace(namespace),
            _ => Self::forbidden(denied.to_string()),
        }
    }
}

impl From<TooOften> for Problem {
    fn from(error: TooOften) -> Self {
        Self::too_many(error.to_string(), error.wait.as_secs().saturating_add(1))
    }
}

impl From<helve_ledger::Error> for Problem {
    fn from(error: helve_ledger::Error) -> Self {
        use helve_ledger::Error;
        match &error {
            Error::NotFound { .. } => Self::not_found(error.to_string()),
            Error::Invalid(_) => Self::unprocessable(error.to_string()),
            Error::Changed { .. } => Self::precondition_failed(error.to_string()),
            Error::Exists { .. } => Self::conflict(error.to_string()),
            Error::Denied(denied) => denied.clone().into(),
            Error::Refused(refused) => (*refused).into(),
            Error::Limit(_) => Self::too_many(error.to_string(), 60),
            error if error.is_of_a_lost_lead() => Self::unavailable(error.to_string()),
            Error::Open(_) | Error::Write(_) | Error::Read(_) => Self::internal("the ledger did not answer", &error),
        }
    }
}

impl From<helve_runs::Error> for Problem {
    fn from(error: helve_runs::Error) -> Self {
        use helve_runs::Error;
        match error {
            Error::NoRun(_) | Error::NoArtifact { .. } | Error::NoTarget(_) => Self::not_found(error.to_string()),
            Error::NotEnded(_) => Self::conflict(format!("{error}: follow its events, and ask again when it has")),
            Error::SeveralArtifacts { .. } => Self::conflict(format!("{error}: say which one with `step`")),
            Error::SeveralTargets(_) | Error::ShortTarget(_) => {
                Self::unprocessable(format!("{error}: give all of its id"))
            }
            Error::Engine { what, status } => engine(&what, &status),
            other => Self::internal("what a run left cannot be read", other),
        }
    }
}

impl From<NotFound> for Problem {
    fn from(error: NotFound) -> Self {
        Self::not_found(error.to_string())
    }
}

impl From<PinError> for Problem {
    fn from(error: PinError) -> Self {
        match error {
            PinError::NotFound(error) => error.into(),
            PinError::Parameters { workflow, errors } => {
                Self::unprocessable(format!("the parameters do not fit workflow `{workflow}`"))
                    .with_errors(errors.into_iter().map(FieldError::parameter))
            }
        }
    }
}

impl FieldError {
    fn parameter(error: ParameterError) -> Self {
        Self {
            field: format!("parameters.{}", error.field),
            message: error.message,
        }
    }
}

/// The engine refused, or is not there.
pub(crate) fn engine(what: &str, status: &Status) -> Problem {
    let detail = format!("{what}: {}", status.message());
    match status.code() {
        Code::NotFound => Problem::not_found(detail),
        Code::InvalidArgument | Code::OutOfRange => Problem::unprocessable(detail),
        Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => Problem::conflict(detail),
        Code::ResourceExhausted => Problem::too_many(detail, 1),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => {
            Problem::unavailable(format!("{what}: the engine does not answer now; nothing is lost"))
        }
        Code::Unimplemented => Problem::unavailable(format!("{what}: this engine cannot do it")),
        _ => Problem::internal(what, status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_namespace_looks_like_none() {
        let denied = Denied::Namespace {
            who: "ci".into(),
            namespace: "team-b".into(),
        };
        assert_eq!(Problem::from(denied), Problem::no_namespace("team-b"));
    }

    #[test]
    fn what_a_problem_repeats_has_no_control_characters() {
        let problem = Problem::no_namespace("a\u{1b}[31m\nb");
        assert!(!problem.detail.contains(['\u{1b}', '\n']), "{}", problem.detail);
    }
}
