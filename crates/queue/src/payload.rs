//! What jobs carry: any JSON, or bytes.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use temporalio_protos::temporal::api::common::v1::{Payload, Payloads};
use utoipa::ToSchema;

use crate::error::{Error, Result};

/// Bytes of an input, an output or the details of a heartbeat.
pub const MAX_CONTENT: usize = 256 * 1024;

const ENCODING: &str = "encoding";
const JSON: &[u8] = b"json/plain";
const BINARY: &[u8] = b"binary/plain";

/// JSON, or bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum Content {
    /// Bytes in base64.
    Bytes {
        /// The bytes.
        base64: String,
    },
    /// Any JSON.
    Json(Value),
}

impl Default for Content {
    fn default() -> Self {
        Self::Json(Value::Null)
    }
}

impl Content {
    /// Bytes as they are.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self::Bytes {
            base64: STANDARD.encode(bytes),
        }
    }

    /// JSON if the bytes are that, otherwise the bytes.
    pub fn guess(bytes: &[u8]) -> Self {
        match serde_json::from_slice(bytes) {
            Ok(value) => Self::Json(value),
            Err(_) => Self::of_bytes(bytes),
        }
    }

    /// What a program reads: JSON as text, bytes as they are.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Json(value) => serde_json::to_vec(&value).expect("JSON can be written"),
            Self::Bytes { base64 } => STANDARD.decode(&base64).unwrap_or_else(|_| base64.into_bytes()),
        }
    }

    pub(crate) fn payloads(&self, field: &'static str) -> Result<Payloads> {
        let (encoding, data) = match self {
            Self::Json(value) => (JSON, serde_json::to_vec(value).expect("JSON can be written")),
            Self::Bytes { base64 } => {
                let bytes = STANDARD.decode(base64);
                (
                    BINARY,
                    bytes.map_err(|_| Error::invalid(field, "has a `base64` that is none"))?,
                )
            }
        };
        if data.len() > MAX_CONTENT {
            let message = format!(
                "has {} bytes, {MAX_CONTENT} are allowed: store it elsewhere and name it",
                data.len()
            );
            return Err(Error::invalid(field, message));
        }
        Ok(Payloads {
            payloads: vec![Payload {
                metadata: HashMap::from([(ENCODING.to_owned(), encoding.to_vec())]),
                data,
                ..Default::default()
            }],
        })
    }

    pub(crate) fn of_payloads(payloads: Option<&Payloads>) -> Option<Self> {
        let payload = payloads?.payloads.first()?;
        let is_json = payload.metadata.get(ENCODING).is_none_or(|encoding| encoding == JSON);
        let value = is_json.then(|| serde_json::from_slice(&payload.data).ok()).flatten();
        Some(value.map_or_else(|| Self::of_bytes(&payload.data), Self::Json))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn json_stays_json() {
        for value in [
            json!(null),
            json!([1, "a", {"b": false}]),
            json!("text"),
            json!({"base64": 1}),
            json!({"base64": "AA==", "more": 1}),
        ] {
            let content: Content = serde_json::from_value(value.clone()).unwrap();
            let back = Content::of_payloads(Some(&content.payloads("input").unwrap())).unwrap();
            assert_eq!(serde_json::to_value(back).unwrap(), value);
        }
    }

    #[test]
    fn too_much_is_refused_with_the_size() {
        let error = Content::of_bytes(&vec![0; MAX_CONTENT + 1])
            .payloads("output")
            .unwrap_err();
        assert!(error.to_string().contains("262145 bytes"), "{error}");
        assert!(Content::of_bytes(&vec![0; MAX_CONTENT]).payloads("output").is_ok());
    }

    proptest! {
        #[test]
        fn bytes_stay_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let content = Content::of_bytes(&bytes);
            let back = Content::of_payloads(Some(&content.payloads("input").unwrap())).unwrap();
            prop_assert_eq!(back.into_bytes(), bytes);
        }
    }
}
