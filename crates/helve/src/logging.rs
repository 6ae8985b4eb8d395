//! Logs to standard error, off unless asked for.

use tracing_subscriber::EnvFilter;

/// Variable with filters such as `info,helve_worker=debug`; wins over `-v`.
const VARIABLE: &str = "HELVE_LOG";

/// Installs the subscriber. Errors of the worker and the workflow code are always shown; those of the engine reach
/// the user as the answer to what was asked of it.
pub(crate) fn init(verbose: u8) {
    let default = match verbose {
        0 => "off,helve_worker=error,helve_runtime=error",
        1 => "warn,helve=info,helve_engine=info,helve_worker=info,helve_runtime=info,helve_db=info",
        2 => "info,helve=debug,helve_engine=debug,helve_worker=debug,helve_runtime=debug,helve_db=debug",
        _ => "debug",
    };
    let wanted = std::env::var(VARIABLE).ok().filter(|value| !value.is_empty());
    let filter = wanted
        .and_then(|text| EnvFilter::try_new(text).ok())
        .unwrap_or_else(|| EnvFilter::new(default));
    let style = crate::terminal::Style::stderr();
    // A second subscriber in one process is refused; tests that start several do not care.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(style.colour)
        .try_init();
}
