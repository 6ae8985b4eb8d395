//! Values of options that are little languages: which sandbox, which engine.

use std::str::FromStr;

use helve_sandbox::Level;
use helve_toolbox::Span;

/// A number that is not zero.
pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("0 would show nothing: write 1 or more".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("write a number".to_owned()),
    }
}

/// A time that is not zero.
pub(crate) fn some_time(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|error| format!("{error}"))?;
    match span.duration().is_zero() {
        true => Err("nothing is done in no time: leave it out for no limit".to_owned()),
        false => Ok(span),
    }
}

/// How strong the sandbox around tools must be, and may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SandboxChoice {
    pub(crate) require: Option<Level>,
    pub(crate) at_most: Option<Level>,
}

impl FromStr for SandboxChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut choice = Self::default();
        for part in text.split(',') {
            let level = |level: &str| level.parse::<Level>().map(Some).map_err(|error| error.to_string());
            match part.trim().split_once('=') {
                Some(("require", name)) => choice.require = level(name)?,
                Some(("at-most", name)) => choice.at_most = level(name)?,
                _ => return Err("write it as `require=LEVEL` or `at-most=LEVEL`".to_owned()),
            }
        }
        Ok(choice)
    }
}

impl From<SandboxChoice> for helve_sandbox::Options {
    fn from(choice: SandboxChoice) -> Self {
        Self {
            require: choice.require,
            at_most: choice.at_most,
            scratch: None,
            keep_ready: true,
        }
    }
}

/// Which engine runs the workflows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EngineChoice {
    /// In this process, on the data directory.
    Embedded,
    /// A Temporal server.
    Temporal {
        /// `host:port`.
        address: String,
        /// Namespace.
        namespace: String,
        /// Whether it is reached by TLS.
        tls: bool,
    },
}

/// Temporal's namespace when none is named.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";

impl FromStr for EngineChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected `embedded`, `temporal://host:port[/namespace]` or `temporals://` by TLS".to_owned();
        if text == "embedded" {
            return Ok(Self::Embedded);
        }
        let (rest, tls) = match text.strip_prefix("temporals://") {
            Some(rest) => (rest, true),
            None => (text.strip_prefix("temporal://").ok_or_else(wrong)?, false),
        };
        let (address, namespace) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        port.parse::<u16>()
            .map_err(|_| format!("`{port}` is not a port; {}", wrong()))?;
        if host.is_empty() || host.contains(['@', '?', '#', ' ']) || namespace.contains('/') {
            return Err(wrong());
        }
        let namespace = if namespace.is_empty() {
            DEFAULT_NAMESPACE
        } else {
            namespace
        };
        Ok(Self::Temporal {
            address: address.to_owned(),
            namespace: namespace.to_owned(),
            tls,
        })
    }
}

impl std::fmt::Display for EngineChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded"),
            Self::Temporal {
                address,
                namespace,
                tls,
            } => {
                let scheme = if *tls { "temporals" } else { "temporal" };
                write!(f, "{scheme}://{address}")?;
                match namespace == DEFAULT_NAMESPACE {
                    true => Ok(()),
                    false => write!(f, "/{namespace}"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_read_and_written_back() {
        for (text, back) in [
            ("embedded", "embedded"),
            ("temporal://127.0.0.1:7233", "temporal://127.0.0.1:7233"),
            (
                "temporal://temporal.example:7233/default",
                "temporal://temporal.example:7233",
            ),
            ("temporal://[::1]:7233/team-a", "temporal://[::1]:7233/team-a"),
            (
                "temporals://helve.example:7233/team-a",
                "temporals://helve.example:7233/team-a",
            ),
        ] {
            assert_eq!(text.parse::<EngineChoice>().unwrap().to_string(), back);
        }
        for text in [
            "",
            "temporal",
            "temporal://host",
            "temporal://:7233",
            "temporal://host:99999",
            "http://host:1",
            "temporal://h:1/a/b",
        ] {
            assert!(text.parse::<EngineChoice>().is_err(), "{text}");
        }
    }

    #[test]
    fn sandbox_settings_name_levels() {
        let choice: SandboxChoice = "require=filtered,at-most=isolated".parse().unwrap();
        assert_eq!(
            (choice.require, choice.at_most),
            (Some(Level::Filtered), Some(Level::Isolated))
        );
        for wrong in ["", "full", "require=strong", "require"] {
            assert!(wrong.parse::<SandboxChoice>().is_err(), "{wrong}");
        }
    }
}
