//! Whether calls can be put in one order in which each takes effect at a moment between its beginning and its end.
//!
//! Wing and Gong's question, answered as Lowe does: go through the log by time, and keep every state that the server could be in,
//! together with which of the calls under way have taken effect. A call is given its moment no earlier than something needs it: when
//! it ends, or when one that ends could not have been answered so without it. What keeps this quick:
//!
//! - Equal states are kept once. A call of unknown outcome never has to take effect, so a state that needed fewer of them stands for
//!   those that needed more.
//! - A call that only looks has its moment as soon as what it saw is there.
//! - A call of unknown outcome takes effect only if somebody needs just what it brings about; of those that do the same, the first.
//!
//! The question stays a hard one: it is hundreds of calls of unknown outcome on one thing that make it slow, whatever their order. Who
//! writes a log spreads such calls over many keys.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;

/// What must be there for a call to be answered so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need<S> {
    /// It does not matter what is there, nor does it afterwards.
    Nothing,
    /// This.
    This(S),
    /// Anything else.
    AnyBut(S),
    /// That is not said.
    Unclear,
}

/// What calls do.
pub trait Model {
    /// What the server remembers.
    type State: Clone + Eq + Hash;
    /// A call with its answer.
    type Call: Clone + Eq + Hash;

    /// What is there before the first call.
    fn initial(&self) -> Self::State;

    /// What is there after a call; none if it cannot be answered so.
    fn step(&self, state: &Self::State, call: &Self::Call) -> Option<Self::State>;

    /// Whether a call never changes anything.
    fn is_look(&self, call: &Self::Call) -> bool;

    /// What must be there for a call to do, or to be answered, what it does.
    fn need(&self, _call: &Self::Call) -> Need<Self::State> {
        Need::Unclear
    }

    /// The same call without its answer: it may have done whatever such a call can do. None if that is nothing.
    fn loosen(&self, call: &Self::Call) -> Option<Self::Call>;

    /// All states that these calls can tell apart, for when it is not known what was there before them.
    fn states(&self, calls: &[&Self::Call]) -> Vec<Self::State>;

    /// Of loosened calls, those that could help to explain these answers; all, if that is not known.
    fn helpful(&self, loose: Vec<Timed<Self::Call>>, _kept: &[&Self::Call]) -> Vec<Timed<Self::Call>> {
        loose
    }
}

/// A call and when it was.
#[derive(Debug, Clone)]
pub struct Timed<C> {
    /// When it was sent.
    pub began: u64,
    /// When its answer was there; none: it may take effect at any later time, or never.
    pub ended: Option<u64>,
    /// The call.
    pub call: C,
}

/// A state that the server could be in.
#[derive(Debug, Clone)]
struct Possible<S> {
    state: S,
    /// Calls under way that have taken effect, by their places, in order.
    done: Vec<usize>,
    /// Calls of unknown outcome that have, likewise.
    used: Vec<usize>,
}

/// States that the server could be in, without those that another one stands for.
struct Kept<S> {
    known: HashMap<(S, Vec<usize>), Vec<Vec<usize>>>,
}

impl<S: Clone + Eq + Hash> Kept<S> {
    fn new() -> Self {
        Self { known: HashMap::new() }
    }

    /// Whether it is one that no other stands for.
    fn add(&mut self, possible: &Possible<S>) -> bool {
        let key = (possible.state.clone(), possible.done.clone());
        let used = self.known.entry(key).or_default();
        if used.iter().any(|fewer| contains(&possible.used, fewer)) {
            return false;
        }
        used.retain(|more| !contains(more, &possible.used));
        used.push(possible.used.clone());
        true
    }

    fn all(self) -> Vec<Possible<S>> {
        let each = |((state, done), many): ((S, Vec<usize>), Vec<Vec<usize>>)| {
            many.into_iter().map(move |used| Possible {
                state: state.clone(),
                done: done.clone(),
                used,
            })
        };
        self.known.into_iter().flat_map(each).collect()
    }
}

/// Whether one sorted list has all of another one.
fn contains(all: &[usize], some: &[usize]) -> bool {
    some.len() <= all.len() && some.iter().all(|one| all.binary_search(one).is_ok())
}

fn with(list: &[usize], one: usize) -> Vec<usize> {
    let mut list = list.to_vec();
    let at = list.binary_search(&one).unwrap_or_else(|at| at);
    list.insert(at, one);
    list
}

fn without(list: &[usize], one: usize) -> Vec<usize> {
    list.iter().copied().filter(|other| *other != one).collect()
}

/// Looks for such an order.
///
/// # Errors
///
/// With the place of the call at whose end none is left.
pub fn check<M: Model>(model: &M, calls: &[Timed<M::Call>]) -> Result<(), usize> {
    check_from(model, &[model.initial()], calls)
}

/// The same when any of these states may have been there before.
pub(crate) fn check_from<M: Model>(model: &M, first: &[M::State], calls: &[Timed<M::Call>]) -> Result<(), usize> {
    // At one moment, what begins comes before what ends: that leaves most orders.
    let mut moments: Vec<(u64, bool, usize)> = Vec::with_capacity(calls.len() * 2);
    for (place, call) in calls.iter().enumerate() {
        moments.push((call.began, false, place));
        moments.extend(call.ended.map(|ended| (ended, true, place)));
    }
    moments.sort_unstable();
    let mut possible: Vec<_> = first
        .iter()
        .map(|state| Possible {
            state: state.clone(),
            done: Vec::new(),
            used: Vec::new(),
        })
        .collect();
    let (mut open, mut unknown) = (Vec::new(), Vec::new());
    for (_, ends, place) in moments {
        if !ends {
            match calls[place].ended {
                Some(_) => open.push(place),
                None => unknown.push(place),
            }
            continue;
        }
        possible = end(model, calls, possible, (&open, &unknown), place);
        if possible.is_empty() {
            return Err(place);
        }
        open.retain(|other| *other != place);
        // What took effect in every possible state did: it is not looked at again.
        let settled: Vec<_> = possible[0]
            .used
            .iter()
            .copied()
            .filter(|one| possible.iter().all(|other| other.used.binary_search(one).is_ok()))
            .collect();
        if !settled.is_empty() {
            unknown.retain(|one| !settled.contains(one));
            for other in &mut possible {
                other.used.retain(|one| !settled.contains(one));
            }
        }
    }
    Ok(())
}

/// What is possible when this call has ended: it has taken effect, after as many others as that needed.
fn end<M: Model>(
    model: &M,
    calls: &[Timed<M::Call>],
    before: Vec<Possible<M::State>>,
    (open, unknown): (&[usize], &[usize]),
    place: usize,
) -> Vec<Possible<M::State>> {
    let wanted = Wanted::of(model, calls, open, unknown);
    let (mut seen, mut after) = (Kept::new(), Kept::new());
    let mut waiting = VecDeque::new();
    for possible in before {
        let possible = look(model, calls, open, possible);
        if seen.add(&possible) {
            waiting.push_back(possible);
        }
    }
    while let Some(possible) = waiting.pop_front() {
        if possible.done.binary_search(&place).is_ok() {
            after.add(&Possible {
                done: without(&possible.done, place),
                ..possible
            });
            continue;
        }
        for other in open.iter().copied() {
            if possible.done.binary_search(&other).is_ok() {
                continue;
            }
            if let Some(state) = model.step(&possible.state, &calls[other].call) {
                let next = Possible {
                    state,
                    done: with(&possible.done, other),
                    used: possible.used.clone(),
                };
                let next = look(model, calls, open, next);
                if seen.add(&next) {
                    waiting.push_back(next);
                }
            }
        }
        for alike in wanted.of_unknown(&possible.state) {
            // Of those that do the same, one is as good as the other.
            let unused = |other: &&usize| possible.used.binary_search(other).is_err();
            let Some(other) = alike.iter().find(unused).copied() else {
                continue;
            };
            match model.step(&possible.state, &calls[other].call) {
                // One that nobody heard of need not have taken effect, so it did not if nobody needs that.
                Some(state) if state != possible.state && wanted.is_wanted(&state, &possible.state) => {
                    let next = Possible {
                        state,
                        done: possible.done.clone(),
                        used: with(&possible.used, other),
                    };
                    let next = look(model, calls, open, next);
                    if seen.add(&next) {
                        waiting.push_back(next);
                    }
                }
                _ => {}
            }
        }
    }
    after.all()
}

/// Gives all calls under way that only look, and saw what is there, their moment.
fn look<M: Model>(
    model: &M,
    calls: &[Timed<M::Call>],
    open: &[usize],
    mut possible: Possible<M::State>,
) -> Possible<M::State> {
    for place in open {
        let call = &calls[*place].call;
        if model.is_look(call)
            && possible.done.binary_search(place).is_err()
            && model.step(&possible.state, call).is_some()
        {
            possible.done = with(&possible.done, *place);
        }
    }
    possible
}

/// What calls under way need to be there.
struct Wanted<S> {
    these: HashSet<S>,
    any_but: HashSet<S>,
    all: bool,
    /// Those of unknown outcome, with others that do the same, and of these the ones that bring about what is wanted.
    unknown: Vec<Vec<usize>>,
    helpful: Vec<Vec<usize>>,
}

impl<S: Clone + Eq + Hash> Wanted<S> {
    fn of<M: Model<State = S>>(model: &M, calls: &[Timed<M::Call>], open: &[usize], unknown: &[usize]) -> Self {
        let mut wanted = Self {
            these: HashSet::new(),
            any_but: HashSet::new(),
            all: false,
            unknown: Vec::new(),
            helpful: Vec::new(),
        };
        for place in open {
            match model.need(&calls[*place].call) {
                Need::Nothing => {}
                Need::This(state) => {
                    wanted.these.insert(state);
                }
                Need::AnyBut(state) => {
                    wanted.any_but.insert(state);
                }
                Need::Unclear => wanted.all = true,
            }
        }
        // What those of unknown outcome bring about, and what they need for that.
        let mut alike: HashMap<&M::Call, Vec<usize>> = HashMap::new();
        for place in unknown {
            alike.entry(&calls[*place].call).or_default().push(*place);
        }
        let mut brings = Vec::new();
        let mut needed: HashMap<S, Vec<S>> = HashMap::new();
        for (call, places) in alike {
            let brought = match model.need(call) {
                Need::Nothing => model.step(&model.initial(), call),
                Need::This(state) => {
                    let brought = model.step(&state, call);
                    if let Some(brought) = &brought {
                        needed.entry(brought.clone()).or_default().push(state);
                    }
                    brought
                }
                Need::AnyBut(_) | Need::Unclear => {
                    wanted.all = true;
                    None
                }
            };
            brings.push((brought, places));
        }
        let mut new: Vec<_> = wanted.these.iter().cloned().collect();
        while let Some(state) = new.pop() {
            for needed in needed.get(&state).into_iter().flatten() {
                if wanted.these.insert(needed.clone()) {
                    new.push(needed.clone());
                }
            }
        }
        for (brought, places) in brings {
            if wanted.all || brought.is_some_and(|brought| wanted.these.contains(&brought)) {
                wanted.helpful.push(places.clone());
            }
            wanted.unknown.push(places);
        }
        wanted
    }

    /// Those of unknown outcome that may help from here.
    fn of_unknown(&self, state: &S) -> &[Vec<usize>] {
        match self.any_but.contains(state) {
            true => &self.unknown,
            false => &self.helpful,
        }
    }

    fn is_wanted(&self, state: &S, before: &S) -> bool {
        // Whoever needs anything else is content after one step.
        self.all || self.these.contains(state) || self.any_but.contains(before)
    }
}
