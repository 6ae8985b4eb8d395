//! `helve tokens`, `helve namespaces`, `helve audit`: who may come in, where, and who changed what.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::managed::{done, from_now};
use crate::app::App;
use crate::cli::{AuditArgs, NamespacesVerb, TokensVerb};
use crate::errors::{Problem, Result};
use crate::render::managed as render;
use crate::server;
use crate::terminal::{Style, eprint_line, print, print_json};

pub(crate) async fn tokens(app: &App, verb: TokensVerb) -> Result<u8> {
    let client = server::needed(app, "`helve tokens`")?;
    match verb {
        TokensVerb::List => {
            let all = client.list("tokens").await?;
            match app.global.json {
                true => print_json(&Value::Array(all)),
                false => print(&render::tokens(&all, Style::stdout())),
            }
        }
        TokensVerb::Make {
            name,
            role,
            namespaces,
            queues,
            expires_in,
            output,
        } => {
            let some = |names: Vec<String>| (!names.is_empty()).then_some(names);
            let expires_at = match expires_in {
                None => None,
                Some(span) => Some(from_now(span).ok_or_else(|| Problem::new("no clock goes as far as --expires-in"))?),
            };
            // Before the secret is made, and not after it was shown to nobody.
            let file = output.as_deref().map(private_file).transpose()?;
            let wanted = json!({
                "name": name,
                "role": role,
                "namespaces": some(namespaces),
                "queues": some(queues),
                "expires_at": expires_at,
            });
            let mut made = client.make("tokens", &wanted).await?;
            if let (Some(file), Some(path)) = (file, &output) {
                keep(file, path, made["secret"].as_str().unwrap_or_default())?;
                made["secret"] = Value::Null;
                made["file"] = json!(path);
            }
            match app.global.json {
                true => print_json(&made),
                false => tell(&made, output.as_deref()),
            }
        }
        TokensVerb::Revoke { id } => {
            client.remove("tokens", &id).await?;
            done(app, "token", &id, "revoked");
        }
    }
    Ok(0)
}

fn tell(made: &Value, file: Option<&Path>) {
    match file {
        Some(path) => eprint_line(&format!("wrote {}", path.display())),
        None => {
            print(&format!("{}\n", made["secret"].as_str().unwrap_or_default()));
            eprint_line("this secret is shown this once; the server keeps a hash of it");
        }
    }
    let id = made["token"]["id"].as_str().unwrap_or_default();
    eprint_line(&format!("take it back with: helve tokens revoke {id}"));
}

/// Whole or not there, and nobody else's to read.
fn private_file(path: &Path) -> Result<tempfile::NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))
        .map_err(|error| Problem::io("write", path, &error))
}

fn keep(mut file: tempfile::NamedTempFile, path: &Path, secret: &str) -> Result<()> {
    let written = writeln!(file, "{secret}").and_then(|()| file.as_file().sync_all());
    written
        .and_then(|()| file.persist(path).map(drop).map_err(|error| error.error))
        .map_err(|error| Problem::io("write", path, &error).help("the token was made: revoke it, and make another one"))
}

pub(crate) async fn namespaces(app: &App, verb: NamespacesVerb) -> Result<u8> {
    let client = server::needed(app, "`helve namespaces`")?;
    let shown = match verb {
        NamespacesVerb::List => Value::Array(client.list("namespaces").await?),
        NamespacesVerb::Make {
            name,
            description,
            retention,
        } => {
            let wanted = json!({"name": name, "description": description, "retention": retention});
            client.make("namespaces", &wanted).await?
        }
    };
    match app.global.json {
        true => print_json(&shown),
        false => print(&render::namespaces(
            shown.as_array().map_or(std::slice::from_ref(&shown), Vec::as_slice),
            Style::stdout(),
        )),
    }
    Ok(0)
}

pub(crate) async fn audit(app: &App, args: AuditArgs) -> Result<u8> {
    let client = server::needed(app, "`helve audit`")?;
    let query = [
        ("actor", &args.actor),
        ("action", &args.action),
        ("subject", &args.subject),
    ];
    let query: Vec<_> = query
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .collect();
    let entries = client.list_some("audit", &query, args.limit).await?;
    match app.global.json {
        true => print_json(&Value::Array(entries)),
        false => print(&render::audit(&entries, Style::stdout())),
    }
    Ok(0)
}
