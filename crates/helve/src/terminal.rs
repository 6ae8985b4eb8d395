//! Standard output and error: who reads them, and writing without panicking when nobody does.

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

/// Width when the terminal does not tell.
const DEFAULT_WIDTH: usize = 100;
/// Narrower than this, wrapping makes things worse.
const MIN_WIDTH: usize = 60;
/// Wider than this, lines are hard to read.
const MAX_WIDTH: usize = 180;

/// How to write to one of the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    /// A person reads it as it comes.
    pub(crate) terminal: bool,
    /// Colours are welcome.
    pub(crate) colour: bool,
    /// Columns.
    pub(crate) width: usize,
}

impl Style {
    /// For files and pipes: nothing is wrapped, cut or coloured.
    pub(crate) const PLAIN: Self = Self {
        terminal: false,
        colour: false,
        width: usize::MAX,
    };

    /// Of standard output.
    pub(crate) fn stdout() -> Self {
        static STYLE: OnceLock<Style> = OnceLock::new();
        *STYLE.get_or_init(|| Self::detect(io::stdout().is_terminal()))
    }

    /// Of standard error.
    pub(crate) fn stderr() -> Self {
        static STYLE: OnceLock<Style> = OnceLock::new();
        *STYLE.get_or_init(|| Self::detect(io::stderr().is_terminal()))
    }

    fn detect(terminal: bool) -> Self {
        if !terminal {
            return Self::PLAIN;
        }
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let width = terminal_size::terminal_size().map_or(DEFAULT_WIDTH, |(width, _)| usize::from(width.0));
        Self {
            terminal: true,
            colour: !unwanted,
            width: width.clamp(MIN_WIDTH, MAX_WIDTH),
        }
    }

    /// Text in a colour, given as the parameters of an SGR sequence.
    pub(crate) fn paint(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() && !code.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Writes to standard output. A reader that left (`helve findings X | head`) is not an error.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        let _ = LOST.set(error);
    }
}

static LOST: OnceLock<io::Error> = OnceLock::new();

/// Why a part of the output was lost, if it was: what a script stored is then not the whole.
pub(crate) fn lost_output() -> Option<&'static io::Error> {
    LOST.get()
}

/// Writes a line to standard error.
pub(crate) fn eprint_line(text: &str) {
    let mut err = io::stderr().lock();
    let _ = writeln!(err, "{text}");
}

/// Writes a JSON document to standard output.
pub(crate) fn print_json(value: &serde_json::Value) {
    print(&format!("{value:#}\n"));
}

static JSON: OnceLock<bool> = OnceLock::new();

/// Lets errors be written for programs, or for people.
pub(crate) fn errors_as_json(json: bool) {
    let _ = JSON.set(json);
}

/// Writes an error to standard error: for people, or with `--json` as one line for programs.
pub(crate) fn say_problem(problem: &crate::errors::Problem) {
    match JSON.get() {
        Some(true) => eprint_line(&problem.to_json().to_string()),
        _ => eprint_line(&problem.render(Style::stderr().colour)),
    }
}

/// Writes a JSON document to standard output in a line of its own, for what comes piece by piece.
pub(crate) fn print_json_line(value: &serde_json::Value) {
    print(&format!("{value}\n"));
}

/// Text from a target or a workflow, harmless for a terminal: no control characters, so no escape sequences and no
/// extra lines, and no characters that reorder what is read.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' | '\n' | '\r' => ' ',
            c if c.is_control() || is_reordering(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

fn is_reordering(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scanned_repository_cannot_control_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\nc\u{202e}d"), "a\u{fffd}[2Jb c\u{fffd}d");
    }

    #[test]
    fn plain_output_has_no_colours() {
        assert_eq!(Style::PLAIN.paint("31", "x"), "x");
        assert_eq!(
            Style {
                colour: true,
                ..Style::PLAIN
            }
            .paint("31", "x"),
            "\x1b[31mx\x1b[0m"
        );
    }
}
