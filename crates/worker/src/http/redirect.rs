//! Where an answer sends its request.

use helve_runtime::http::{HttpFailure, HttpFailureKind};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, PROXY_AUTHORIZATION};
use hyper::{Method, StatusCode};

use super::exchange::{Answer, Request, check};
use super::failure;

/// What to do with an answer.
pub(super) enum Next {
    /// It is the answer.
    Answer,
    /// Ask there.
    Request(Box<Request>),
}

pub(super) fn next(request: &Request, answer: &Answer) -> Result<Next, HttpFailure> {
    let forgets_body = match answer.status {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => true,
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => false,
        _ => return Ok(Next::Answer),
    };
    let Some(location) = answer.headers.get(LOCATION) else {
        return Ok(Next::Answer);
    };
    let location = location
        .to_str()
        .ok()
        .and_then(|location| request.url.join(location).ok());
    let url = location.ok_or_else(|| {
        let message = "it was redirected to what is no address".to_owned();
        failure(HttpFailureKind::InvalidUrl, message, &request.url)
    })?;
    check(&url)?;
    let is_elsewhere = url.origin() != request.url.origin();
    if is_elsewhere && !forgets_body && request.secret_body {
        let message = "it was redirected to another host with a secret in its body".to_owned();
        return Err(failure(HttpFailureKind::ConnectionFailed, message, &url));
    }
    let mut headers = request.headers.clone();
    let mut secret_headers = request.secret_headers.clone();
    if is_elsewhere {
        // What was meant for one host is not told to another.
        for name in secret_headers
            .drain(..)
            .chain([AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION])
        {
            headers.remove(name);
        }
    }
    let keeps_method = !forgets_body || matches!(request.method, Method::GET | Method::HEAD);
    let (method, body, secret_body) = if keeps_method {
        (request.method.clone(), request.body.clone(), request.secret_body)
    } else {
        headers.remove(CONTENT_TYPE);
        (Method::GET, Default::default(), false)
    };
    Ok(Next::Request(Box::new(Request {
        method,
        url,
        headers,
        body,
        secret_headers,
        secret_body,
    })))
}
