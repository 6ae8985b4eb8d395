//! The fixed words of the pages: states, severities, roles. Each has a name for addresses and forms, and a label for people.

/// An enum whose variants have a name (in addresses, forms and classes) and a label (for people).
macro_rules! words {
    ($(#[$about:meta])* $kind:ident { $($(#[$doc:meta])* $variant:ident = $name:literal, $label:literal;)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $kind { $($(#[$doc])* $variant,)+ }

        impl $kind {
            /// All of them, in the order in which pages show them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name in addresses, forms and classes.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The label for people.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// The one of this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }
    };
}

words! {
    /// How bad a finding is, the worst first.
    Severity {
        /// Act now.
        Critical = "critical", "Critical";
        /// An attacker can probably use it.
        High = "high", "High";
        /// To plan a fix for.
        Medium = "medium", "Medium";
        /// Matters under unusual circumstances.
        Low = "low", "Low";
        /// Worth knowing.
        Note = "note", "Note";
    }
}

words! {
    /// How sure a rule is of its finding.
    Confidence {
        /// Nearly always right.
        High = "high", "High";
        /// Usually right.
        Medium = "medium", "Medium";
        /// Often a false alarm.
        Low = "low", "Low";
    }
}

words! {
    /// Where a run stands.
    RunState {
        /// It is not over.
        Running = "running", "Running";
        /// It looked at everything.
        Completed = "completed", "Completed";
        /// It could not look at everything.
        Inconclusive = "inconclusive", "Inconclusive";
        /// It failed.
        Failed = "failed", "Failed";
        /// It was asked to stop, and did.
        Cancelled = "cancelled", "Cancelled";
        /// It was ended without being asked.
        Terminated = "terminated", "Terminated";
        /// Its time was over.
        TimedOut = "timed-out", "Timed out";
    }
}

words! {
    /// Where a step of a run stands.
    StepState {
        /// It waits for others, or for a worker.
        Pending = "pending", "Waiting";
        /// It runs.
        Running = "running", "Running";
        /// It looked at everything.
        Completed = "completed", "Completed";
        /// It could not look at everything.
        Inconclusive = "inconclusive", "Inconclusive";
        /// It failed after all retries.
        Failed = "failed", "Failed";
        /// It did not run.
        Skipped = "skipped", "Skipped";
        /// It was cancelled.
        Cancelled = "cancelled", "Cancelled";
    }
}

words! {
    /// What became of a finding since the target was looked at before.
    Presence {
        /// It was not there before.
        New = "new", "New";
        /// It was there before.
        Present = "present", "Still there";
        /// It had gone, and is back.
        Reopened = "reopened", "Reopened";
        /// It is no longer there.
        Fixed = "fixed", "Gone";
    }
}

words! {
    /// What people decided about a finding.
    Triage {
        /// Nobody decided yet.
        Open = "open", "Open";
        /// It is true.
        Confirmed = "confirmed", "Confirmed";
        /// It is not true.
        FalsePositive = "false_positive", "False positive";
        /// It is true and will stay, for a while.
        AcceptedRisk = "accepted_risk", "Accepted risk";
        /// It has been dealt with.
        Fixed = "fixed", "Fixed";
    }
}

words! {
    /// What somebody may do, from the least to the most.
    Role {
        /// Look.
        Viewer = "viewer", "Viewer";
        /// And triage, and start runs.
        Analyst = "analyst", "Analyst";
        /// And cancel, drain, schedule and upload.
        Operator = "operator", "Operator";
        /// And tokens, namespaces, webhooks and the audit log.
        Admin = "admin", "Admin";
        /// Nothing of this: a worker's token only polls for work.
        Worker = "worker", "Worker";
    }
}

impl Role {
    /// Whether somebody of this role may do what `needed` may.
    pub fn may(self, needed: Self) -> bool {
        self == needed || (self != Self::Worker && needed != Self::Worker && self > needed)
    }
}

words! {
    /// The order of a list of findings.
    Order {
        /// The worst first.
        Severity = "severity", "Severity";
        /// The one that appeared last first.
        Newest = "newest", "Newest";
        /// The one that a run saw last first.
        LastSeen = "last_seen", "Last seen";
        /// By the file.
        Path = "path", "Path";
    }
}

words! {
    /// Light or dark.
    Theme {
        /// As the system has it.
        System = "system", "As the system";
        /// Light.
        Light = "light", "Light";
        /// Dark.
        Dark = "dark", "Dark";
    }
}

words! {
    /// What a worker does with new work.
    WorkerState {
        /// Takes it.
        Ready = "ready", "Ready";
        /// Finishes what it has, and takes nothing new.
        Draining = "draining", "Draining";
        /// Has not been heard of for a while.
        Lost = "lost", "Not heard of";
    }
}

/// The name of the cookie that holds the name of a [`Theme`]. It is set by the script of the pages, so it is not `HttpOnly`.
pub const THEME_COOKIE: &str = "helve_theme";

impl RunState {
    /// Whether nothing more will happen.
    pub const fn is_over(self) -> bool {
        !matches!(self, Self::Running)
    }
}

/// How many findings there are of each severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SeverityCounts {
    /// Critical ones.
    pub critical: u64,
    /// High ones.
    pub high: u64,
    /// Medium ones.
    pub medium: u64,
    /// Low ones.
    pub low: u64,
    /// Notes.
    pub note: u64,
}

impl SeverityCounts {
    /// Those of one severity.
    pub const fn of(&self, severity: Severity) -> u64 {
        match severity {
            Severity::Critical => self.critical,
            Severity::High => self.high,
            Severity::Medium => self.medium,
            Severity::Low => self.low,
            Severity::Note => self.note,
        }
    }

    /// All of them.
    pub const fn total(&self) -> u64 {
        self.critical
            .saturating_add(self.high)
            .saturating_add(self.medium)
            .saturating_add(self.low)
            .saturating_add(self.note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_may_do_nothing_on_pages_and_nobody_may_do_what_it_does() {
        for role in Role::ALL.iter().filter(|role| **role != Role::Worker) {
            assert!(!Role::Worker.may(*role) && !role.may(Role::Worker), "{role:?}");
        }
        assert!(Role::Admin.may(Role::Viewer) && Role::Analyst.may(Role::Analyst));
        assert!(!Role::Viewer.may(Role::Analyst));
    }

    #[test]
    fn a_name_leads_back_to_its_word() {
        for triage in Triage::ALL {
            assert_eq!(Triage::from_name(triage.name()), Some(*triage));
        }
        assert_eq!(Severity::from_name("Critical"), None);
    }
}
