//! The servers that `helve login` remembers, with their tokens: a file that only its owner can read.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use helve_client::Token;
use serde::{Deserialize, Serialize};

use crate::errors::{Problem, Result};

/// The name for no server.
pub(crate) const LOCAL: &str = "local";

/// One server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Context {
    /// Its address.
    pub(crate) server: String,
    /// What is presented.
    token: String,
    /// Certificates to trust instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) server_ca: Option<PathBuf>,
    /// Whether the token may go there unencrypted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) insecure_http: bool,
    /// The namespace, if one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
}

impl Context {
    pub(crate) fn new(server: String, token: &Token) -> Self {
        Self {
            server,
            token: token.reveal().to_owned(),
            server_ca: None,
            insecure_http: false,
            namespace: None,
        }
    }

    pub(crate) fn token(&self) -> Option<Token> {
        Token::new(&self.token)
    }
}

/// All of them.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Contexts {
    /// The one that commands talk to when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// By name.
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, Context>,
    #[serde(skip)]
    file: PathBuf,
}

impl Contexts {
    /// Of this account; none when nothing was ever remembered.
    pub(crate) fn load() -> Result<Self> {
        let strategy = etcetera::choose_base_strategy().map_err(|_| {
            Problem::new("this account has no home directory, so there is no place for its configuration")
        })?;
        Self::read(strategy.config_dir().join("helve").join("contexts.json"))
    }

    fn read(file: PathBuf) -> Result<Self> {
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Self {
                    file,
                    ..Self::default()
                });
            }
            Err(error) => return Err(Problem::io("read", &file, &error)),
        };
        match serde_json::from_slice::<Self>(&bytes) {
            Ok(read) => Ok(Self { file, ..read }),
            // What is wrong with it might quote a token.
            Err(_) => Err(Problem::new(format!("{} is broken", file.display()))
                .help("mend it, or remove it and log in again with `helve login URL`")),
        }
    }

    /// One by its name.
    pub(crate) fn get(&self, name: &str) -> Result<&Context> {
        self.contexts.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
            let problem = Problem::new(format!("there is no context `{name}`")).code("not-found");
            match known.as_slice() {
                [] => problem.help("`helve login URL` makes one"),
                known => problem.help(format!("there are: {}", known.join(", "))),
            }
        })
    }

    /// The one for a server's address.
    pub(crate) fn of_server(&self, server: &str) -> Option<&Context> {
        self.contexts.values().find(|context| context.server == server)
    }

    /// Writes it down: whole or not at all, and nobody else's to read.
    pub(crate) fn save(&self) -> Result<()> {
        let folder = self.file.parent().unwrap_or(Path::new("."));
        let written = fs::create_dir_all(folder).and_then(|()| {
            // Temporary files are private from the beginning.
            let mut partial = tempfile::NamedTempFile::new_in(folder)?;
            serde_json::to_writer_pretty(&mut partial, self)?;
            partial.write_all(b"\n")?;
            partial.as_file().sync_all()?;
            partial.persist(&self.file).map(drop).map_err(|error| error.error)
        });
        written.map_err(|error| Problem::io("write", &self.file, &error))
    }

    /// Where it is.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token::new("helve_secret").unwrap()
    }

    #[test]
    fn what_is_remembered_is_nobody_elses_to_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a/helve/contexts.json");
        let mut contexts = Contexts::read(file.clone()).unwrap();
        let context = Context::new("https://helve.example.org".into(), &token());
        contexts.contexts.insert("example".into(), context.clone());
        contexts.current = Some("example".into());
        contexts.save().unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let read = Contexts::read(file).unwrap();
        assert!(read.get("example").unwrap() == &context);
        assert_eq!(read.current.as_deref(), Some("example"));
        assert!(read.of_server("https://helve.example.org").is_some());
        assert_eq!(read.get("example").unwrap().token(), Some(token()));
    }

    #[test]
    fn a_broken_file_is_not_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("contexts.json");
        fs::write(&file, r#"{"contexts": {"x": {"token": helve_secret}}}"#).unwrap();
        let error = Contexts::read(file).err().unwrap().to_string();
        assert!(
            error.contains("contexts.json is broken") && !error.contains("secret"),
            "{error}"
        );
    }

    #[test]
    fn a_context_that_is_not_there_names_those_that_are() {
        let error = Contexts::default().get("x").err().unwrap().to_string();
        assert!(error.contains("helve login"), "{error}");
    }
}
