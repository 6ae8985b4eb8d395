//! All figures of a process.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::Text;

/// Writes what it counted.
pub trait Collect: Send + Sync {
    /// Adds all its figures. Called when somebody reads; must not wait for anything.
    fn collect(&self, text: &mut Text);
}

/// Looks something up before the figures are written. Dropped if it takes too long: then the figures are those of before.
type Look = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// All figures of a process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Registry {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    sources: Mutex<Vec<Arc<dyn Collect>>>,
    looks: Mutex<Vec<Look>>,
}

/// A moment in the life of a registry.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    sources: usize,
    looks: usize,
}

impl Registry {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds figures.
    pub fn add(&self, source: Arc<dyn Collect>) {
        let mut sources = self.inner.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.push(source);
    }

    /// Adds something that is to be looked up before figures are written.
    pub fn before<F>(&self, look: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut looks = self.inner.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.push(Arc::new(move || Box::pin(look())));
    }

    /// What has been added so far, for [`Registry::forget_since`].
    pub fn mark(&self) -> Mark {
        let sources = self.inner.sources.lock().unwrap_or_else(PoisonError::into_inner).len();
        let looks = self.inner.looks.lock().unwrap_or_else(PoisonError::into_inner).len();
        Mark { sources, looks }
    }

    /// Removes what was added after the mark: its owner has ended, and will be there again under the same names.
    pub fn forget_since(&self, mark: Mark) {
        let mut sources = self.inner.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.truncate(mark.sources);
        let mut looks = self.inner.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.truncate(mark.looks);
    }

    /// What is to be looked up, for the caller to bound in time: `within` is how long all of it may take.
    pub fn looks(&self) -> (impl Future<Output = ()> + Send + use<>, Duration) {
        let looks = self.inner.looks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let all = async move {
            for look in looks {
                look().await;
            }
        };
        (all, Duration::from_secs(2))
    }

    /// All figures as they are now.
    pub fn text(&self) -> String {
        let sources = self
            .inner
            .sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let mut text = Text::default();
        for source in sources {
            source.collect(&mut text);
        }
        text.finish()
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}
