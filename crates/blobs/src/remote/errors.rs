//! What a server says, in words that tell the reader what to do.

use object_store::Error as S3Error;
use object_store::client::{HttpError, HttpErrorKind};

use crate::StoreError;

/// What was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Open,
    Read,
    Write,
    List,
    Remove,
}

impl Doing {
    fn words(self) -> &'static str {
        match self {
            Doing::Open => "open",
            Doing::Read => "read from",
            Doing::Write => "write to",
            Doing::List => "list",
            Doing::Remove => "remove from",
        }
    }
}

/// Codes that mean that the key is wrong, or may not do this. Not every request's error is sorted as such before it comes here.
const REFUSALS: [&str; 8] = [
    "AccessDenied",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "Forbidden",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
];

/// Sorts an error by what the reader of the message can do about it.
pub(super) fn explain(name: &str, bucket: &str, doing: Doing, error: &S3Error) -> StoreError {
    let place = name.to_owned();
    let said = chain(error);
    let code = said.iter().find_map(|text| between(text, "<Code>", "</Code>"));
    let is_connection = sources(error).any(|source| {
        let http = source.downcast_ref::<HttpError>();
        http.is_some_and(|http| matches!(http.kind(), HttpErrorKind::Connect | HttpErrorKind::Timeout))
    });
    match (error, code) {
        (_, Some("NoSuchBucket")) => StoreError::NoBucket {
            bucket: bucket.to_owned(),
            place,
        },
        // Some servers say no more than 404 about a bucket that is not there.
        (S3Error::NotFound { .. }, _) if doing == Doing::Open => StoreError::NoBucket {
            bucket: bucket.to_owned(),
            place,
        },
        (S3Error::PermissionDenied { .. } | S3Error::Unauthenticated { .. }, code) => {
            refused(place, doing, code.unwrap_or("no reason given"))
        }
        (_, Some(code)) if REFUSALS.contains(&code) => refused(place, doing, code),
        _ if is_connection => StoreError::Unreachable {
            place,
            reason: said.last().cloned().unwrap_or_default(),
        },
        _ => StoreError::Remote {
            place,
            action: doing.words(),
            reason: reason(error),
        },
    }
}

fn refused(place: String, doing: Doing, reason: &str) -> StoreError {
    StoreError::Refused {
        place,
        action: doing.words(),
        reason: reason.to_owned(),
    }
}

/// The code and message that the server sent, or the innermost error.
pub(super) fn reason(error: &S3Error) -> String {
    let said = chain(error);
    let field = |open, close| said.iter().find_map(|text| between(text, open, close));
    match (field("<Code>", "</Code>"), field("<Message>", "</Message>")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => said.last().cloned().unwrap_or_else(|| error.to_string()),
    }
}

fn sources<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

fn chain(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    sources(error).map(ToString::to_string).collect()
}

fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let rest = &text[text.find(open)? + open.len()..];
    Some(&rest[..rest.find(close)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(body: &str) -> S3Error {
        S3Error::Generic {
            store: "S3",
            source: body.to_owned().into(),
        }
    }

    #[test]
    fn a_bucket_that_is_not_there_is_told_from_other_trouble() {
        let error = answered("404: <Error><Code>NoSuchBucket</Code><Message>none</Message></Error>");
        let text = explain("s3://b", "b", Doing::Write, &error).to_string();
        assert!(text.contains("there is no bucket `b`"), "{text}");
        let error = answered("503: <Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>");
        let text = explain("s3://b", "b", Doing::Write, &error).to_string();
        assert!(
            text.contains("cannot write to s3://b: SlowDown: Reduce your rate"),
            "{text}"
        );
    }

    #[test]
    fn refused_credentials_are_called_that() {
        let error = S3Error::PermissionDenied {
            path: "x".into(),
            source: "403: <Code>InvalidAccessKeyId</Code>".into(),
        };
        let text = explain("s3://b", "b", Doing::Open, &error).to_string();
        assert!(
            text.contains("InvalidAccessKeyId") && text.contains("AWS_ACCESS_KEY_ID"),
            "{text}"
        );
    }
}
