//! Which of the waiting starts may go ahead, by their overlap policies.

use temporalio_protos::temporal::api::enums::v1::ScheduleOverlapPolicy as Policy;

/// What becomes of the starts that wait.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chosen<S> {
    /// These may start beside anything.
    pub(crate) beside: Vec<S>,
    /// This one may start because nothing runs.
    pub(crate) alone: Option<S>,
    /// These go on waiting.
    pub(crate) waiting: Vec<S>,
    /// So many are skipped for good.
    pub(crate) skipped: i64,
    /// What must be done to what runs, for the first waiting one to start.
    pub(crate) end: Option<End>,
}

/// How a running workflow is made to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Cancel,
    Terminate,
}

/// Chooses. `busy` means that something runs, or is about to. `policy` says which policy holds for a start.
pub(crate) fn choose<S>(starts: Vec<S>, busy: bool, policy: impl Fn(&S) -> Policy) -> Chosen<S> {
    let mut chosen = Chosen {
        beside: Vec::new(),
        alone: None,
        waiting: Vec::new(),
        skipped: 0,
        end: None,
    };
    for start in starts {
        let policy = policy(&start);
        if policy == Policy::AllowAll {
            chosen.beside.push(start);
            continue;
        }
        if !busy && chosen.alone.is_none() {
            chosen.alone = Some(start);
            continue;
        }
        match policy {
            Policy::BufferOne if chosen.waiting.is_empty() => chosen.waiting.push(start),
            Policy::BufferAll => chosen.waiting.push(start),
            Policy::CancelOther | Policy::TerminateOther if busy => {
                let end = if policy == Policy::CancelOther {
                    End::Cancel
                } else {
                    End::Terminate
                };
                chosen.end = chosen.end.max(Some(end));
                chosen.waiting.push(start);
            }
            // What would have to end has not begun: it is replaced.
            Policy::CancelOther | Policy::TerminateOther => chosen.alone = Some(start),
            _ => chosen.skipped += 1,
        }
    }
    if chosen.end.is_some() {
        // They would be ended at once.
        chosen.beside.clear();
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(busy: bool, starts: &[(u32, Policy)]) -> Chosen<(u32, Policy)> {
        choose(starts.to_vec(), busy, |(_, policy)| *policy)
    }

    fn ids(starts: &[(u32, Policy)]) -> Vec<u32> {
        starts.iter().map(|(id, _)| *id).collect()
    }

    #[test]
    fn each_policy_does_what_it_says_while_a_workflow_runs() {
        use Policy::{AllowAll, BufferAll, BufferOne, CancelOther, Skip, TerminateOther};
        for (policy, beside, waiting, skipped, end) in [
            (Skip, vec![], vec![], 2, None),
            (BufferOne, vec![], vec![1], 1, None),
            (BufferAll, vec![], vec![1, 2], 0, None),
            (AllowAll, vec![1, 2], vec![], 0, None),
            (CancelOther, vec![], vec![1, 2], 0, Some(End::Cancel)),
            (TerminateOther, vec![], vec![1, 2], 0, Some(End::Terminate)),
        ] {
            let chosen = with(true, &[(1, policy), (2, policy)]);
            assert_eq!(ids(&chosen.beside), beside, "{policy:?}");
            assert_eq!(ids(&chosen.waiting), waiting, "{policy:?}");
            assert_eq!(
                (chosen.skipped, chosen.end, chosen.alone),
                (skipped, end, None),
                "{policy:?}"
            );
        }
    }

    #[test]
    fn each_policy_starts_one_when_nothing_runs() {
        use Policy::{BufferAll, BufferOne, CancelOther, Skip, TerminateOther};
        for (policy, alone, waiting) in [
            (Skip, 1, vec![]),
            (BufferOne, 1, vec![2]),
            (BufferAll, 1, vec![2, 3]),
            // The last one wins.
            (CancelOther, 3, vec![]),
            (TerminateOther, 3, vec![]),
        ] {
            let chosen = with(false, &[(1, policy), (2, policy), (3, policy)]);
            assert_eq!(chosen.alone.map(|(id, _)| id), Some(alone), "{policy:?}");
            assert_eq!(ids(&chosen.waiting), waiting, "{policy:?}");
            assert_eq!(chosen.end, None);
        }
    }

    #[test]
    fn terminating_is_stronger_than_cancelling_and_both_hold_back_the_others() {
        use Policy::{AllowAll, CancelOther, TerminateOther};
        let chosen = with(true, &[(1, TerminateOther), (2, CancelOther), (3, AllowAll)]);
        assert_eq!(chosen.end, Some(End::Terminate));
        assert!(chosen.beside.is_empty());
    }
}
