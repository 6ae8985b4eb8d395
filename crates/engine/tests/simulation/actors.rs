//! A tiny executor for everybody who is not the engine: disk, network, workers, clients. One thread, and chance decides
//! who goes first.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Wake, Waker},
};

use crate::rng::Rng;

#[derive(Default)]
pub(crate) struct Actors {
    actors: RefCell<BTreeMap<u64, Actor>>,
    ready: Ready,
    spawned: Cell<u64>,
}

type Ready = Arc<Mutex<BTreeSet<u64>>>;
type Actor = Pin<Box<dyn Future<Output = ()>>>;

struct Ring {
    actor: u64,
    ready: Ready,
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.ready.lock().unwrap().insert(self.actor);
    }
}

impl Actors {
    pub(crate) fn spawn(&self, actor: impl Future<Output = ()> + 'static) {
        let id = self.spawned.get();
        self.spawned.set(id + 1);
        self.actors.borrow_mut().insert(id, Box::pin(actor));
        self.ready.lock().unwrap().insert(id);
    }

    /// Lets one of those who can go on do so; `false` if everybody waits.
    pub(crate) fn step(&self, rng: &RefCell<Rng>) -> bool {
        let id = {
            let mut ready = self.ready.lock().unwrap();
            let Some(count) = u64::try_from(ready.len()).ok().filter(|count| *count > 0) else {
                return false;
            };
            let chosen = rng.borrow_mut().below(count);
            let id = *ready.iter().nth(chosen as usize).unwrap();
            ready.remove(&id);
            id
        };
        // Taken out, since it may spawn others.
        let Some(mut actor) = self.actors.borrow_mut().remove(&id) else {
            return true;
        };
        let waker = Waker::from(Arc::new(Ring {
            actor: id,
            ready: self.ready.clone(),
        }));
        if actor.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            self.actors.borrow_mut().insert(id, actor);
        }
        true
    }

    /// Whether somebody can go on.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.lock().unwrap().is_empty()
    }

    /// Ends everybody.
    pub(crate) fn clear(&self) {
        let actors = std::mem::take(&mut *self.actors.borrow_mut());
        drop(actors);
    }
}
