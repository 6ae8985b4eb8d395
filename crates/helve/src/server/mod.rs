//! Which server a command talks to, if any, and with which token.

pub(crate) mod contexts;
mod served;

use std::fs;
use std::path::Path;

use helve_client::{Client, Error, Options, Server, Token};
use helve_mesh::Ticket;

use crate::app::App;
use crate::cli::{EngineChoice, Global};
use crate::cluster::Settings;
use crate::errors::{Problem, Result};
use crate::paths::DataDir;
use contexts::{Contexts, LOCAL};
pub(crate) use served::{Places, Served, same_place};

/// Variable with a token.
pub(crate) const TOKEN_VARIABLE: &str = "HELVE_TOKEN";

/// The server that was chosen: by its address, by the name of a context, or once with `helve login`. None: the data directory.
///
/// Whoever names a data directory or an engine means that, and not what was chosen once.
pub(crate) fn chosen(global: &Global) -> Result<Option<Client>> {
    match elsewhere(global)? {
        Some(client) => Ok(Some(client)),
        None if global.engine == EngineChoice::Embedded => of_node(global),
        None => Ok(None),
    }
}

/// The cluster that the data directory is a node of: nothing in it can be used without the others.
fn of_node(global: &Global) -> Result<Option<Client>> {
    let is_there = DataDir::path(global.data_dir.as_deref()).is_ok_and(|root| root.is_dir());
    let data = match is_there {
        true => DataDir::open(global.data_dir.as_deref())?,
        false => return Ok(None),
    };
    if Settings::find(&data)?.is_none() {
        return Ok(None);
    }
    match Served::find(&data).http_socket {
        Some(socket) => through(&socket, global.server.namespace.clone()).map(Some),
        None => Err(Problem::new(format!(
            "{} is a node of a cluster, and does not run",
            data.root().display()
        ))
        .code("no-server")
        .help("start it with `helve up`, or name another node with --server")),
    }
}

fn elsewhere(global: &Global) -> Result<Option<Client>> {
    let choice = &global.server;
    if let Some(url) = &choice.server {
        if let EngineChoice::Temporal { .. } = global.engine {
            return Err(Problem::new("--server and --engine name different places").help("give one of them"));
        }
        return by_address(global, url).map(Some);
    }
    let name = match &choice.context {
        Some(name) if name == LOCAL => return Ok(None),
        Some(name) => Some(name.clone()),
        None if global.data_dir.is_some() || global.engine != EngineChoice::Embedded => return Ok(None),
        // An account without a home has chosen nothing.
        None => match Contexts::load() {
            Ok(contexts) => contexts.current,
            Err(_) if etcetera::home_dir().is_err() => None,
            Err(problem) => return Err(problem),
        },
    };
    name.map(|name| by_context(global, &name)).transpose()
}

/// The ticket that stands in the place of a server's address.
pub(crate) fn ticket(global: &Global) -> Result<Option<Ticket>> {
    let given = global
        .server
        .server
        .as_deref()
        .filter(|text| Ticket::looks_like_one(text));
    let ticket = given.map(|text| text.parse::<Ticket>().map_err(|error| Problem::new(error.to_string())));
    ticket.transpose()
}

fn by_context(global: &Global, name: &str) -> Result<Client> {
    let contexts = Contexts::load()?;
    let context = contexts.get(name)?;
    let insecure = context.insecure_http || global.server.insecure_http;
    let server = address(&context.server, insecure)?;
    let token = match given(global)?.or_else(|| context.token()) {
        Some(token) => token,
        None => return Err(no_token(&server)),
    };
    let ca = global.server.server_ca.as_deref().or(context.server_ca.as_deref());
    let namespace = global.server.namespace.clone().or_else(|| context.namespace.clone());
    client(server, token, ca, namespace)
}

fn by_address(global: &Global, url: &str) -> Result<Client> {
    let server = address(url, global.server.insecure_http)?;
    let mut ca = global.server.server_ca.clone();
    let token = match given(global)? {
        Some(token) => Some(token),
        None => match own(global, &server)? {
            Some(token) => Some(token),
            None => {
                let contexts = Contexts::load()?;
                let context = contexts.of_server(&server.to_string());
                ca = ca.or_else(|| context.and_then(|context| context.server_ca.clone()));
                context.and_then(contexts::Context::token)
            }
        },
    };
    let token = token.ok_or_else(|| no_token(&server))?;
    client(server, token, ca.as_deref(), global.server.namespace.clone())
}

/// The `helve up` of the data directory.
pub(crate) fn local(app: &App) -> Result<Option<Client>> {
    let data = app.data_dir()?;
    let places = Served::find(&data);
    let Some(url) = places.http else {
        return Ok(None);
    };
    let global = &app.global;
    // By its socket there is nothing to encrypt, and no certificate to judge.
    let server = match &places.http_socket {
        Some(_) => address("http://localhost", false)?,
        None => address(&url, false)?,
    };
    let token = match given(global)? {
        Some(token) => token,
        None => admin_token(&data)?,
    };
    let namespace = global.server.namespace.clone();
    let options = Options {
        server,
        token: Some(token),
        authorities: None,
        namespace,
        socket: places.http_socket,
    };
    let ca = global.server.server_ca.as_deref().filter(|_| options.socket.is_none());
    made(options, ca).map(Some)
}

/// The chosen server, or the `helve up` of the data directory: for what only servers know.
pub(crate) fn needed(app: &App, what: &str) -> Result<Client> {
    if let Some(client) = &app.server {
        return Ok(client.clone());
    }
    local(app)?.ok_or_else(|| {
        Problem::new(format!("{what} needs a server, and none serves this data directory"))
            .code("no-server")
            .help("start `helve up` on it, or name a server with --server URL or `helve login URL`")
    })
}

pub(crate) fn address(text: &str, insecure: bool) -> Result<Server> {
    Server::parse(text, insecure).map_err(Problem::from)
}

/// The token that the command line or the environment gives.
pub(crate) fn given(global: &Global) -> Result<Option<Token>> {
    if let Some(file) = &global.server.token_file {
        return read_token(file).map(Some);
    }
    match std::env::var(TOKEN_VARIABLE) {
        Ok(text) if !text.trim().is_empty() => Token::new(&text)
            .map(Some)
            .ok_or_else(|| Problem::new(format!("{TOKEN_VARIABLE} does not hold a token: it is one word"))),
        _ => Ok(None),
    }
}

/// The administrator's token of the data directory, if the server is its own.
pub(crate) fn own(global: &Global, server: &Server) -> Result<Option<Token>> {
    if !server.is_loopback() {
        return Ok(None);
    }
    let data = DataDir::open(global.data_dir.as_deref())?;
    let is_own = Served::find(&data).http.is_some_and(|url| {
        let parts = |url: &str| {
            url.split_once("://")
                .map(|(scheme, rest)| (scheme.to_owned(), rest.trim_end_matches('/').to_owned()))
        };
        let (Some((scheme, here)), Some((asked, there))) = (parts(&url), parts(&server.to_string())) else {
            return false;
        };
        scheme == asked && same_place(&here, &there)
    });
    match is_own {
        true => admin_token(&data).map(Some),
        false => Ok(None),
    }
}

fn admin_token(data: &DataDir) -> Result<Token> {
    read_token(&data.admin_token())
}

fn read_token(file: &Path) -> Result<Token> {
    let text = fs::read_to_string(file).map_err(|error| Problem::io("read the token in", file, &error))?;
    Token::new(&text).ok_or_else(|| Problem::new(format!("{} does not hold a token: it is one word", file.display())))
}

fn no_token(server: &Server) -> Problem {
    Problem::new(format!("there is no token for {server}"))
        .code("no-token")
        .help(format!(
            "`helve login {server}` remembers one; --token-file FILE or {TOKEN_VARIABLE} give one"
        ))
}

pub(crate) fn client(server: Server, token: Token, ca: Option<&Path>, namespace: Option<String>) -> Result<Client> {
    let options = Options {
        server,
        token: Some(token),
        authorities: None,
        namespace,
        socket: None,
    };
    made(options, ca)
}

/// The server at the other end of a socket that leads there, where the connection says who comes.
pub(crate) fn through(socket: &Path, namespace: Option<String>) -> Result<Client> {
    let options = Options {
        server: address("http://localhost", false)?,
        token: None,
        authorities: None,
        namespace,
        socket: Some(socket.to_owned()),
    };
    made(options, None)
}

fn made(options: Options, ca: Option<&Path>) -> Result<Client> {
    let authorities = ca.map(|file| fs::read(file).map_err(|error| Problem::io("read", file, &error)));
    let options = Options {
        authorities: authorities.transpose()?,
        ..options
    };
    Client::new(options).map_err(|error| match ca {
        Some(file) => Problem::from(error).detail(format!("the certificates are those in {}", file.display())),
        None => error.into(),
    })
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let problem = Self::new(error.to_string()).code(error.code());
        match &error {
            Error::Address(text) if text.contains("not encrypted") => {
                problem.help("use https://, or --insecure-http if the network between is trusted")
            }
            Error::Unreachable { reason, .. } if about_tls(reason).is_some() => {
                problem.maybe_help(about_tls(reason).map(str::to_owned))
            }
            Error::Unreachable { .. } => problem.help(
                "check the address and that the server runs; `helve context list` shows the servers that are remembered",
            ),
            Error::Strange { .. } => problem.help("check the address, and that server and helve are of about the same age"),
            Error::Refused(refusal) => {
                let problem = problem.details(
                    refusal
                        .errors
                        .iter()
                        .map(|error| format!("`{}` {}", error.field, error.message)),
                );
                match refusal.status {
                    401 => problem.help("the token is wrong, over, or of another server: `helve login URL` remembers a new one"),
                    403 => problem.help("an administrator can give a token with another role: `helve tokens make`"),
                    404 => problem.help("it may be in another namespace (--namespace), or at another server; the `list` of its verb shows what is there"),
                    429 | 503 => problem.help("try again in a moment"),
                    _ => problem,
                }
            }
            _ => problem,
        }
    }
}

/// What to write when the two sides do not agree about TLS, which the libraries below say in their own words.
fn about_tls(reason: &str) -> Option<&'static str> {
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if says(&["InvalidContentType", "corrupt message"]) {
        Some("what answers there does not speak TLS: write http://")
    } else if says(&["invalid HTTP version"]) {
        Some("what answers there speaks TLS: write https://")
    } else if says(&["peer certificate", "UnknownIssuer"]) {
        Some(
            "name the certificate, or the authority that signed it, with --server-ca, and the server as the certificate does",
        )
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    fn global(line: &str) -> Global {
        Cli::try_parse_from(line.split(' ')).unwrap().global
    }

    fn refused(line: &str) -> String {
        chosen(&global(line)).err().unwrap().to_string()
    }

    #[test]
    fn a_token_is_not_sent_in_the_clear_unless_somebody_says_so() {
        let error = refused("helve runs list --server http://192.0.2.1:8080");
        assert!(
            error.contains("not encrypted") && error.contains("--insecure-http"),
            "{error}"
        );
    }

    #[test]
    fn who_names_a_data_directory_means_it() {
        assert!(chosen(&global("helve runs list --data-dir /d")).unwrap().is_none());
        assert!(
            chosen(&global("helve runs list --engine temporal://h:1"))
                .unwrap()
                .is_none()
        );
        assert!(chosen(&global("helve runs list --context local")).unwrap().is_none());
        let error = refused("helve runs list --server https://h --engine temporal://h:1");
        assert!(error.contains("different places"), "{error}");
    }

    #[test]
    fn a_token_of_a_file_is_read_and_never_said() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        fs::write(&file, "two words\n").unwrap();
        let line = format!(
            "helve runs list --server https://h.example --token-file {}",
            file.display()
        );
        let error = refused(&line);
        assert!(
            error.contains("does not hold a token") && !error.contains("two words"),
            "{error}"
        );
        fs::write(&file, "helve_x\n").unwrap();
        assert!(chosen(&global(&line)).unwrap().is_some());
    }
}
