//! A job before it is published.

use std::time::Duration;

use helve_toolbox::Span;
use serde::{Deserialize, Serialize};
use temporalio_protos::temporal::api::common::v1::RetryPolicy;
use utoipa::ToSchema;

use crate::error::{Error, Result};
use crate::name::Needs;
use crate::payload::Content;

/// The lease of a job whose publisher says nothing.
const LEASE: Span = Span::from_secs(60);
/// How long an attempt may take, heartbeats or not.
const TIMEOUT: Span = Span::from_secs(24 * 60 * 60);
/// Attempts of a job whose publisher says nothing.
const ATTEMPTS: u32 = 5;
const BACKOFF: f64 = 2.0;
const FIRST_WAIT: Span = Span::from_secs(1);
const LONGEST_WAIT: Span = Span::from_secs(10 * 60);
/// A lease is not shorter: nobody can keep it otherwise.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);
/// Nothing lasts longer.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Priority of a job whose publisher says nothing.
pub(crate) const PRIORITY: u8 = 3;
const LEAST_URGENT: u8 = 5;
/// Characters of a deduplication key.
const LONGEST_KEY: usize = 255;
const MOST_TYPES: usize = 50;

/// A job to be published.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewJob {
    /// What the job is about: any JSON, or `{"base64": "..."}` for bytes. 256 KiB at most.
    #[serde(default)]
    #[schema(value_type = serde_json::Value)]
    pub input: Content,
    /// 1 goes before 2, and so on to 5; 3 when nothing is said. It counts among jobs of the same needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 5)]
    pub priority: Option<u8>,
    /// Nobody gets it before this time has passed: `30s`, `2h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "30s")]
    pub delay: Option<Span>,
    /// A job of the same queue and key is published once, for as long as the engine keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What happens after a failure, or a lease that was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// What its claimer must have: `["linux"]` or `{"gpu": "1"}`.
    #[serde(default, skip_serializing_if = "Needs::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub needs: Needs,
    /// A claim that is not heard of for so long is lost, and the job goes back: `60s` when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "60s")]
    pub lease: Option<Span>,
    /// How long one attempt may take at most: `24h` when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "1h")]
    pub timeout: Option<Span>,
    /// After this time it is not tried any more, and dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "7d")]
    pub expires: Option<Span>,
}

/// What happens after a failure, or a lease that was lost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Attempts until the job is dead: 5 when nothing is said; 0: without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Before the second attempt: `1s` when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "1s")]
    pub wait: Option<Span>,
    /// How much longer each wait is than the one before: 2 when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub backoff: Option<f64>,
    /// The longest wait: `10m` when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "10m")]
    pub longest_wait: Option<Span>,
    /// Types of failures after which it is dead at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub never_after: Vec<String>,
}

/// The durations of a job, checked.
pub(crate) struct Times {
    pub(crate) lease: Duration,
    pub(crate) timeout: Duration,
    pub(crate) delay: Option<Duration>,
    pub(crate) expires: Option<Duration>,
}

impl NewJob {
    pub(crate) fn check(&self) -> Result<Times> {
        if self.priority.is_some_and(|given| !(1..=LEAST_URGENT).contains(&given)) {
            return Err(Error::invalid("priority", "must be 1 to 5"));
        }
        let fits = |key: &String| (1..=LONGEST_KEY).contains(&key.len());
        if self.key.as_ref().is_some_and(|key| !fits(key)) {
            return Err(Error::invalid(
                "key",
                format!("must be a text of 1 to {LONGEST_KEY} bytes"),
            ));
        }
        let times = Times {
            lease: lease(self.lease.unwrap_or(LEASE))?,
            timeout: bounded("timeout", self.timeout.unwrap_or(TIMEOUT))?,
            delay: self.delay.map(|span| bounded("delay", span)).transpose()?,
            expires: self.expires.map(|span| bounded("expires", span)).transpose()?,
        };
        if times.timeout.is_zero() {
            return Err(Error::invalid("timeout", "must be longer than nothing"));
        }
        if times.expires.is_some_and(|expires| expires.is_zero()) {
            return Err(Error::invalid("expires", "must be longer than nothing"));
        }
        Ok(times)
    }

    pub(crate) fn retry_policy(&self) -> Result<RetryPolicy> {
        let default = Retry::default();
        let retry = self.retry.as_ref().unwrap_or(&default);
        let backoff = retry.backoff.unwrap_or(BACKOFF);
        if !(1.0..=100.0).contains(&backoff) {
            return Err(Error::invalid("retry.backoff", "must be 1 to 100"));
        }
        let wait = bounded("retry.wait", retry.wait.unwrap_or(FIRST_WAIT))?.max(Duration::from_millis(1));
        let longest = bounded("retry.longest_wait", retry.longest_wait.unwrap_or(LONGEST_WAIT))?.max(wait);
        let attempts = i32::try_from(retry.attempts.unwrap_or(ATTEMPTS));
        if retry.never_after.len() > MOST_TYPES || retry.never_after.iter().any(|name| name.len() > LONGEST_KEY) {
            return Err(Error::invalid("retry.never_after", "has too many or too long types"));
        }
        Ok(RetryPolicy {
            initial_interval: wait.try_into().ok(),
            backoff_coefficient: backoff,
            maximum_interval: longest.try_into().ok(),
            maximum_attempts: attempts.map_err(|_| Error::invalid("retry.attempts", "is too large"))?,
            non_retryable_error_types: retry.never_after.clone(),
        })
    }
}

/// A lease that can be kept.
pub(crate) fn lease(span: Span) -> Result<Duration> {
    let lease = bounded("lease", span)?;
    match lease >= SHORTEST_LEASE {
        true => Ok(lease),
        false => Err(Error::invalid("lease", "must be a second at least")),
    }
}

pub(crate) fn bounded(field: &'static str, span: Span) -> Result<Duration> {
    let duration = span.duration();
    match duration <= LONGEST {
        true => Ok(duration),
        false => Err(Error::invalid(field, "must be a year at most")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(json: &str) -> Result<Times> {
        let job: NewJob = serde_json::from_str(json).unwrap();
        job.retry_policy()?;
        job.check()
    }

    #[test]
    fn what_nobody_says_is_sensible() {
        let times = job("{}").unwrap();
        assert_eq!((times.lease.as_secs(), times.timeout.as_secs()), (60, 86_400));
        let policy = NewJob::default().retry_policy().unwrap();
        assert_eq!(policy.maximum_attempts, 5);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_field() {
        for (json, field) in [
            (r#"{"priority": 0}"#, "priority"),
            (r#"{"priority": 6}"#, "priority"),
            (r#"{"key": ""}"#, "key"),
            (r#"{"lease": "10ms"}"#, "lease"),
            (r#"{"timeout": "0s"}"#, "timeout"),
            (r#"{"delay": "400d"}"#, "delay"),
            (r#"{"retry": {"backoff": 0.5}}"#, "retry.backoff"),
            (r#"{"retry": {"attempts": 4000000000}}"#, "retry.attempts"),
        ] {
            match job(json) {
                Err(Error::Invalid { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{json}: {:?}", other.map(|times| times.lease)),
            }
        }
    }
}
