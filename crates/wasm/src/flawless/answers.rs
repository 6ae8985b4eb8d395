//! Answers of a run's world as a module reads them.

use super::abi::{Error, ErrorKind, Number, Output, Request, Response, TransportError};
use super::guest::Secrets;
use crate::http::{HttpAnswer, HttpCall, HttpEnd, HttpFailureKind};

/// The number of a draw, of the type that the module asked for. Fractions are at least 0 and less than 1.
pub(super) fn number(kind: Number, drawn: u64) -> Number {
    match kind {
        Number::Bool(_) => Number::Bool(drawn & 1 == 1),
        Number::I32(_) => Number::I32(drawn as i32),
        Number::I64(_) => Number::I64(drawn as i64),
        Number::F32(_) => Number::F32((drawn >> 40) as f32 / (1_u64 << 24) as f32),
        Number::F64(_) => Number::F64((drawn >> 11) as f64 / (1_u64 << 53) as f64),
    }
}

/// The number of a run that was started, which modules only keep.
pub(super) fn run_number(id: &str) -> Number {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&blake3::hash(id.as_bytes()).as_bytes()[..8]);
    Number::I64(i64::from_le_bytes(bytes))
}

pub(super) fn http_call(request: Request, secrets: &Secrets) -> HttpCall {
    HttpCall {
        method: request.method,
        url: request.url,
        headers: request.headers,
        body: request.body,
        timeout_ms: u64::try_from(request.config.timeout.as_millis()).unwrap_or(u64::MAX),
        body_limit: request.config.response_body_limit,
        idempotent: request.config.idempotent,
        secrets: secrets.by_stand_in(),
    }
}

/// A status of 400 and more is an error for a module.
pub(super) fn http_response(end: HttpEnd) -> Output {
    Output::HttpResponse(match end {
        HttpEnd::Answered(answer) if answer.status >= 400 => Err(Error::Status(answer.status, response(answer))),
        HttpEnd::Answered(answer) => Ok(response(answer)),
        HttpEnd::Failed(failure) => Err(Error::Transport(TransportError {
            kind: error_kind(failure.kind),
            message: Some(failure.message),
            url: failure.url,
        })),
    })
}

fn response(answer: HttpAnswer) -> Response {
    Response {
        status_code: answer.status,
        url: answer.url,
        headers: answer.headers,
        body: answer.body,
    }
}

fn error_kind(kind: HttpFailureKind) -> ErrorKind {
    match kind {
        HttpFailureKind::InvalidUrl => ErrorKind::InvalidUrl,
        HttpFailureKind::UnknownScheme => ErrorKind::UnknownScheme,
        HttpFailureKind::Dns => ErrorKind::Dns,
        HttpFailureKind::ConnectionFailed => ErrorKind::ConnectionFailed,
        HttpFailureKind::TooManyRedirects => ErrorKind::TooManyRedirects,
        HttpFailureKind::BadStatus => ErrorKind::BadStatus,
        HttpFailureKind::BadHeader => ErrorKind::BadHeader,
        HttpFailureKind::Interrupted => ErrorKind::RequestInterrupted,
        HttpFailureKind::Io => ErrorKind::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_stay_below_one() {
        let Number::F32(single) = number(Number::F32(0.0), u64::MAX) else {
            panic!()
        };
        let Number::F64(double) = number(Number::F64(0.0), u64::MAX) else {
            panic!()
        };
        assert!(single < 1.0 && single > 0.999);
        assert!(double < 1.0 && double > 0.999_999);
        assert!(matches!(number(Number::F64(0.0), 0), Number::F64(zero) if zero == 0.0));
    }
}
