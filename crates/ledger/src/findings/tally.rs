//! What is counted beside the rows, so that charts and overviews read a few numbers: collected while a change is decided,
//! written with it.

use std::collections::BTreeMap;

use helve_db::Batch;

use crate::{findings::bucket::Bucket, time::Time};

/// Differences to what is counted.
#[derive(Default)]
pub(crate) struct Tally {
    buckets: BTreeMap<(i64, i64, i64), i64>,
    /// Opened and closed by (namespace, target, day, severity).
    days: BTreeMap<(i64, i64, i64, i64), (i64, i64)>,
    names: BTreeMap<i64, i64>,
}

/// Stands for all targets of a namespace.
pub(crate) const ALL_TARGETS: i64 = 0;

impl Tally {
    /// A finding goes from one bucket to another; none: it is not in the index then.
    pub(crate) fn moved(&mut self, namespace: i64, target: i64, from: Option<Bucket>, to: Option<Bucket>) {
        if from == to {
            return;
        }
        for target in [target, ALL_TARGETS] {
            for (bucket, change) in [(from, -1), (to, 1)] {
                if let Some(bucket) = bucket {
                    *self.buckets.entry((namespace, target, bucket.number())).or_default() += change;
                }
            }
        }
    }

    /// At this time a finding became something to do, or something that is done; `sign` is -1 to take that back.
    pub(crate) fn turned(
        &mut self,
        namespace: i64,
        target: i64,
        at: Time,
        from: Option<Bucket>,
        to: Option<Bucket>,
        sign: i64,
    ) {
        let due = |bucket: Option<Bucket>| bucket.filter(|bucket| bucket.is_due()).map(|bucket| bucket.severity);
        let (from, to) = (due(from), due(to));
        if from == to {
            return;
        }
        for target in [target, ALL_TARGETS] {
            let day = at.day();
            if let Some(severity) = from {
                self.days
                    .entry((namespace, target, day, severity as i64))
                    .or_default()
                    .1 += sign;
            }
            if let Some(severity) = to {
                self.days
                    .entry((namespace, target, day, severity as i64))
                    .or_default()
                    .0 += sign;
            }
        }
    }

    /// One finding more (or fewer) has this name.
    pub(crate) fn named(&mut self, name: Option<i64>, change: i64) {
        if let Some(name) = name {
            *self.names.entry(name).or_default() += change;
        }
    }

    pub(crate) fn write(self, batch: &mut Batch) {
        for ((namespace, target, bucket), change) in self.buckets {
            if change != 0 {
                batch.run(
                    "INSERT INTO bucket_counts (namespace, target, bucket, findings) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (namespace, target, bucket) DO UPDATE SET findings = findings + excluded.findings",
                    vec![namespace.into(), target.into(), bucket.into(), change.into()],
                );
            }
        }
        for ((namespace, target, day, severity), (opened, closed)) in self.days {
            if (opened, closed) != (0, 0) {
                batch.run(
                    "INSERT INTO day_counts (namespace, target, day, severity, opened, closed) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT (namespace, target, day, severity)
                     DO UPDATE SET opened = opened + excluded.opened, closed = closed + excluded.closed",
                    vec![
                        namespace.into(),
                        target.into(),
                        day.into(),
                        severity.into(),
                        opened.into(),
                        closed.into(),
                    ],
                );
            }
        }
        for (name, change) in self.names {
            if change != 0 {
                batch.run(
                    "UPDATE names SET findings = findings + ?2 WHERE no = ?1",
                    vec![name.into(), change.into()],
                );
            }
        }
    }
}
