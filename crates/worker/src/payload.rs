//! JSON payloads (`json/plain`), as every official SDK writes them by default.

use serde::Serialize;
use serde::de::DeserializeOwned;
use temporalio_protos::temporal::api::common::v1::Payload;

use crate::StepError;

/// A value as a payload.
pub(crate) fn encode(value: &impl Serialize) -> Result<Payload, StepError> {
    let data = serde_json::to_vec(value).map_err(|source| StepError::Json {
        what: "the result cannot be written as JSON".to_owned(),
        source,
    })?;
    Ok(Payload {
        metadata: [("encoding".to_owned(), b"json/plain".to_vec())].into(),
        data,
        ..Default::default()
    })
}

/// The only argument of an activity.
pub(crate) fn decode<T: DeserializeOwned>(activity: &str, input: &[Payload]) -> Result<T, StepError> {
    let wrong = |reason: String| StepError::Input {
        activity: activity.to_owned(),
        reason,
    };
    let [payload] = input else {
        return Err(wrong(format!("expected one argument, got {}", input.len())));
    };
    match payload.metadata.get("encoding").map(Vec::as_slice) {
        Some(b"json/plain") => serde_json::from_slice(&payload.data).map_err(|error| wrong(error.to_string())),
        Some(other) => Err(wrong(format!(
            "expected JSON (encoding json/plain), got encoding {}",
            String::from_utf8_lossy(other)
        ))),
        None => Err(wrong(
            "expected JSON (encoding json/plain), got a payload without encoding".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_reads_back() {
        let payload = encode(&vec![1, 2, 3]).unwrap();
        assert_eq!(decode::<Vec<i32>>("a", &[payload]).unwrap(), [1, 2, 3]);
    }

    #[test]
    fn keys_of_objects_are_sorted_in_what_goes_into_histories() {
        let payload = encode(&serde_json::json!({"b": 1, "a": 2})).unwrap();
        assert_eq!(
            payload.data, br#"{"a":2,"b":1}"#,
            "a dependency switched on `preserve_order`"
        );
    }

    #[test]
    fn a_wrong_argument_says_which_activity_and_why() {
        let error = decode::<Vec<i32>>("secrets", &[]).unwrap_err().to_string();
        assert_eq!(
            error,
            "the input of `secrets` is not understood: expected one argument, got 0"
        );
        let binary = Payload {
            metadata: [("encoding".to_owned(), b"binary/plain".to_vec())].into(),
            ..Default::default()
        };
        let error = decode::<Vec<i32>>("secrets", &[binary]).unwrap_err().to_string();
        assert!(error.ends_with("got encoding binary/plain"), "{error}");
    }
}
