//! A supervisor that is kept ready: making namespaces and entering control groups is most of what a start takes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::supervisor::Supervisor;
use crate::wire::Ground;

/// At most one supervisor, for tools that need nothing unusual.
#[derive(Debug)]
pub(crate) struct Spare {
    ground: Ground,
    ready: Arc<Mutex<Place>>,
}

#[derive(Debug)]
enum Place {
    Empty,
    /// One is on its way.
    Promised,
    Ready(Box<Ready>),
}

#[derive(Debug)]
struct Ready {
    supervisor: Supervisor,
    /// What was mounted when it was started: its namespace does not see what was mounted later.
    mounts: Option<String>,
}

impl Spare {
    pub(crate) fn new(ground: Ground) -> Self {
        Spare {
            ground,
            ready: Arc::new(Mutex::new(Place::Empty)),
        }
    }

    /// The supervisor that is ready, if it is one for such a ground.
    pub(crate) fn take(&self, ground: &Ground) -> Option<Supervisor> {
        if *ground != self.ground {
            return None;
        }
        let place = {
            let mut place = lock(&self.ready);
            match *place {
                Place::Ready(_) => std::mem::replace(&mut *place, Place::Empty),
                _ => return None,
            }
        };
        match place {
            Place::Ready(ready) if ready.mounts.is_some() && ready.mounts == mounts() => Some(ready.supervisor),
            _ => None,
        }
    }

    /// Whether one is ready.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(*lock(&self.ready), Place::Ready(_))
    }

    /// Starts another one in the background, if there is none. Without one, tools take a little longer to start.
    pub(crate) fn refill(&self) {
        {
            let mut place = lock(&self.ready);
            if !matches!(*place, Place::Empty) {
                return;
            }
            *place = Place::Promised;
        }
        let (ground, ready) = (self.ground.clone(), Arc::clone(&self.ready));
        tokio::spawn(async move {
            let mounts = mounts();
            let launched = Supervisor::launch(&ground).await;
            *lock(&ready) = match launched {
                Ok(supervisor) => Place::Ready(Box::new(Ready { supervisor, mounts })),
                Err(error) => {
                    tracing::debug!(%error, "no supervisor is kept ready");
                    Place::Empty
                }
            };
        });
    }
}

fn mounts() -> Option<String> {
    std::fs::read_to_string("/proc/self/mountinfo").ok()
}

fn lock(place: &Mutex<Place>) -> MutexGuard<'_, Place> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Options, Sandbox, Spec};

    #[tokio::test]
    async fn a_ready_supervisor_that_was_killed_is_no_fault_of_the_next_tool() {
        let sandbox = Sandbox::open(Options {
            keep_ready: true,
            ..Options::default()
        });
        let sandbox = sandbox.await.unwrap();
        while !sandbox.is_ready() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        sandbox.spare().unwrap().kill();
        assert!(sandbox.run(&Spec::new(["true"])).await.unwrap().outcome.is_clean_exit());
    }

    impl Spare {
        fn kill(&self) {
            let Place::Ready(ready) = &mut *lock(&self.ready) else {
                panic!("nothing is ready");
            };
            ready.supervisor.kill();
        }
    }
}
