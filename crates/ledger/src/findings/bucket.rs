//! Severity, suppression, triage and status of a finding in one small number, which indices sort by.

use helve_findings::Severity;

use crate::findings::{Status, SuppressedBy, Triage};

/// What the number stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Bucket {
    pub(crate) severity: Severity,
    pub(crate) suppressed: Option<SuppressedBy>,
    pub(crate) triage: Triage,
    pub(crate) status: Status,
}

const SUPPRESSIONS: [Option<SuppressedBy>; 3] = [None, Some(SuppressedBy::File), Some(SuppressedBy::Inline)];

impl Bucket {
    /// Buckets of one severity.
    const OF_SEVERITY: i64 = (SUPPRESSIONS.len() * Triage::ALL.len() * Status::ALL.len()) as i64;

    pub(crate) fn number(self) -> i64 {
        let suppressed = match self.suppressed {
            None => 0,
            Some(SuppressedBy::File) => 1,
            Some(SuppressedBy::Inline) => 2,
        };
        let within = (suppressed * Triage::ALL.len() + self.triage as usize) * Status::ALL.len() + self.status as usize;
        self.severity as i64 * Self::OF_SEVERITY + within as i64
    }

    /// None if no bucket has this number.
    pub(crate) fn from_number(number: i64) -> Option<Self> {
        let number = usize::try_from(number).ok()?;
        let (rest, status) = (number / Status::ALL.len(), number % Status::ALL.len());
        let (rest, triage) = (rest / Triage::ALL.len(), rest % Triage::ALL.len());
        let (severity, suppressed) = (rest / SUPPRESSIONS.len(), rest % SUPPRESSIONS.len());
        Some(Bucket {
            severity: *Severity::ALL.get(severity)?,
            suppressed: SUPPRESSIONS[suppressed],
            triage: Triage::ALL[triage],
            status: Status::ALL[status],
        })
    }

    /// All there are, worst severity first.
    pub(crate) fn all() -> impl Iterator<Item = Bucket> {
        (0..Severity::ALL.len() as i64 * Self::OF_SEVERITY)
            .rev()
            .filter_map(Bucket::from_number)
    }

    /// Whether somebody has to do something about a finding in it.
    pub(crate) fn is_due(self) -> bool {
        self.status.is_there() && self.triage.is_due() && self.suppressed.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_has_its_own_number_and_worse_ones_have_higher_numbers() {
        let all: Vec<Bucket> = Bucket::all().collect();
        assert_eq!(all.len(), 300);
        for pair in all.windows(2) {
            assert_eq!(pair[0].number(), pair[1].number() + 1);
            assert!(pair[0].severity >= pair[1].severity);
        }
        for bucket in all {
            assert_eq!(Bucket::from_number(bucket.number()), Some(bucket));
        }
        assert_eq!(Bucket::from_number(300), None);
        assert_eq!(Bucket::from_number(-1), None);
    }
}
