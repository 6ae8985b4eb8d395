//! Running programs: their output goes through, and stays readable afterwards.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use anyhow::{Context, Result};

/// What a program printed, on both streams as the lines came, and whether it left well.
pub(crate) struct Output {
    pub(crate) success: bool,
    pub(crate) lines: Vec<String>,
}

impl Output {
    pub(crate) fn text(&self) -> String {
        self.lines.join("\n")
    }
}

/// Runs a program and shows its output at once.
pub(crate) fn show(command: &mut Command) -> Result<Output> {
    run(command, true)
}

/// Runs a program and keeps its output to ourselves.
pub(crate) fn quietly(command: &mut Command) -> Result<Output> {
    run(command, false)
}

fn run(command: &mut Command, shown: bool) -> Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("`{name}` cannot be started"))?;
    let (sender, receiver) = channel();
    let streams: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|s| Box::new(s) as _),
        child.stderr.take().map(|s| Box::new(s) as _),
    ];
    for stream in streams.into_iter().flatten() {
        let sender = sender.clone();
        thread::spawn(move || forward(stream, &sender));
    }
    drop(sender);
    let mut lines = Vec::new();
    for line in receiver {
        if shown {
            // A closed terminal must not end the checks half-way.
            let _ = writeln!(io::stdout(), "{line}");
        }
        lines.push(line);
    }
    let status = child.wait().with_context(|| format!("waiting for `{name}`"))?;
    Ok(Output {
        success: status.success(),
        lines,
    })
}

fn forward(stream: impl Read, sender: &Sender<String>) {
    for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
        if sender
            .send(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned())
            .is_err()
        {
            return;
        }
    }
}

/// Whether a program can be started at all.
pub(crate) fn exists(program: &str, argument: &str) -> bool {
    Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
