//! Errors as the user reads them: what happened, to what, what to do.

use std::fmt;
use std::io;
use std::path::Path;

use crate::terminal::clean;
use serde_json::{Value, json};
use temporalio_client::errors::ClientConnectError;
use temporalio_client::tonic::{Code, Status};

/// Exit code of an error.
pub(crate) const FAILED: u8 = 1;
/// Exit code when `--fail-on` is met.
pub(crate) const FINDINGS: u8 = 2;
/// Exit code of a command line that makes no sense (2, which clap uses, means findings here).
pub(crate) const USAGE: u8 = 64;
/// Exit code of a worker that wants to be started again: it has worked long enough. Also called `EX_TEMPFAIL`.
pub(crate) const RECYCLED: u8 = 75;
/// Exit code after Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// What a verb returns.
pub(crate) type Result<T, E = Problem> = std::result::Result<T, E>;

/// One thing that went wrong.
#[derive(Debug)]
pub(crate) struct Problem {
    what: String,
    details: Vec<String>,
    help: Option<String>,
    code: Option<String>,
}

impl Problem {
    /// What happened, to what.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            details: Vec::new(),
            help: None,
            code: None,
        }
    }

    /// What happened, to what, on one line.
    pub(crate) fn plain(&self) -> String {
        self.what.clone()
    }

    /// What to do about it.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What to do about it, if anything is known.
    pub(crate) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    /// A word for programs.
    pub(crate) fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// For programs: `{"error": {...}}`.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "error": {
                "message": plain(&self.what),
                "help": self.help,
                "details": self.details,
                "code": self.code.as_deref().unwrap_or("error"),
            }
        })
    }

    /// A line of detail, such as one wrong field.
    pub(crate) fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }

    /// Several of them.
    pub(crate) fn details(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(lines);
        self
    }

    /// An operation on a file or folder that failed.
    pub(crate) fn io(action: &str, path: &Path, error: &io::Error) -> Self {
        let problem = Self::new(format!("cannot {action} {}: {}", path.display(), reason(error)));
        match error.kind() {
            io::ErrorKind::PermissionDenied => {
                problem.help("check the owner and mode of the path, or choose another one")
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                problem.help("free some space, or use another --data-dir; nothing that was finished is lost")
            }
            io::ErrorKind::ReadOnlyFilesystem => problem.help("the file system is read-only: choose another path"),
            io::ErrorKind::NotADirectory => problem.help("a part of the path is a file"),
            _ => problem,
        }
    }

    /// The text for standard error, without a final line break.
    pub(crate) fn render(&self, colour: bool) -> String {
        let paint = |code: &str, text: &str| {
            if colour {
                format!("\x1b[{code}m{text}\x1b[0m")
            } else {
                text.to_owned()
            }
        };
        // What an error quotes may come from a target, a toolbox or a server.
        let lines = |text: &str, indent: &str| {
            let lines: Vec<String> = text.lines().map(|line| clean(&plain(line))).collect();
            lines.join(&format!("\n{indent}"))
        };
        let mut text = format!("{} {}", paint("1;31", "error:"), lines(&self.what, ""));
        for detail in &self.details {
            text.push_str(&format!("\n  {}", lines(detail, "  ")));
        }
        if let Some(help) = &self.help {
            text.push_str(&format!("\n{} {}", paint("1;36", " help:"), lines(help, "       ")));
        }
        text
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// A line of an error as a person reads it: without the number of a system error, and without a second `error:` where
/// a library puts one of its own.
pub(crate) fn plain(line: &str) -> String {
    let line = line.strip_prefix("error: ").unwrap_or(line);
    match line.split_once(" (os error ") {
        Some((before, rest)) => format!("{before}{}", rest.split_once(')').map_or("", |(_, after)| after)),
        None => line.to_owned(),
    }
}

/// What the operating system said, without the number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((said, _)) => said.to_lowercase(),
        None => text,
    }
}

/// The engine refused, or is not there.
pub(crate) fn refused(what: &str, status: &Status) -> Problem {
    let message = status.message();
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded => Problem::new(format!("{what}: the engine does not answer"))
            .maybe_detail(message)
            .help("if it was stopped, start it again and attach with `helve run --resume RUN_ID`; nothing is lost"),
        Code::ResourceExhausted => Problem::new(format!("{what}: the engine is busy or out of room: {message}"))
            .help("try again in a moment; check the free space of the data directory"),
        Code::PermissionDenied | Code::Unauthenticated => Problem::new(format!("{what}: not allowed: {message}")),
        _ => Problem::new(format!("{what}: {message}")),
    }
}

/// No connection to a Temporal server.
pub(crate) fn unreachable(address: &str, error: &ClientConnectError) -> Problem {
    if let ClientConnectError::SystemInfoCallError(status) = error
        && matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied)
    {
        return Problem::new(format!(
            "the Temporal server at {address} does not let you in: {}",
            status.message()
        ))
        .code("unauthenticated")
        .help(
            "give a token of that server with --token-file FILE or HELVE_TOKEN; `helve tokens make` on it makes one",
        );
    }
    let reason = match error {
        ClientConnectError::TonicTransportError(error) => innermost(error),
        ClientConnectError::SystemInfoCallError(status) => status.message().to_owned(),
        ClientConnectError::DnsResolutionError { source, .. } => source.to_string(),
        ClientConnectError::InvalidUri(error) => error.to_string(),
        ClientConnectError::InvalidConfig(text) => text.clone(),
        other => innermost(other),
    };
    let (reason, help) = about_tls(&reason).unwrap_or((
        &reason,
        "check the address and that the server runs (write temporals:// if it has a certificate), or leave out --engine to use \
         the embedded engine",
    ));
    Problem::new(format!("cannot reach the Temporal server at {address}: {reason}")).help(help)
}

/// What the libraries below say when the two sides do not agree about TLS, in plain words.
fn about_tls(reason: &str) -> Option<(&str, &'static str)> {
    if reason.contains("http2 error") || reason == "transport error" || reason.contains("connection closed") {
        Some((
            "what answers there does not speak gRPC without TLS",
            "write temporals:// if it has a certificate; check the port",
        ))
    } else if reason.contains("InvalidContentType") {
        Some((
            "what answers there does not speak TLS",
            "write temporal:// if it has no certificate",
        ))
    } else if reason.contains("peer certificate") {
        Some((
            reason,
            "name the authority that signed the server's certificate with --tls-ca, and the server as the certificate does",
        ))
    } else if reason.contains("CertificateRequired") || reason.contains("received fatal alert") {
        Some((
            reason,
            "the server refused the handshake: it may want a certificate of --tls-client-cert that its authority signed",
        ))
    } else {
        None
    }
}

/// The error at the bottom of the chain: the ones above say "transport error" and little else.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    match error.downcast_ref::<io::Error>() {
        Some(error) => reason(error),
        None => error.to_string(),
    }
}

impl Problem {
    fn maybe_detail(self, line: &str) -> Self {
        if line.is_empty() { self } else { self.detail(line) }
    }
}

impl From<helve_runs::Error> for Problem {
    fn from(error: helve_runs::Error) -> Self {
        use helve_runs::{Error, LEAST_DIGITS};
        let problem = Self::new(error.to_string());
        match &error {
            Error::NoRun(_) => problem.code("not-found").help(
                "`helve runs list` shows the runs of this data directory; --data-dir and --engine choose another place",
            ),
            Error::NotEnded(run_id) => problem.code("conflict").help(format!(
                "`helve run --resume {run_id}` waits for it, `helve runs show {run_id}` shows how far it is"
            )),
            Error::Report { .. } => {
                problem.help("it was written by another version of Helve: use that one, or scan again")
            }
            Error::Left { .. } => problem.help("use the --blobs, or the --data-dir, of the worker that ran it"),
            Error::NoArtifact { run_id, .. } => problem
                .code("not-found")
                .help(format!("`helve artifacts list {run_id}` shows what there is")),
            Error::SeveralArtifacts { .. } => {
                problem.help("say which one with --step; `helve artifacts list` shows them")
            }
            Error::ShortTarget(_) => problem.help(format!("give {LEAST_DIGITS} digits of its id at least")),
            Error::NoTarget(_) => problem.code("not-found").help(
                "`helve targets list` shows those of this data directory; --data-dir and --blobs choose another place",
            ),
            Error::SeveralTargets(_) => problem.help("give more digits of the id"),
            Error::Engine { what, status } => refused(what, status),
            _ => problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_to_what_and_what_to_do() {
        let problem = Problem::new("parameters do not fit workflow `assessment`")
            .detail("`threads` must be an integer")
            .help("`helve workflows assessment` shows the parameters");
        assert_eq!(
            problem.render(false),
            "error: parameters do not fit workflow `assessment`\n  `threads` must be an integer\n help: `helve workflows \
             assessment` shows the parameters"
        );
        assert!(problem.render(true).starts_with("\x1b[1;31merror:\x1b[0m "));
    }

    #[test]
    fn an_error_for_programs_is_one_object() {
        let problem = Problem::new("no run `x`").detail("a").help("b").code("not-found");
        assert_eq!(
            problem.to_json(),
            json!({"error": {"message": "no run `x`", "help": "b", "details": ["a"], "code": "not-found"}})
        );
        assert_eq!(Problem::new("x").to_json()["error"]["code"], "error");
    }

    #[test]
    fn what_an_error_quotes_cannot_control_the_terminal() {
        let problem = Problem::new("no module `\u{1b}[31mx`").detail("one\ntwo\u{7}");
        assert_eq!(
            problem.render(false),
            "error: no module `\u{fffd}[31mx`\n  one\n  two\u{fffd}"
        );
    }

    #[test]
    fn what_a_library_says_is_put_into_plain_words() {
        let problem = Problem::new("cannot read x: No such file (os error 2), so it is left out")
            .detail("error: line 1 column 10: unclosed bracket");
        assert_eq!(
            problem.render(false),
            "error: cannot read x: No such file, so it is left out\n  line 1 column 10: unclosed bracket"
        );
    }

    #[test]
    fn a_system_error_loses_its_number_and_gains_advice() {
        let error = io::Error::from_raw_os_error(28);
        let text = Problem::io("write", Path::new("/d/engine.db"), &error).render(false);
        assert!(
            text.starts_with("error: cannot write /d/engine.db: no space left on device\n help: free some space"),
            "{text}"
        );
    }

    #[test]
    fn an_engine_that_is_gone_is_not_called_a_transport_error() {
        let text = refused("cannot start the run", &Status::unavailable("")).render(false);
        assert!(
            text.starts_with("error: cannot start the run: the engine does not answer\n help:"),
            "{text}"
        );
    }
}
