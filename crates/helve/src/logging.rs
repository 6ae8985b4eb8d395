//! Logs to standard error, off unless asked for: text for people, or a JSON object a line for programs.

mod json;

use clap::ValueEnum;
use helve_trace::Exporting;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use json::Json;

/// Variable with filters such as `info,helve_worker=debug`; wins over `-v`.
const VARIABLE: &str = "HELVE_LOG";

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line: time, level, target, message, fields, and the run and step within which it was said.
    Json,
}

/// Installs the subscriber. Errors of the worker and the workflow code are always shown; those of the engine reach
/// the user as the answer to what was asked of it.
pub(crate) fn init(verbose: u8, format: LogFormat, traces: Option<Exporting>) {
    let default = match verbose {
        0 => "off,helve_worker=error,helve_runtime=error",
        // openraft warns of every message that a node that is away does not get. What it comes to, `helve_cluster` says.
        1 => {
            "warn,openraft=off,helve=info,helve_engine=info,helve_worker=info,helve_runtime=info,helve_db=info,helve_cluster=info"
        }
        2 => {
            "info,openraft=off,helve=debug,helve_engine=debug,helve_worker=debug,helve_runtime=debug,helve_db=debug,\
             helve_cluster=debug"
        }
        _ => "debug",
    };
    let wanted = std::env::var(VARIABLE).ok().filter(|value| !value.is_empty());
    let filter = wanted
        .and_then(|text| EnvFilter::try_new(text).ok())
        .unwrap_or_else(|| EnvFilter::new(default));
    // A second subscriber in one process is refused; tests that start several do not care.
    let _ = tracing_subscriber::registry()
        .with(traces.map(Exporting::filtered))
        .with(lines(format).with_filter(filter))
        .try_init();
}

fn lines<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    match format {
        LogFormat::Text => {
            let style = crate::terminal::Style::stderr();
            tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(style.colour)
                .boxed()
        }
        LogFormat::Json => Json::new(std::io::stderr).boxed(),
    }
}
