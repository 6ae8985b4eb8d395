//! What a module says and is told: the JSON of `flawless-wasabi` 1.0.0-beta.3.
//!
//! These are types of our own because the host needs half of theirs, and a shipped program should not depend on a beta
//! for that. The tests run modules built with the real crate.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
#[expect(clippy::enum_variant_names, reason = "the names are those of the module's JSON")]
pub(super) enum Input {
    GetInput,
    Log(Level),
    SendResponse(String),
    Random(Number),
    Sleep(Duration),
    #[serde(rename = "HTTPRequest")]
    HttpRequest(Request),
    GetSecret(String),
    TimeNow,
    RecvMessage(Option<Duration>, Vec<String>),
    StartWorkflow(String, String),
    ReplayDebug(String),
}

#[derive(Debug, Serialize)]
pub(super) enum Output {
    Unit,
    Value(Number),
    String(String),
    ResponseSent(bool),
    #[serde(rename = "HTTPResponse")]
    HttpResponse(Result<Response, Error>),
    Time(SystemTime),
    Message(String, String),
    Timeout,
    Secret(Option<String>),
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Number {
    Bool(bool),
    I32(i32),
    I64(i64),
    F32(f32),
    F64(f64),
}

#[derive(Debug, Deserialize)]
pub(super) enum Level {
    Info(String),
    Warn(String),
    Error(String),
    Debug(String),
    Trace(String),
}

#[derive(Debug, Deserialize)]
pub(super) struct Request {
    pub(super) config: RequestConfig,
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct RequestConfig {
    pub(super) idempotent: bool,
    pub(super) timeout: Duration,
    pub(super) response_body_limit: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Response {
    pub(super) status_code: u16,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

#[derive(Debug, Serialize)]
pub(super) enum Error {
    Status(u16, Response),
    Transport(TransportError),
}

#[derive(Debug, Serialize)]
pub(super) struct TransportError {
    pub(super) kind: ErrorKind,
    pub(super) message: Option<String>,
    pub(super) url: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) enum ErrorKind {
    InvalidUrl,
    UnknownScheme,
    Dns,
    ConnectionFailed,
    TooManyRedirects,
    BadStatus,
    BadHeader,
    RequestInterrupted,
    Io,
}
