//! Findings of the workflow itself.

use crate::Severity;
use crate::bindings::helve::workflow::durable;
use crate::bindings::helve::workflow::types as wit;

/// Something that the workflow itself found, by looking at what its modules said. Modules report their findings
/// themselves; those need not be repeated.
#[derive(Debug, Clone)]
#[must_use = "a finding is in the report once it is emitted"]
pub struct Finding(wit::Finding);

impl Finding {
    /// A finding about a file of the target. The rule is a stable name, such as `no-update-in-a-year`.
    pub fn new(rule: &str, severity: Severity, message: &str, path: &str) -> Self {
        Self(wit::Finding {
            rule: rule.to_owned(),
            severity,
            message: message.to_owned(),
            path: path.to_owned(),
            line: None,
        })
    }

    /// The line that it is about, from 1.
    pub fn line(mut self, line: u32) -> Self {
        self.0.line = Some(line);
        self
    }

    /// Adds it to the run's report.
    pub fn emit(self) {
        durable::emit(&self.0);
    }
}
