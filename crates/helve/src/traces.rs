//! Traces of this process, if somebody takes them.

use std::time::Duration;

use helve_metrics::Registry;
use helve_trace::{Exporter, Exporting, exporter};
use tokio::sync::oneshot;

use crate::cli::Global;
use crate::errors::{Problem, Result};

/// How long the last spans may take when the process leaves.
const FAREWELL: Duration = Duration::from_secs(3);

/// The two ends of what is exported: what collects spans, and what sends them.
pub(crate) fn of(global: &Global) -> Result<(Option<Exporting>, Option<Exporter>)> {
    let Some(endpoint) = global.otlp.as_ref().filter(|endpoint| !endpoint.is_empty()) else {
        return Ok((None, None));
    };
    let (exporting, sender) = exporter(endpoint, &global.otlp_headers, "helve").map_err(|error| {
        Problem::new(error.to_string()).help("--otlp (or OTEL_EXPORTER_OTLP_ENDPOINT) is such as http://127.0.0.1:4318")
    })?;
    Ok((Some(exporting), Some(sender)))
}

/// Runs something, and sends its spans meanwhile.
pub(crate) async fn around<T, F>(exporter: Option<Exporter>, work: impl FnOnce(Registry) -> F) -> T
where
    F: Future<Output = T>,
{
    let metrics = Registry::new();
    let Some(exporter) = exporter else {
        return work(metrics).await;
    };
    metrics.add(exporter.figures());
    let (stop, stopped) = oneshot::channel::<()>();
    let sending = tokio::spawn(exporter.run(async {
        let _ = stopped.await;
    }));
    let done = work(metrics).await;
    drop(stop);
    let _ = tokio::time::timeout(FAREWELL, sending).await;
    done
}
