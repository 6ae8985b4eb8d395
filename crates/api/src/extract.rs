//! What requests bring: queries, paths and JSON, each refused as a problem when it is wrong.

use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::problem::{Problem, Result};
use crate::state::Api;

/// `?a=b`.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Api> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self> {
        match axum::extract::Query::from_request_parts(parts, api).await {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(QueryRejection::FailedToDeserializeQueryString(error)) => Err(Problem::bad_request(format!(
                "the query cannot be read: {}",
                error.body_text()
            ))),
            Err(error) => Err(Problem::bad_request(error.body_text())),
        }
    }
}

/// The variable parts of the path.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Api> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self> {
        match axum::extract::Path::from_request_parts(parts, api).await {
            Ok(axum::extract::Path(path)) => Ok(Self(path)),
            Err(PathRejection::MissingPathParams(error)) => Err(Problem::internal("a route has no such part", error)),
            Err(error) => Err(Problem::not_found(format!(
                "the address cannot be read: {}",
                error.body_text()
            ))),
        }
    }
}

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Api> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self> {
        Self::check(&request)?;
        let bytes = read(request.into_body(), api.limits.json_bytes, api.limits.body_idle).await?;
        parse(&bytes).map(Self)
    }
}

impl<T> Json<T> {
    /// Refuses a body that does not say that it is JSON.
    pub(crate) fn check(request: &Request) -> Result<()> {
        match is_json(request.headers()) {
            true => Ok(()),
            false => Err(Problem::unsupported_media_type(
                "send JSON, with `Content-Type: application/json`",
            )),
        }
    }
}

/// JSON of that shape.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Problem::unprocessable(format!("the body does not fit: {error}")),
        _ => Problem::bad_request(format!("the body is no JSON: {error}")),
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = text.map(|text| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    kind.is_some_and(|kind| kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json")))
}

/// All of a body that must be small and must not take long.
pub(crate) async fn read(body: Body, limit: usize, idle: Duration) -> Result<Bytes> {
    let reading = async {
        let mut body = body;
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Problem::bad_request(format!("the body broke off: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > limit {
                return Err(Problem::too_large(format!("a body may have {limit} bytes at most")));
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes.freeze())
    };
    // Small, so all of it must come in the time that a part of an upload has.
    tokio::time::timeout(idle, reading).await.unwrap_or_else(|_| {
        Err(Problem::timeout(format!(
            "the body was not there after {} s",
            idle.as_secs()
        )))
    })
}

/// JSON that is true at this moment only.
pub(crate) struct Reply<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => Problem::internal("the answer cannot be written", error).into_response(),
        }
    }
}

/// JSON with an entity tag; not sent again to who has it.
pub(crate) fn tagged<T: Serialize>(headers: &HeaderMap, value: &T) -> Result<Response> {
    let body = serde_json::to_vec(value).map_err(|error| Problem::internal("the answer cannot be written", error))?;
    let tag = tag_of(&body);
    let unchanged = is_match(headers, header::IF_NONE_MATCH, &tag);
    let mut response = match unchanged {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
    };
    let tag = HeaderValue::from_str(&tag).expect("a tag is ASCII");
    response.headers_mut().insert(header::ETAG, tag);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

/// The entity tag that an answer with this value has.
pub(crate) fn tag<T: Serialize>(value: &T) -> Result<String> {
    let body = serde_json::to_vec(value).map_err(|error| Problem::internal("the answer cannot be written", error))?;
    Ok(tag_of(&body))
}

fn tag_of(body: &[u8]) -> String {
    format!("\"{}\"", &blake3::hash(body).to_hex()[..32])
}

/// Whether a condition of the request names the tag.
pub(crate) fn is_match(headers: &HeaderMap, name: header::HeaderName, tag: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|part| part.trim().trim_start_matches("W/"))
        .any(|part| part == tag || part == "*")
}

/// JSON that a request has made, with its address.
pub(crate) fn created<T: Serialize>(location: &str, value: &T) -> Result<Response> {
    let body = serde_json::to_vec(value).map_err(|error| Problem::internal("the answer cannot be written", error))?;
    let mut response = (StatusCode::CREATED, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// The header `Idempotency-Key`, if there is one.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .ok()
        .map(str::trim)
        .filter(|key| !key.is_empty() && key.len() <= 255);
    key.map(Some)
        .ok_or_else(|| Problem::bad_request("an Idempotency-Key is a text of 1 to 255 ASCII characters"))
}

/// A part of a path as a client must write it.
pub(crate) fn encoded(part: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    part.bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}
