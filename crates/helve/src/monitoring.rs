//! What programs of monitoring are told: figures that only this crate can bring together, and an address of their own.

use std::net::SocketAddr;
use std::sync::Arc;

use helve_ledger::Ledger;
use helve_metrics::{Collect, Registry, Text};

use crate::errors::{Problem, Result};
use crate::health::Health;
use crate::terminal::eprint_line;

/// How far tools are shut in on this machine.
pub(crate) struct SandboxFigures(pub(crate) String);

impl Collect for SandboxFigures {
    fn collect(&self, text: &mut Text) {
        text.value(
            "helve_worker_sandbox_info",
            "The level at which tools run; the value is always 1.",
            &[("level", &self.0)],
            1.0,
        );
    }
}

/// Adds what is counted of a ledger.
pub(crate) fn add_ledger(metrics: &Registry, ledger: &Ledger) {
    let (figures, store) = ledger.figures();
    metrics.add(figures);
    metrics.add(Arc::new(store));
    let ledger = ledger.clone();
    metrics.before(move || {
        let ledger = ledger.clone();
        async move {
            if let Err(error) = ledger.look_at_outbox().await {
                tracing::warn!(%error, "it cannot be counted how many webhooks wait");
            }
        }
    });
}

/// Serves the figures without a token, if asked to: only to programs of this machine.
pub(crate) async fn serve(address: Option<SocketAddr>, metrics: &Registry) -> Result<Option<Health>> {
    let Some(address) = address else { return Ok(None) };
    if !address.ip().is_loopback() {
        return Err(Problem::new(format!(
            "{address} can be reached from other machines, and figures are given there to anybody"
        ))
        .help(
            "name a loopback address such as --metrics 127.0.0.1:9090; from other machines, `/metrics` of --http \
                     gives them to whoever has a token",
        ));
    }
    let served = Health::serve(address, "--metrics", None, metrics.clone()).await?;
    eprint_line(&format!("metrics  http://{}/metrics", served.address));
    Ok(Some(served))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn figures_without_a_token_are_for_this_machine_only() {
        let error = serve(Some("0.0.0.0:0".parse().unwrap()), &Registry::new()).await;
        let Err(error) = error else { panic!("it is served") };
        assert!(error.to_string().contains("whoever has a token"), "{error}");
    }
}
