//! Virtual time: it stands still until everybody waits, and then jumps to whatever comes first.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use helve_engine::{Clock, Timestamp};

/// The one clock of a world: the engine, its disk, the network, workers and clients all wait by it.
#[derive(Clone)]
pub(crate) struct VirtualClock(Arc<Mutex<State>>);

struct State {
    now: Timestamp,
    asked: u64,
    waiting: BTreeMap<(Timestamp, u64), Waker>,
}

impl VirtualClock {
    pub(crate) fn new(now: Timestamp) -> Self {
        VirtualClock(Arc::new(Mutex::new(State {
            now,
            asked: 0,
            waiting: BTreeMap::new(),
        })))
    }

    pub(crate) fn sleep(&self, duration: Duration) -> Sleep {
        self.until(self.now() + duration)
    }

    pub(crate) fn until(&self, at: Timestamp) -> Sleep {
        Sleep {
            clock: self.clone(),
            at,
            key: None,
        }
    }

    /// When somebody wants to be woken next.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.0.lock().unwrap().waiting.keys().next().map(|key| key.0)
    }

    /// Moves the time on and wakes everybody whose time has come, in the order in which they asked.
    pub(crate) fn jump(&self, to: Timestamp) {
        let mut state = self.0.lock().unwrap();
        state.now = state.now.max(to);
        let later = state.waiting.split_off(&(to, u64::MAX));
        let due = std::mem::replace(&mut state.waiting, later);
        drop(state);
        due.into_values().for_each(Waker::wake);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().now
    }

    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.until(at))
    }
}

pub(crate) struct Sleep {
    clock: VirtualClock,
    at: Timestamp,
    key: Option<(Timestamp, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.clock.0.lock().unwrap();
        if state.now >= this.at {
            return Poll::Ready(());
        }
        let key = *this.key.get_or_insert_with(|| {
            state.asked += 1;
            (this.at, state.asked)
        });
        state.waiting.insert(key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.clock.0.lock().unwrap().waiting.remove(&key);
        }
    }
}
