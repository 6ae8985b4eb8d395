//! What becomes of a finding: a function of the facts about it, in their order. No IO, no clock.
//!
//! The order is that of time: runs by the time they closed (and their ids), decisions by when they were made, a run before a
//! decision of the same millisecond. An ingest applies one more fact to what is stored, or, if it is not the last one, all of
//! them again.

use helve_findings::Severity;
use serde::{Deserialize, Serialize};

use crate::{
    Actor,
    findings::{Status, SuppressedBy, Triage, bucket::Bucket},
    time::Time,
};

/// A workflow and a module, by their numbers: what can look for the same thing again.
pub(crate) type Lane = (i64, i64);

/// What is known of a finding after some facts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Life {
    pub(crate) bucket: Bucket,
    pub(crate) until: Option<Time>,
    /// Sorted.
    pub(crate) lanes: Vec<Lane>,
    pub(crate) first: Seen,
    pub(crate) last: Seen,
    /// When something last happened to it.
    pub(crate) moved_at: Time,
    /// When somebody last decided; the beginning of time if nobody did.
    pub(crate) decided_at: Time,
}

/// A run that saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) run: i64,
    pub(crate) at: Time,
}

/// How a run saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sight {
    pub(crate) severity: Severity,
    pub(crate) suppressed: Option<SuppressedBy>,
    pub(crate) lane: Lane,
}

/// Something that happened, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) at: Time,
    pub(crate) run: Option<i64>,
    pub(crate) what: What,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    New,
    Fixed,
    Reopened,
    Severity { from: Severity, to: Severity },
    Suppression(Option<SuppressedBy>),
    Triaged { from: Triage, decision: Decision },
    Commented { by: Actor, comment: String },
    Expired,
}

/// What somebody decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Decision {
    pub(crate) by: Actor,
    pub(crate) to: Triage,
    pub(crate) until: Option<Time>,
    pub(crate) comment: String,
}

impl Life {
    /// A run sees it for the first time.
    pub(crate) fn begin(seen: Seen, sight: Sight, events: &mut Vec<Event>) -> Self {
        let life = Life {
            bucket: Bucket {
                severity: sight.severity,
                suppressed: sight.suppressed,
                triage: Triage::Open,
                status: Status::New,
            },
            until: None,
            lanes: vec![sight.lane],
            first: seen,
            last: seen,
            moved_at: seen.at,
            decided_at: Time::from_millis(i64::MIN),
        };
        events.push(Event::of_run(seen, What::New));
        life
    }

    /// A run sees it again.
    pub(crate) fn see(&mut self, seen: Seen, sight: Sight, events: &mut Vec<Event>) {
        let is_reopened = self.bucket.status == Status::Fixed || self.bucket.triage == Triage::Fixed;
        if is_reopened {
            self.bucket.status = Status::Reopened;
            if self.bucket.triage == Triage::Fixed {
                self.bucket.triage = Triage::Open;
            }
            self.happened(events, Event::of_run(seen, What::Reopened));
        } else {
            self.bucket.status = Status::StillThere;
        }
        if self.bucket.severity != sight.severity {
            let (from, to) = (self.bucket.severity, sight.severity);
            self.bucket.severity = to;
            self.happened(events, Event::of_run(seen, What::Severity { from, to }));
        }
        if self.bucket.suppressed != sight.suppressed {
            self.bucket.suppressed = sight.suppressed;
            self.happened(events, Event::of_run(seen, What::Suppression(sight.suppressed)));
        }
        if let Err(place) = self.lanes.binary_search(&sight.lane) {
            self.lanes.insert(place, sight.lane);
        }
        self.last = seen;
    }

    /// A run looked for it and did not see it.
    pub(crate) fn miss(&mut self, run: Seen, events: &mut Vec<Event>) {
        if self.bucket.status != Status::Fixed {
            self.bucket.status = Status::Fixed;
            self.happened(events, Event::of_run(run, What::Fixed));
        }
    }

    /// Somebody decides. The caller sees to it that this is later than all before ([`Life::not_before`]).
    pub(crate) fn decide(&mut self, at: Time, decision: Decision, events: &mut Vec<Event>) {
        let from = self.bucket.triage;
        self.bucket.triage = decision.to;
        self.until = decision.until;
        self.decided_at = at;
        let what = What::Triaged { from, decision };
        self.happened(events, Event { at, run: None, what });
    }

    /// Somebody says something.
    pub(crate) fn comment(&mut self, at: Time, by: Actor, comment: String, events: &mut Vec<Event>) {
        self.decided_at = at;
        let what = What::Commented { by, comment };
        self.happened(events, Event { at, run: None, what });
    }

    /// The accepted risk ends.
    pub(crate) fn expire(&mut self, at: Time, events: &mut Vec<Event>) {
        self.decided_at = at;
        self.until = None;
        if self.bucket.triage == Triage::AcceptedRisk {
            self.bucket.triage = Triage::Open;
            let what = What::Expired;
            self.happened(events, Event { at, run: None, what });
        }
    }

    /// The time of a decision that is made now: a clock that was set back puts none before what it was made on.
    pub(crate) fn not_before(&self, now: Time) -> Time {
        now.max(self.moved_at).max(self.last.at)
    }

    fn happened(&mut self, events: &mut Vec<Event>, event: Event) {
        self.moved_at = self.moved_at.max(event.at);
        events.push(event);
    }
}

impl Event {
    fn of_run(seen: Seen, what: What) -> Self {
        Event {
            at: seen.at,
            run: Some(seen.run),
            what,
        }
    }
}

/// What a run looked at, by the numbers of modules.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Looks {
    pub(crate) modules: Vec<Look>,
    /// Paths that nobody could look at.
    pub(crate) skipped: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Look {
    pub(crate) module: i64,
    pub(crate) could_look: bool,
    pub(crate) skipped: Vec<String>,
}

impl Looks {
    /// Whether a run of this workflow looked for a finding that was seen in these lanes, at this path. One of its modules must
    /// have found it before, and each that did must have looked there: "could not look" is never "clean".
    pub(crate) fn looked_for(&self, workflow: i64, lanes: &[Lane], path: &str) -> bool {
        if is_under(path, &self.skipped) {
            return false;
        }
        let mut finders = self
            .modules
            .iter()
            .filter(|look| lanes.binary_search(&(workflow, look.module)).is_ok())
            .peekable();
        finders.peek().is_some() && finders.all(|look| look.could_look && !is_under(path, &look.skipped))
    }
}

/// Whether one of the folders or files is this path or above it.
fn is_under(path: &str, skipped: &[String]) -> bool {
    skipped.iter().any(|skipped| {
        let folder = skipped.trim_end_matches('/');
        folder.is_empty()
            || path
                .strip_prefix(folder)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(could_look: bool, skipped: &[&str]) -> Looks {
        Looks {
            modules: vec![Look {
                module: 7,
                could_look,
                skipped: skipped.iter().map(|path| (*path).to_owned()).collect(),
            }],
            skipped: Vec::new(),
        }
    }

    #[test]
    fn only_a_module_that_found_it_before_in_the_same_workflow_looks_for_it() {
        assert!(looks(true, &[]).looked_for(1, &[(1, 7)], "a/b"));
        assert!(!looks(true, &[]).looked_for(2, &[(1, 7)], "a/b"));
        assert!(!looks(true, &[]).looked_for(1, &[(1, 8)], "a/b"));
        assert!(!looks(false, &[]).looked_for(1, &[(1, 7)], "a/b"));
    }

    #[test]
    fn a_path_that_was_skipped_was_not_looked_at_nor_what_is_below_it() {
        for (skipped, looked) in [
            ("a", false),
            ("a/", false),
            ("a/b", false),
            ("a/b/c", true),
            ("a/bc", true),
            ("", false),
        ] {
            assert_eq!(
                looks(true, &[skipped]).looked_for(1, &[(1, 7)], "a/b"),
                looked,
                "{skipped}"
            );
        }
    }
}
