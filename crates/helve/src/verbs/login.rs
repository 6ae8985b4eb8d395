//! `helve login`, `helve logout`, `helve context`: the servers that are remembered.

use std::io::{IsTerminal, Read, stdin};

use helve_client::{Client, Server, Token};
use serde_json::{Value, json};

use crate::app::App;
use crate::cli::{ContextVerb, LoginArgs};
use crate::errors::{Problem, Result};
use crate::render::table::{Cell, table};
use crate::server::contexts::{Context, Contexts, LOCAL};
use crate::server::{self, TOKEN_VARIABLE};
use crate::terminal::{Style, clean, eprint_line, print, print_json};

/// A token is much shorter. Bytes.
const LONGEST_INPUT: u64 = 64 * 1024;

pub(crate) async fn login(app: &App, args: LoginArgs) -> Result<u8> {
    let global = &app.global;
    let choice = &global.server;
    if choice.server.is_some() {
        return Err(
            Problem::new("`helve login` is given the address itself: helve login URL")
                .help("leave out --server, or unset HELVE_SERVER"),
        );
    }
    let address = server::address(&args.url, choice.insecure_http)?;
    let name = args.name.unwrap_or_else(|| address.host());
    if name == LOCAL || name.trim().is_empty() {
        return Err(Problem::new(format!("a context cannot be called `{name}`")).help("choose another one with --name"));
    }
    let token = match server::given(global)? {
        Some(token) => token,
        None => match server::own(global, &address)? {
            Some(token) => token,
            None => ask(&address)?,
        },
    };
    let ca = choice.server_ca.as_deref();
    let ca = ca.map(|file| std::path::absolute(file).map_err(|error| Problem::io("find", file, &error)));
    let ca = ca.transpose()?;
    let client = server::client(address, token.clone(), ca.as_deref(), choice.namespace.clone())?;
    let me = client.me().await?;
    let mut contexts = Contexts::load()?;
    let mut context = Context::new(client.server().to_string(), &token);
    context.server_ca = ca;
    context.insecure_http = choice.insecure_http && !client.server().is_loopback();
    context.namespace.clone_from(&choice.namespace);
    contexts.contexts.insert(name.clone(), context);
    contexts.current = Some(name.clone());
    contexts.save()?;
    match global.json {
        true => print_json(&json!({"context": name, "server": client.server().to_string(), "me": me})),
        false => {
            print(&format!(
                "logged in to {} as {} ({}); commands talk to it now\n",
                client.server(),
                clean(&me.name),
                clean(&me.role)
            ));
            eprint_line(&format!(
                "`helve context use {LOCAL}` goes back to the data directory of this machine"
            ));
        }
    }
    if std::env::var_os("HELVE_DATA_DIR").is_some() {
        eprint_line(&format!(
            "HELVE_DATA_DIR is set, which goes before: unset it, or say --context {name}"
        ));
    }
    Ok(0)
}

/// From standard input: what a pipe holds, or what a person types, unseen.
fn ask(address: &Server) -> Result<Token> {
    if stdin().is_terminal() {
        eprint_line(&format!("token for {address}:"));
        let _unseen = Unseen::begin();
        let mut line = String::new();
        stdin().read_line(&mut line).map_err(no_input)?;
        return token_of(&line);
    }
    let mut text = String::new();
    stdin()
        .take(LONGEST_INPUT)
        .read_to_string(&mut text)
        .map_err(no_input)?;
    token_of(&text)
}

fn no_input(error: std::io::Error) -> Problem {
    Problem::new(format!("the token cannot be read from standard input: {error}"))
}

fn token_of(text: &str) -> Result<Token> {
    Token::new(text).ok_or_else(|| {
        Problem::new("there is no token on standard input").help(format!(
            "give one with --token-file FILE, in {TOKEN_VARIABLE}, or on standard input; an administrator makes one with \
             `helve tokens make`"
        ))
    })
}

/// While it lives, a terminal does not show what is typed.
struct Unseen {
    #[cfg(unix)]
    before: Option<rustix::termios::Termios>,
}

#[cfg(unix)]
impl Unseen {
    fn begin() -> Self {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(stdin()).ok();
        if let Some(mut silent) = before.clone() {
            silent.local_modes.remove(LocalModes::ECHO);
            let _ = tcsetattr(stdin(), OptionalActions::Now, &silent);
        }
        Self { before }
    }
}

#[cfg(unix)]
impl Drop for Unseen {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        if let Some(before) = &self.before {
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}

#[cfg(not(unix))]
impl Unseen {
    fn begin() -> Self {
        Self {}
    }
}

pub(crate) fn logout(app: &App, name: Option<String>) -> Result<u8> {
    let mut contexts = Contexts::load()?;
    let Some(name) = name.or_else(|| contexts.current.clone()) else {
        return Err(Problem::new("no server is chosen, so there is nothing to leave")
            .help("`helve context list` shows those that are remembered"));
    };
    forget(app, &mut contexts, &name)
}

fn forget(app: &App, contexts: &mut Contexts, name: &str) -> Result<u8> {
    contexts.get(name)?;
    contexts.contexts.remove(name);
    if contexts.current.as_deref() == Some(name) {
        contexts.current = None;
    }
    contexts.save()?;
    match app.global.json {
        true => print_json(&json!({"context": name, "state": "removed"})),
        false => {
            print(&format!("context {name}: forgotten, with its token\n"));
            eprint_line("the token itself still works; an administrator takes it back with `helve tokens revoke`");
        }
    }
    Ok(0)
}

pub(crate) async fn context(app: &App, verb: ContextVerb) -> Result<u8> {
    let mut contexts = Contexts::load()?;
    match verb {
        ContextVerb::List => list(app, &contexts),
        ContextVerb::Show { name } => return show(app, &contexts, name).await,
        ContextVerb::Use { name } => {
            if name == LOCAL {
                contexts.current = None;
            } else {
                contexts.get(&name)?;
                contexts.current = Some(name.clone());
            }
            contexts.save()?;
            match app.global.json {
                true => print_json(&json!({"context": name, "state": "current"})),
                false if name == LOCAL => print("commands use the data directory of this machine\n"),
                false => print(&format!("commands talk to {name}\n")),
            }
        }
        ContextVerb::Remove { name } => return forget(app, &mut contexts, &name),
    }
    Ok(0)
}

fn list(app: &App, contexts: &Contexts) {
    let is_current = |name: &str| contexts.current.as_deref() == Some(name);
    if app.global.json {
        let all: Vec<Value> = contexts
            .contexts
            .iter()
            .map(|(name, context)| {
                json!({
                    "name": name,
                    "server": context.server,
                    "namespace": context.namespace,
                    "current": is_current(name),
                })
            })
            .collect();
        print_json(&Value::Array(all));
        return;
    }
    let mut rows: Vec<Vec<Cell>> = contexts
        .contexts
        .iter()
        .map(|(name, context)| {
            vec![
                if is_current(name) { "*" } else { "" }.into(),
                clean(name).into(),
                clean(&context.server).into(),
                clean(context.namespace.as_deref().unwrap_or("-")).into(),
            ]
        })
        .collect();
    let here = if contexts.current.is_none() { "*" } else { "" };
    rows.push(vec![
        here.into(),
        LOCAL.into(),
        "the data directory of this machine".into(),
        "-".into(),
    ]);
    print(&table(&["", "CONTEXT", "SERVER", "NAMESPACE"], &rows, Style::stdout()));
    tracing::debug!(file = %contexts.file().display(), "contexts");
}

async fn show(app: &App, contexts: &Contexts, name: Option<String>) -> Result<u8> {
    let name = name
        .or_else(|| app.global.server.context.clone())
        .or_else(|| contexts.current.clone());
    let Some(name) = name.filter(|name| name != LOCAL) else {
        match app.global.json {
            true => print_json(&json!({"name": LOCAL, "server": null})),
            false => print("commands use the data directory of this machine\n"),
        }
        return Ok(0);
    };
    let context = contexts.get(&name)?;
    let token = context.token().ok_or_else(|| {
        Problem::new(format!("context `{name}` holds no token")).help("`helve login URL` remembers a new one")
    })?;
    let address = server::address(&context.server, context.insecure_http)?;
    let client: Client = server::client(address, token, context.server_ca.as_deref(), context.namespace.clone())?;
    let me = client.me().await?;
    if app.global.json {
        print_json(&json!({"name": name, "server": context.server, "namespace": context.namespace, "me": me}));
        return Ok(0);
    }
    let namespaces = me.namespaces.map_or_else(|| "all".to_owned(), |names| names.join(", "));
    for (key, value) in [
        ("context", name.as_str()),
        ("server", context.server.as_str()),
        ("namespace", context.namespace.as_deref().unwrap_or("-")),
        ("you are", me.name.as_str()),
        ("role", me.role.as_str()),
        ("namespaces", namespaces.as_str()),
        ("ends", me.expires_at.as_deref().unwrap_or("never")),
    ] {
        print(&format!("{key:<11} {}\n", clean(value)));
    }
    Ok(0)
}
