//! HTTP requests of guests: what they ask for, and what comes back. Both travel in the history, as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A request. Nothing in it is secret: a guest has stand-ins for secrets, and the worker that sends the request knows
/// what they stand for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpCall {
    /// `GET`, `POST`, ...
    pub method: String,
    /// Absolute.
    pub url: String,
    /// Names and values, in the order in which they are sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Base64.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// Longest time from the request to the end of the answer. The worker may have a shorter one.
    pub timeout_ms: u64,
    /// A longer body of the answer is cut off here. The worker may have a shorter limit; beyond that, it is an error.
    pub body_limit: u64,
    /// Whether the request may be sent again when nobody knows whether it arrived.
    #[serde(default)]
    pub idempotent: bool,
    /// The names of the secrets, by what stands for them in the URL, the headers and the body.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum HttpEnd {
    /// With an answer, whatever its status.
    Answered(HttpAnswer),
    /// Without one.
    Failed(HttpFailure),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpAnswer {
    /// 200, 404, ...
    pub status: u16,
    /// Where it came from, after all redirections.
    pub url: String,
    /// Names in lower case. Values that are not text are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Base64.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpFailure {
    /// In one word.
    pub kind: HttpFailureKind,
    /// For people.
    pub message: String,
    /// The address that failed, which may be one of a redirection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// Why there is no answer, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HttpFailureKind {
    /// The address is none.
    InvalidUrl,
    /// Its scheme is neither `http` nor `https`.
    UnknownScheme,
    /// Its host is not known.
    Dns,
    /// There was no connection.
    ConnectionFailed,
    /// One redirection led to another, too often.
    TooManyRedirects,
    /// What came was not HTTP.
    BadStatus,
    /// A header that cannot be one.
    BadHeader,
    /// It was under way when its worker was lost. The server may have seen it.
    Interrupted,
    /// It took too long, or the connection broke, or the answer is too long for a history.
    Io,
}
