//! Failures the engine itself makes, and cutting those of others to size.

use prost::Message;

use crate::{
    Limits,
    proto::{
        ApplicationFailureInfo, Failure, FailureInfo, Payload, Payloads, ServerFailureInfo, TimeoutFailureInfo,
        TimeoutType,
    },
};

/// Longest chain of causes kept in a cut failure.
const MAX_CAUSES: usize = 5;

/// A failure by the engine.
pub(crate) fn server_failure(message: &str, non_retryable: bool) -> Failure {
    Failure {
        message: message.to_owned(),
        source: "Server".to_owned(),
        failure_info: Some(FailureInfo::ServerFailureInfo(ServerFailureInfo { non_retryable })),
        ..Failure::default()
    }
}

/// A timeout.
pub(crate) fn timeout_failure(message: String, kind: TimeoutType, last_heartbeat_details: Option<Payloads>) -> Failure {
    Failure {
        message,
        source: "Server".to_owned(),
        failure_info: Some(FailureInfo::TimeoutFailureInfo(TimeoutFailureInfo {
            timeout_type: kind.into(),
            last_heartbeat_details,
        })),
        ..Failure::default()
    }
}

/// A string as SDKs' default converters encode it.
pub(crate) fn string_payloads(text: &str) -> Payloads {
    let mut payload = Payload {
        data: json_string(text).into_bytes(),
        ..Payload::default()
    };
    payload.metadata.insert("encoding".to_owned(), b"json/plain".to_vec());
    Payloads {
        payloads: vec![payload],
    }
}

fn json_string(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            c if u32::from(c) < 0x20 => json.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

/// A failure that someone reports for good; one that is too large becomes the cause of one that says so. [trap 16]
pub(crate) fn bounded(failure: Failure, limits: &Limits) -> Failure {
    if failure.encoded_len() <= limits.failure_size_max {
        return failure;
    }
    let cause = truncate(failure, limits.failure_size_max / 2);
    Failure {
        cause: Some(Box::new(cause)),
        ..server_failure("Failure exceeds size limit.", true)
    }
}

/// The failure in at most `max` bytes: texts are cut, details dropped, type and retryability kept. [trap 8]
pub(crate) fn truncate(failure: Failure, max: usize) -> Failure {
    if failure.encoded_len() <= max {
        failure
    } else {
        cut(failure, max, MAX_CAUSES)
    }
}

fn cut(failure: Failure, max: usize, causes: usize) -> Failure {
    let mut short = Failure {
        source: clip(&failure.source, max / 8),
        failure_info: failure.failure_info.map(|info| without_details(info, max)),
        ..Failure::default()
    };
    // The message says most, so it may take half of what is left; the stack trace and the causes share the rest.
    let left = max.saturating_sub(short.encoded_len());
    short.message = clip(&failure.message, left / 2);
    let left = max.saturating_sub(short.encoded_len());
    let for_stack = if failure.cause.is_some() { left / 2 } else { left };
    short.stack_trace = clip(&failure.stack_trace, for_stack.saturating_sub(FIELD_OVERHEAD));
    let left = max.saturating_sub(short.encoded_len() + FIELD_OVERHEAD);
    if let Some(cause) = failure.cause.filter(|_| causes > 0 && left > 4 * FIELD_OVERHEAD) {
        short.cause = Some(Box::new(cut(*cause, left, causes - 1)));
    }
    short
}

/// Tag and length of a field, generously.
const FIELD_OVERHEAD: usize = 8;

fn without_details(info: FailureInfo, max: usize) -> FailureInfo {
    match info {
        FailureInfo::ApplicationFailureInfo(info) => FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
            r#type: clip(&info.r#type, max / 4),
            details: None,
            ..info
        }),
        FailureInfo::TimeoutFailureInfo(info) => FailureInfo::TimeoutFailureInfo(TimeoutFailureInfo {
            last_heartbeat_details: None,
            ..info
        }),
        FailureInfo::CanceledFailureInfo(info) => {
            FailureInfo::CanceledFailureInfo(crate::proto::CanceledFailureInfo { details: None, ..info })
        }
        other => other,
    }
}

fn clip(text: &str, max: usize) -> String {
    text[..text.floor_char_boundary(max)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(depth: usize, size: usize) -> Failure {
        Failure {
            message: "ä".repeat(size),
            stack_trace: "s".repeat(size),
            cause: (depth > 0).then(|| Box::new(chain(depth - 1, size))),
            failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
                r#type: "Type".to_owned(),
                non_retryable: true,
                details: Some(string_payloads(&"d".repeat(size))),
                ..ApplicationFailureInfo::default()
            })),
            ..Failure::default()
        }
    }

    #[test]
    fn small_failures_are_kept_as_they_are() {
        let failure = chain(2, 10);
        assert_eq!(truncate(failure.clone(), 4096), failure);
    }

    #[test]
    fn large_failures_are_cut_to_any_size_and_keep_what_decides() {
        for (depth, size) in [(0, 100_000), (3, 10_000), (100, 1_000)] {
            for max in [200, 1_000, 4_096] {
                let short = truncate(chain(depth, size), max);
                assert!(
                    short.encoded_len() <= max,
                    "{} > {max} for {depth} times {size}",
                    short.encoded_len()
                );
                assert!(short.message.starts_with('ä'));
                match short.failure_info {
                    Some(FailureInfo::ApplicationFailureInfo(info)) => {
                        assert!(info.non_retryable);
                        assert_eq!(info.r#type, "Type");
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}
