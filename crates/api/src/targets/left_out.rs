//! What a client that packed a target itself left out: only it knows, and reports must say where nobody looked.

use helve_blobs::Skipped;
use helve_runs::TargetFacts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Names that are kept, of each kind: they are shown in listings.
const NAMES: usize = 20;
/// Characters of a name or a reason.
const LONGEST: usize = 500;

/// What packing left out, or took although ignore files name it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LeftOut {
    /// Entries that ignore files excluded.
    ignored: u64,
    /// Files that were taken although ignore files name them: the first few.
    forced: Vec<String>,
    /// How many.
    forced_total: u64,
    /// What could not be taken: the first few.
    skipped: Vec<SkippedEntry>,
    /// How many.
    skipped_total: u64,
}

/// Something that could not be packed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SkippedEntry {
    /// Its path below the target.
    path: String,
    /// Why.
    reason: String,
}

impl LeftOut {
    /// As much of it as is kept.
    pub(crate) fn bounded(self) -> Self {
        let text = |text: String| -> String {
            let plain = text
                .chars()
                .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
            plain.take(LONGEST).collect()
        };
        let (forced, skipped) = (self.forced.len() as u64, self.skipped.len() as u64);
        Self {
            ignored: self.ignored,
            forced: self.forced.into_iter().take(NAMES).map(text).collect(),
            forced_total: self.forced_total.max(forced),
            skipped: self
                .skipped
                .into_iter()
                .take(NAMES)
                .map(|entry| SkippedEntry {
                    path: text(entry.path),
                    reason: text(entry.reason),
                })
                .collect(),
            skipped_total: self.skipped_total.max(skipped),
        }
    }

    /// Says it of a target, beside what unpacking and packing it here said.
    pub(crate) fn add_to(&self, facts: &mut TargetFacts) {
        facts.ignored = facts.ignored.saturating_add(self.ignored);
        facts.forced.extend(self.forced.iter().cloned());
        facts.forced_total = facts.forced_total.saturating_add(self.forced_total);
        facts.skipped.extend(self.skipped.iter().map(|entry| Skipped {
            path: entry.path.clone(),
            reason: entry.reason.clone(),
        }));
        facts.skipped_total = facts.skipped_total.saturating_add(self.skipped_total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_left_out_is_bounded_and_counted() {
        let entry = |n: usize| SkippedEntry {
            path: format!("{n}\n{}", "x".repeat(1000)),
            reason: "cannot be read".into(),
        };
        let left = LeftOut {
            skipped: (0..30).map(entry).collect(),
            ..LeftOut::default()
        };
        let mut facts = TargetFacts {
            skipped_total: 1,
            ..TargetFacts::default()
        };
        left.bounded().add_to(&mut facts);
        assert_eq!((facts.skipped.len(), facts.skipped_total), (NAMES, 31));
        assert!(
            facts
                .skipped
                .iter()
                .all(|entry| entry.path.chars().count() == LONGEST && !entry.path.contains('\n'))
        );
    }
}
