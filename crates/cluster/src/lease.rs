//! How long a leader may believe that it still leads.
//!
//! A voter that heard from a leader refuses to vote for another one for a whole election timeout after that. So a leader
//! that knows when a majority last heard from it (no earlier than the questions were sent that were answered since) knows until
//! when there can be no other. It counts a part of that only, since clocks do not run equally fast.
//!
//! When the voters change, those who are new may not have been heard of yet. But nobody can be elected by the new ones who does
//! not know of them, and who does has just heard from this leader: so for a moment the majority of before is enough.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::types::NodeId;

/// What a node knows of who heard from it.
pub(crate) struct Lease {
    node: NodeId,
    length: Duration,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    term: u64,
    by: HashMap<NodeId, Instant>,
    /// Sets of voters; a majority of each is needed.
    voters: Vec<BTreeSet<NodeId>>,
    /// Those of before, which are enough for the leader of this term until then.
    before: Option<(Vec<BTreeSet<NodeId>>, u64, Instant)>,
}

impl Lease {
    /// Of this node, in a cluster in which nobody votes for another leader for `election` after hearing from one.
    pub(crate) fn new(node: NodeId, election: Duration) -> Self {
        Lease {
            node,
            length: election * 4 / 5,
            heard: Mutex::default(),
        }
    }

    /// A node answered what this one, as the leader of a term, sent then.
    pub(crate) fn acknowledged(&self, term: u64, by: NodeId, sent: Instant) {
        let mut heard = self.heard();
        if term > heard.term {
            heard.term = term;
            heard.by.clear();
        }
        if term == heard.term {
            let last = heard.by.entry(by).or_insert(sent);
            *last = sent.max(*last);
        }
    }

    /// Who votes from now on, in this term. To be told soon after it is so: half the time is left for being late.
    pub(crate) fn set_voters(&self, voters: Vec<BTreeSet<NodeId>>, term: u64, now: Instant) {
        let mut heard = self.heard();
        if heard.voters == voters {
            return;
        }
        let is_held = self.has_majorities(&heard, &heard.voters, term, now);
        let before = std::mem::replace(&mut heard.voters, voters);
        heard.before = is_held.then(|| (before, term, now + self.length / 2));
    }

    /// Whether this node is certain that nobody else leads, as the leader of a term.
    pub(crate) fn is_held(&self, term: u64, now: Instant) -> bool {
        let heard = self.heard();
        let were_enough = || {
            heard.before.as_ref().is_some_and(|(before, of, until)| {
                *of == term && now < *until && self.has_majorities(&heard, before, term, now)
            })
        };
        self.has_majorities(&heard, &heard.voters, term, now) || were_enough()
    }

    fn has_majorities(&self, heard: &Heard, voters: &[BTreeSet<NodeId>], term: u64, now: Instant) -> bool {
        let is_fresh = |voter: &NodeId| {
            *voter == self.node
                || heard.term == term
                    && heard
                        .by
                        .get(voter)
                        .is_some_and(|sent| now.saturating_duration_since(*sent) < self.length)
        };
        !voters.is_empty()
            && voters
                .iter()
                .all(|voters| voters.iter().filter(|voter| is_fresh(voter)).count() > voters.len() / 2)
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ELECTION: Duration = Duration::from_millis(1000);

    fn three() -> Lease {
        let lease = Lease::new(1, ELECTION);
        lease.set_voters(vec![BTreeSet::from([1, 2, 3])], 0, Instant::now());
        lease
    }

    #[test]
    fn a_majority_that_heard_lately_is_enough_and_it_ends_before_anybody_may_vote_again() {
        let (lease, now) = (three(), Instant::now());
        assert!(!lease.is_held(5, now));
        lease.acknowledged(5, 2, now);
        assert!(lease.is_held(5, now + ELECTION / 2));
        assert!(!lease.is_held(5, now + ELECTION * 9 / 10));
        assert!(!lease.is_held(6, now));
    }

    #[test]
    fn what_was_heard_in_another_term_counts_for_nothing() {
        let (lease, now) = (three(), Instant::now());
        lease.acknowledged(5, 2, now);
        lease.acknowledged(6, 3, now - ELECTION);
        assert!(!lease.is_held(6, now));
        lease.acknowledged(5, 2, now);
        assert!(!lease.is_held(5, now));
    }

    #[test]
    fn while_voters_change_both_majorities_are_needed() {
        let (lease, now) = (three(), Instant::now());
        lease.set_voters(vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([1, 4, 5])], 1, now);
        lease.acknowledged(1, 2, now);
        assert!(!lease.is_held(1, now));
        lease.acknowledged(1, 4, now);
        assert!(lease.is_held(1, now));
    }

    #[test]
    fn a_node_alone_needs_nobody() {
        let lease = Lease::new(1, ELECTION);
        lease.set_voters(vec![BTreeSet::from([1])], 1, Instant::now());
        assert!(lease.is_held(1, Instant::now()));
    }

    #[test]
    fn while_new_voters_were_not_heard_of_those_of_before_are_enough_for_a_moment() {
        let (lease, now) = (Lease::new(1, ELECTION), Instant::now());
        lease.set_voters(vec![BTreeSet::from([1])], 1, now);
        lease.set_voters(vec![BTreeSet::from([1, 2])], 1, now);
        assert!(lease.is_held(1, now + ELECTION / 4));
        assert!(!lease.is_held(1, now + ELECTION / 2), "it is not enough for long");
        assert!(!lease.is_held(2, now), "nor in another term");
        lease.acknowledged(1, 2, now + ELECTION / 2);
        assert!(lease.is_held(1, now + ELECTION));

        // A leader that had lost its majority gets it back from nobody.
        let lease = three();
        lease.set_voters(vec![BTreeSet::from([1, 2, 3, 4])], 1, now);
        assert!(!lease.is_held(1, now));
    }
}
