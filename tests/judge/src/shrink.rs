//! The smallest part of a log that shows a violation.
//!
//! To leave a call out is not enough: without a write, every read of it would look wrong. So calls are loosened instead: one that is
//! not shown may have been answered in any way, and have taken effect at any later time, or never; and what was there before the
//! first call that is shown may be anything. If what is left still cannot be, then the whole log cannot.

use std::collections::BTreeSet;

use crate::order::{Model, Timed, check_from};

/// The places of calls that have no order together, given the place where the search for one ended.
pub(crate) fn shrink<M: Model>(model: &M, calls: &[Timed<M::Call>], failed: usize) -> Vec<usize> {
    let end = calls[failed].ended.unwrap_or(u64::MAX);
    let mut order: Vec<_> = (0..calls.len()).filter(|place| calls[*place].began <= end).collect();
    order.sort_by_key(|place| (calls[*place].began, *place));

    // Some answers cannot be, whatever happened.
    if fails(model, calls, &order, None, &[failed]) {
        return vec![failed];
    }
    // The latest beginning from which on it is wrong, whatever was there before.
    let (mut low, mut high) = (0, order.len());
    while low + 1 < high {
        let middle = usize::midpoint(low, high);
        match fails(model, calls, &order, Some(middle), &order[middle..]) {
            true => low = middle,
            false => high = middle,
        }
    }
    let first = fails(model, calls, &order, Some(low), &order[low..]).then_some(low);
    let mut kept = order[first.unwrap_or(0)..].to_vec();
    kept.retain(|place| calls[*place].ended.is_some());
    // Large parts first, then single ones.
    let mut size = kept.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < kept.len() {
            let end = kept.len().min(at + size);
            let fewer = [&kept[..at], &kept[end..]].concat();
            match fails(model, calls, &order, first, &fewer) {
                true => kept = fewer,
                false => at = end,
            }
        }
        size /= 2;
    }
    kept
}

/// Whether these calls have no order, when all others are loosened and what was before the first of the window may be anything.
fn fails<M: Model>(
    model: &M,
    calls: &[Timed<M::Call>],
    order: &[usize],
    window: Option<usize>,
    kept: &[usize],
) -> bool {
    let from = window.map_or(0, |window| calls[order[window]].began);
    let kept: BTreeSet<_> = kept.iter().copied().collect();
    let (mut left, mut loose) = (Vec::new(), Vec::new());
    for place in order {
        let call = &calls[*place];
        if kept.contains(place) && call.ended.is_some() {
            left.push(call.clone());
        } else if call.ended.is_none_or(|ended| ended >= from)
            && let Some(loosened) = model.loosen(&call.call)
        {
            loose.push(Timed {
                began: call.began,
                ended: None,
                call: loosened,
            });
        }
    }
    let loose = {
        let answers: Vec<_> = left.iter().map(|timed| &timed.call).collect();
        model.helpful(loose, &answers)
    };
    left.extend(loose);
    let states = match window {
        None => vec![model.initial()],
        Some(_) => model.states(&left.iter().map(|timed| &timed.call).collect::<Vec<_>>()),
    };
    check_from(model, &states, &left).is_err()
}
