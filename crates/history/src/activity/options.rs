//! The options of an activity: those it was scheduled with, until an operator changes them.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    Limits, Timestamp,
    proto::{ActivityOptions, Priority, RetryPolicy},
    recorded::Activity,
    retry,
    timestamp::{duration, proto_duration},
};

/// One option: the changed one, or the one of the Scheduled event.
macro_rules! option {
    ($activity:expr, $field:ident) => {
        match &$activity.attempt.options {
            Some(options) => options.$field.as_ref(),
            None => $activity.scheduled.$field.as_ref(),
        }
    };
}

impl Activity {
    pub(crate) fn task_queue(&self) -> &str {
        option!(self, task_queue).map_or("", |queue| &queue.name)
    }

    pub(crate) fn schedule_to_close(&self) -> Duration {
        duration(option!(self, schedule_to_close_timeout))
    }

    pub(crate) fn schedule_to_start(&self) -> Duration {
        duration(option!(self, schedule_to_start_timeout))
    }

    pub(crate) fn start_to_close(&self) -> Duration {
        duration(option!(self, start_to_close_timeout))
    }

    pub(crate) fn heartbeat_timeout(&self) -> Duration {
        duration(option!(self, heartbeat_timeout))
    }

    pub(crate) fn retry_policy(&self) -> Option<&RetryPolicy> {
        option!(self, retry_policy)
    }

    pub(crate) fn priority(&self) -> Option<&Priority> {
        option!(self, priority)
    }

    /// How long the first attempt had, or has, to wait.
    pub(crate) fn start_delay(&self) -> Duration {
        match &self.attempt.options {
            Some(options) => duration(options.start_delay.as_ref()),
            None => self.start_delay,
        }
    }

    /// When the first attempt was, or is, due.
    pub(crate) fn first_due(&self) -> Timestamp {
        self.scheduled_time + self.start_delay()
    }

    /// When all attempts together must be done.
    pub(crate) fn expiration(&self) -> Option<Timestamp> {
        let timeout = self.schedule_to_close();
        (!timeout.is_zero()).then(|| self.first_due() + timeout)
    }

    /// The options in force.
    pub(crate) fn options(&self) -> ActivityOptions {
        match &self.attempt.options {
            Some(options) => (**options).clone(),
            None => self.original_options(),
        }
    }

    fn original_options(&self) -> ActivityOptions {
        let scheduled = &self.scheduled;
        ActivityOptions {
            task_queue: scheduled.task_queue.clone(),
            schedule_to_close_timeout: scheduled.schedule_to_close_timeout,
            schedule_to_start_timeout: scheduled.schedule_to_start_timeout,
            start_to_close_timeout: scheduled.start_to_close_timeout,
            heartbeat_timeout: scheduled.heartbeat_timeout,
            retry_policy: scheduled.retry_policy.clone(),
            priority: scheduled.priority.clone(),
            start_delay: (!self.start_delay.is_zero()).then(|| proto_duration(self.start_delay)),
        }
    }

    /// Goes back to the options it was scheduled with. A start delay is history once an attempt was started.
    pub(crate) fn restore_options(&mut self) {
        let original = self.original_options();
        let Some(changed) = self.attempt.options.take() else {
            return;
        };
        if self.attempt.last_started.is_some() && changed.start_delay != original.start_delay {
            self.attempt.options = Some(
                ActivityOptions {
                    start_delay: changed.start_delay,
                    ..original
                }
                .into(),
            );
        }
    }
}

/// The timeouts of an activity; zero is none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    pub(crate) schedule_to_close: Duration,
    pub(crate) schedule_to_start: Duration,
    pub(crate) start_to_close: Duration,
    pub(crate) heartbeat: Duration,
}

impl Timeouts {
    /// Makes them consistent: none is longer than schedule-to-close, and none longer than `bound`. `None` if nothing limits
    /// an attempt.
    pub(crate) fn consistent(self, bound: Duration) -> Option<Self> {
        if self.schedule_to_close.is_zero() && self.start_to_close.is_zero() {
            return None;
        }
        // Zero is "none", which is longer than any other.
        let within = |timeout: Duration, bound: Duration| match (timeout.is_zero(), bound.is_zero()) {
            (_, true) => timeout,
            (true, false) => bound,
            (false, false) => timeout.min(bound),
        };
        let schedule_to_close = within(self.schedule_to_close, bound);
        let start_to_close = within(self.start_to_close, schedule_to_close);
        Some(Self {
            schedule_to_close,
            schedule_to_start: within(self.schedule_to_start, schedule_to_close),
            start_to_close,
            heartbeat: if self.heartbeat.is_zero() {
                self.heartbeat
            } else {
                within(self.heartbeat, start_to_close)
            },
        })
    }

    /// Those of some options. The error names the one that is negative.
    pub(crate) fn of(options: &ActivityOptions) -> Result<Self, String> {
        let read = |field, value: Option<&prost_types::Duration>| {
            if value.is_some_and(|d| d.seconds < 0 || d.nanos < 0) {
                return Err(format!("invalid {field}: negative duration"));
            }
            Ok(duration(value))
        };
        Ok(Self {
            schedule_to_close: read("ScheduleToCloseTimeout", options.schedule_to_close_timeout.as_ref())?,
            schedule_to_start: read("ScheduleToStartTimeout", options.schedule_to_start_timeout.as_ref())?,
            start_to_close: read("StartToCloseTimeout", options.start_to_close_timeout.as_ref())?,
            heartbeat: read("HeartbeatTimeout", options.heartbeat_timeout.as_ref())?,
        })
    }

    /// Puts them into options.
    pub(crate) fn put_into(self, options: &mut ActivityOptions) {
        options.schedule_to_close_timeout = Some(proto_duration(self.schedule_to_close));
        options.schedule_to_start_timeout = Some(proto_duration(self.schedule_to_start));
        options.start_to_close_timeout = Some(proto_duration(self.start_to_close));
        options.heartbeat_timeout = Some(proto_duration(self.heartbeat));
    }
}

/// The fields of options that an update is about, in the spelling of JSON: `retryPolicy.maximumAttempts`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mask(BTreeSet<String>);

/// What can be changed.
const FIELDS: &[&str] = &[
    "taskQueue.name",
    "scheduleToCloseTimeout",
    "scheduleToStartTimeout",
    "startToCloseTimeout",
    "heartbeatTimeout",
    "priority",
    "priority.priorityKey",
    "priority.fairnessKey",
    "priority.fairnessWeight",
    "retryPolicy",
    "retryPolicy.initialInterval",
    "retryPolicy.backoffCoefficient",
    "retryPolicy.maximumInterval",
    "retryPolicy.maximumAttempts",
    "startDelay",
];

impl Mask {
    pub(crate) fn new(paths: &[String]) -> Self {
        Self(paths.iter().map(|path| camel_case(path)).collect())
    }

    /// A path that names nothing which can be changed.
    pub(crate) fn unsupported(paths: &[String]) -> Option<&String> {
        paths.iter().find(|path| !FIELDS.contains(&camel_case(path).as_str()))
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.0.contains(field)
    }

    /// It names the retry policy or a part of it.
    pub(crate) fn touches_retry_policy(&self) -> bool {
        self.0.iter().any(|field| field.starts_with("retryPolicy"))
    }
}

fn camel_case(path: &str) -> String {
    let mut camel = String::with_capacity(path.len());
    let mut upper = false;
    for c in path.chars() {
        if c == '_' {
            upper = true;
        } else {
            camel.push(if upper { c.to_ascii_uppercase() } else { c });
            upper = false;
        }
    }
    camel
}

/// Puts the fields that `mask` names into `options`, and makes the result consistent. The error says what is wrong.
pub(crate) fn merge(
    options: &mut ActivityOptions,
    from: &ActivityOptions,
    mask: &Mask,
    limits: &Limits,
) -> Result<(), String> {
    if mask.has("taskQueue.name") {
        let name = &from.task_queue.as_ref().ok_or("TaskQueue is not provided")?.name;
        if name.is_empty() {
            return Err("taskQueue is not set".to_owned());
        }
        options.task_queue.get_or_insert_default().name.clone_from(name);
    }
    if mask.has("scheduleToCloseTimeout") {
        options.schedule_to_close_timeout = from.schedule_to_close_timeout;
    }
    if mask.has("scheduleToStartTimeout") {
        options.schedule_to_start_timeout = from.schedule_to_start_timeout;
    }
    if mask.has("startToCloseTimeout") {
        options.start_to_close_timeout = from.start_to_close_timeout;
    }
    if mask.has("heartbeatTimeout") {
        options.heartbeat_timeout = from.heartbeat_timeout;
    }
    if mask.has("startDelay") {
        if from.start_delay.is_some_and(|d| d.seconds < 0 || d.nanos < 0) {
            return Err("invalid StartDelay: negative duration".to_owned());
        }
        options.start_delay = from.start_delay;
    }
    merge_priority(options, from, mask)?;
    merge_retry_policy(options, from, mask, limits)?;
    Timeouts::of(options)?
        .consistent(Duration::ZERO)
        .ok_or("a valid StartToCloseTimeout or ScheduleToCloseTimeout must be set on the activity.")?
        .put_into(options);
    Ok(())
}

fn merge_priority(options: &mut ActivityOptions, from: &ActivityOptions, mask: &Mask) -> Result<(), String> {
    if mask.has("priority") {
        options.priority.clone_from(&from.priority);
    }
    let given = || from.priority.as_ref().ok_or("Priority is not provided");
    if mask.has("priority.priorityKey") {
        options.priority.get_or_insert_default().priority_key = given()?.priority_key;
    }
    if mask.has("priority.fairnessKey") {
        let key = &given()?.fairness_key;
        options.priority.get_or_insert_default().fairness_key.clone_from(key);
    }
    if mask.has("priority.fairnessWeight") {
        options.priority.get_or_insert_default().fairness_weight = given()?.fairness_weight;
    }
    Ok(())
}

fn merge_retry_policy(
    options: &mut ActivityOptions,
    from: &ActivityOptions,
    mask: &Mask,
    limits: &Limits,
) -> Result<(), String> {
    if !mask.touches_retry_policy() {
        return Ok(());
    }
    let given = from.retry_policy.as_ref().ok_or("RetryPolicy is not provided")?;
    let policy = options.retry_policy.get_or_insert_default();
    if mask.has("retryPolicy") {
        // The types that are not retried cannot be changed, only replaced.
        let types = std::mem::take(&mut policy.non_retryable_error_types);
        *policy = given.clone();
        if policy.non_retryable_error_types.is_empty() {
            policy.non_retryable_error_types = types;
        }
    }
    if mask.has("retryPolicy.initialInterval") {
        policy.initial_interval = given.initial_interval;
    }
    if mask.has("retryPolicy.backoffCoefficient") {
        policy.backoff_coefficient = given.backoff_coefficient;
    }
    if mask.has("retryPolicy.maximumInterval") {
        policy.maximum_interval = given.maximum_interval;
    }
    if mask.has("retryPolicy.maximumAttempts") {
        policy.maximum_attempts = given.maximum_attempts;
    }
    *policy = retry::normalize(std::mem::take(policy), limits)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_may_be_spelled_either_way() {
        let mask = Mask::new(&[
            "heartbeat_timeout".to_owned(),
            "retryPolicy.maximum_attempts".to_owned(),
        ]);
        assert!(mask.has("heartbeatTimeout") && mask.has("retryPolicy.maximumAttempts"));
        assert!(mask.touches_retry_policy() && !mask.has("retryPolicy"));
        assert_eq!(Mask::unsupported(&["priority".to_owned()]), None);
        assert!(Mask::unsupported(&["bogus".to_owned()]).is_some());
    }
}
