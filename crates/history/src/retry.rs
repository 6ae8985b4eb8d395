//! Retry policies: of activities and of workflows alike.

use std::time::Duration;

use crate::{
    Limits, Timestamp,
    proto::{Failure, FailureInfo, RetryPolicy, RetryState, TimeoutType},
    timestamp::{duration, proto_duration},
};

/// Fills in defaults and checks the rest. The error says which field is wrong.
pub(crate) fn normalize(mut policy: RetryPolicy, limits: &Limits) -> Result<RetryPolicy, String> {
    let negative = |d: Option<&prost_types::Duration>| d.is_some_and(|d| d.seconds < 0 || d.nanos < 0);
    if negative(policy.initial_interval.as_ref()) {
        return Err("InitialInterval cannot be negative on retry policy.".to_owned());
    }
    if negative(policy.maximum_interval.as_ref()) {
        return Err("MaximumInterval cannot be negative on retry policy.".to_owned());
    }
    if policy.maximum_attempts < 0 {
        return Err("MaximumAttempts cannot be negative on retry policy.".to_owned());
    }
    if policy.backoff_coefficient == 0.0 {
        policy.backoff_coefficient = limits.retry_backoff_coefficient;
    }
    // Not "< 1.0": NaN must not pass.
    if !(1.0..).contains(&policy.backoff_coefficient) {
        return Err("BackoffCoefficient cannot be less than 1 on retry policy.".to_owned());
    }
    let mut initial = duration(policy.initial_interval.as_ref());
    if initial.is_zero() {
        initial = limits.retry_initial_interval;
        policy.initial_interval = Some(proto_duration(initial));
    }
    let maximum = duration(policy.maximum_interval.as_ref());
    if maximum.is_zero() {
        policy.maximum_interval = Some(proto_duration(
            initial.saturating_mul(limits.retry_maximum_interval_factor),
        ));
    } else if maximum < initial {
        return Err("MaximumInterval cannot be less than InitialInterval on retry policy.".to_owned());
    }
    Ok(policy)
}

/// How long to wait before the attempt after `attempt`, or why there is none.
///
/// `expiration`: an attempt that could only start after it is not made.
pub(crate) fn next(
    policy: Option<&RetryPolicy>,
    attempt: u32,
    failure: Option<&Failure>,
    now: Timestamp,
    expiration: Option<Timestamp>,
) -> Result<Duration, RetryState> {
    let policy = policy.ok_or(RetryState::RetryPolicyNotSet)?;
    if let Some(failure) = failure {
        check(Some(policy), failure)?;
    }
    if policy.maximum_attempts > 0 && i64::from(attempt) >= i64::from(policy.maximum_attempts) {
        return Err(RetryState::MaximumAttemptsReached);
    }
    // Code that asks for a delay of its own may ask for a longer one than the policy has.
    let interval = failure
        .and_then(requested_delay)
        .unwrap_or_else(|| interval(policy, attempt));
    if expiration.is_some_and(|expiration| now + interval > expiration) {
        return Err(RetryState::Timeout);
    }
    Ok(interval)
}

/// Does the policy allow another attempt after this failure, whatever their number?
pub(crate) fn check(policy: Option<&RetryPolicy>, failure: &Failure) -> Result<(), RetryState> {
    let policy = policy.ok_or(RetryState::RetryPolicyNotSet)?;
    if is_retryable(failure, &policy.non_retryable_error_types) {
        Ok(())
    } else {
        Err(RetryState::NonRetryableFailure)
    }
}

/// How long the policy lets the attempt after `attempt` wait.
pub(crate) fn interval(policy: &RetryPolicy, attempt: u32) -> Duration {
    let maximum = duration(policy.maximum_interval.as_ref());
    let interval = exponential(policy, attempt);
    if maximum.is_zero() {
        interval
    } else {
        interval.min(maximum)
    }
}

fn exponential(policy: &RetryPolicy, attempt: u32) -> Duration {
    let initial = duration(policy.initial_interval.as_ref()).as_secs_f64();
    let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
    // Overflow is "as long as possible": the maximum interval cuts it.
    Duration::try_from_secs_f64(initial * policy.backoff_coefficient.powi(exponent)).unwrap_or(Duration::MAX)
}

/// The delay that the failing code asks for itself.
pub(crate) fn requested_delay(failure: &Failure) -> Option<Duration> {
    match &failure.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(info)) => {
            Some(duration(info.next_retry_delay.as_ref())).filter(|delay| !delay.is_zero())
        }
        _ => None,
    }
}

fn is_retryable(failure: &Failure, non_retryable_types: &[String]) -> bool {
    let listed = |name: &str| non_retryable_types.iter().any(|listed| listed == name);
    match &failure.failure_info {
        Some(FailureInfo::TerminatedFailureInfo(_) | FailureInfo::CanceledFailureInfo(_)) => false,
        Some(FailureInfo::TimeoutFailureInfo(info)) => match info.timeout_type() {
            TimeoutType::StartToClose => !listed("TemporalTimeout:StartToClose"),
            TimeoutType::Heartbeat => !listed("TemporalTimeout:Heartbeat"),
            TimeoutType::Unspecified | TimeoutType::ScheduleToStart | TimeoutType::ScheduleToClose => false,
        },
        Some(FailureInfo::ServerFailureInfo(info)) => !info.non_retryable,
        Some(FailureInfo::ApplicationFailureInfo(info)) => !info.non_retryable && !listed(&info.r#type),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{ApplicationFailureInfo, CanceledFailureInfo};

    fn policy(adapt: impl FnOnce(&mut RetryPolicy)) -> RetryPolicy {
        let mut policy = RetryPolicy::default();
        adapt(&mut policy);
        normalize(policy, &Limits::default()).unwrap()
    }

    fn seconds(policy: &RetryPolicy, attempt: u32) -> Result<u64, RetryState> {
        next(Some(policy), attempt, None, Timestamp::EPOCH, None).map(|interval| interval.as_secs())
    }

    #[test]
    fn intervals_grow_up_to_the_longest_one_whatever_the_attempt() {
        let policy = policy(|_| {});
        let intervals: Vec<_> = (1..=9).map(|attempt| seconds(&policy, attempt).unwrap()).collect();
        assert_eq!(intervals, [1, 2, 4, 8, 16, 32, 64, 100, 100]);
        assert_eq!(seconds(&policy, u32::MAX), Ok(100));
    }

    #[test]
    fn attempts_count_the_first_one() {
        let policy = policy(|p| p.maximum_attempts = 2);
        assert_eq!(seconds(&policy, 1), Ok(1));
        assert_eq!(seconds(&policy, 2), Err(RetryState::MaximumAttemptsReached));
        assert_eq!(
            next(None, 1, None, Timestamp::EPOCH, None),
            Err(RetryState::RetryPolicyNotSet)
        );
    }

    #[test]
    fn an_attempt_that_would_start_too_late_is_not_made() {
        let policy = policy(|_| {});
        let expiration = |seconds| Some(Timestamp::from_seconds(seconds));
        assert!(next(Some(&policy), 3, None, Timestamp::EPOCH, expiration(4)).is_ok());
        assert_eq!(
            next(Some(&policy), 3, None, Timestamp::EPOCH, expiration(3)),
            Err(RetryState::Timeout)
        );
    }

    #[test]
    fn wrong_policies_are_refused() {
        let refused = |adapt: fn(&mut RetryPolicy)| {
            let mut policy = RetryPolicy::default();
            adapt(&mut policy);
            normalize(policy, &Limits::default()).unwrap_err()
        };
        assert!(refused(|p| p.backoff_coefficient = 0.9).contains("BackoffCoefficient"));
        assert!(refused(|p| p.backoff_coefficient = f64::NAN).contains("BackoffCoefficient"));
        assert!(refused(|p| p.maximum_attempts = -1).contains("MaximumAttempts"));
        assert!(
            refused(|p| p.initial_interval = Some(prost_types::Duration { seconds: -1, nanos: 0 })).contains("Initial")
        );
        let backwards = refused(|p| {
            p.initial_interval = Some(proto_duration(Duration::from_secs(10)));
            p.maximum_interval = Some(proto_duration(Duration::from_secs(5)));
        });
        assert!(backwards.contains("MaximumInterval"));
    }

    #[test]
    fn the_kind_of_failure_decides_whether_it_is_retried() {
        let with = |info| Failure {
            failure_info: Some(info),
            ..Failure::default()
        };
        let timeout = |kind| {
            with(
                crate::failure::timeout_failure(String::new(), kind, None)
                    .failure_info
                    .unwrap(),
            )
        };
        let application = |name: &str| {
            with(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
                r#type: name.to_owned(),
                ..ApplicationFailureInfo::default()
            }))
        };
        let listed = ["Listed".to_owned(), "TemporalTimeout:Heartbeat".to_owned()];
        for (failure, retryable) in [
            (Failure::default(), true),
            (application("Other"), true),
            (application("Listed"), false),
            (timeout(TimeoutType::StartToClose), true),
            (timeout(TimeoutType::Heartbeat), false),
            (timeout(TimeoutType::ScheduleToStart), false),
            (timeout(TimeoutType::ScheduleToClose), false),
            (
                with(FailureInfo::CanceledFailureInfo(CanceledFailureInfo::default())),
                false,
            ),
            (crate::failure::server_failure("", false), true),
            (crate::failure::server_failure("", true), false),
        ] {
            assert_eq!(is_retryable(&failure, &listed), retryable, "{failure:?}");
        }
    }
}
