//! Ctrl-C and SIGTERM: the first asks, the second insists.

use tokio_util::sync::CancellationToken;

use crate::errors::INTERRUPTED;
use crate::terminal::eprint_line;

/// Listens from now on. The token is cancelled by the first signal; the second ends the process at once.
pub(crate) fn listen() -> CancellationToken {
    let token = CancellationToken::new();
    let asked = token.clone();
    tokio::spawn(async move {
        let Some(mut signals) = Signals::new() else { return };
        signals.next().await;
        asked.cancel();
        signals.next().await;
        eprint_line("interrupted again: leaving at once");
        std::process::exit(INTERRUPTED.into());
    });
    token
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// None when the system refuses: then the default action, ending the process, stays in force.
    fn new() -> Option<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Some(Self {
            interrupt: signal(SignalKind::interrupt()).ok()?,
            terminate: signal(SignalKind::terminate()).ok()?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Option<Self> {
        Some(Self)
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
