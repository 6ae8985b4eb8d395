//! `helve`: the command line, and the only place that picks implementations.

mod access;
mod app;
mod build;
mod cli;
mod cluster;
mod connect;
mod doorway;
mod embedded;
mod errors;
mod grants;
mod health;
mod http;
mod logging;
mod mesh;
mod monitoring;
mod oidc;
mod paths;
mod place;
mod progress;
mod recycling;
mod render;
mod rest;
mod retention;
mod server;
mod signals;
mod stage;
mod takeover;
mod terminal;
mod tls;
mod traces;
mod trouble;
mod verbs;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Verb};
use errors::{FAILED, Problem, USAGE};
use terminal::{eprint_line, say_problem};

/// Tasks and messages come and go in great numbers and on many threads: the usual allocator takes a sixth of the engine's
/// time more.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            match std::env::args_os().any(|argument| argument == "--json") {
                true => eprint_line(&wrong_usage(&error).to_json().to_string()),
                false => drop(error.print()),
            }
            return ExitCode::from(USAGE);
        }
        Err(error) => {
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
    };
    terminal::errors_as_json(cli.global.json);
    // A server has nobody to answer to, so its log is how it speaks.
    let talkative = u8::from(matches!(cli.verb, Verb::Up(_) | Verb::Worker(_) | Verb::Relay(_)));
    let (exporting, exporter) = match traces::of(&cli.global) {
        Ok(traces) => traces,
        Err(problem) => {
            say_problem(&problem);
            return ExitCode::from(USAGE);
        }
    };
    logging::init(
        cli.global.verbose.saturating_add(talkative),
        cli.global.log_format,
        exporting,
    );
    quiet_panics();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads())
        .enable_all()
        .build()
        .map_err(|error| Problem::new(format!("the process cannot start its threads: {error}")))
        .and_then(|runtime| {
            let outcome = runtime.block_on(traces::around(exporter, |metrics| verbs::run(cli, metrics)));
            // A module that does not stop must not keep the process: its step is durable.
            runtime.shutdown_background();
            outcome
        });
    let outcome = match terminal::lost_output() {
        Some(error) => outcome.and(Err(Problem::io("write", Path::new("standard output"), error))),
        None => outcome,
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(problem) => {
            say_problem(&problem);
            ExitCode::from(FAILED)
        }
    }
}

/// A command line that makes no sense, for programs: the first lines say what is wrong, the rest how it is used.
fn wrong_usage(error: &clap::Error) -> Problem {
    let text = error.render().to_string();
    let (wrong, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut lines = wrong.lines().map(|line| line.trim().to_owned());
    let problem = Problem::new(lines.next().unwrap_or_default())
        .details(lines)
        .code("usage");
    let rest: Vec<&str> = rest.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    problem.help(rest.join("; "))
}

/// One for every two cores. What computes for long (modules, packing, WebAssembly) and what waits for the disk has threads of
/// its own; these pass messages on, and a message that finds a thread at work is cheaper than one that must wake another:
/// with one thread on two cores a workflow takes two thirds of the time.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}

/// A panic of a module is caught and reported as the failure of its step; nobody needs it on the screen twice. What is
/// left is a defect of Helve itself.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::debug!(place, message, "panic");
        if std::thread::current().name() == Some("main") {
            eprint_line(&format!(
                "error: Helve has a defect: {message} ({place})\n help: please report it; nothing that was finished is lost"
            ));
        }
    }));
}
