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
            // What is there may hold the only copy of another secret. A device such as /dev/null holds nothing.
            if let Some(path) = output.as_deref().filter(|path| path.is_file()) {
                return Err(Problem::new(format!("{} is there already", path.display()))
                    .help("name another file, or remove that one: it may hold a token that is still good"));
            }
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

/// Where a secret goes.
enum Keeper {
    /// A file that is whole or not there, and nobody else's to read.
    File(tempfile::NamedTempFile),
    /// A device or a pipe, which is written to and not replaced.
    Device(std::fs::File),
}

fn private_file(path: &Path) -> Result<Keeper> {
    if path.exists() {
        let device = std::fs::OpenOptions::new().write(true).open(path);
        return device
            .map(Keeper::Device)
            .map_err(|error| Problem::io("write", path, &error));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")));
    file.map(Keeper::File)
        .map_err(|error| Problem::io("write", path, &error))
}

fn keep(keeper: Keeper, path: &Path, secret: &str) -> Result<()> {
    let written = match keeper {
        Keeper::Device(mut device) => writeln!(device, "{secret}"),
        Keeper::File(mut file) => writeln!(file, "{secret}")
            .and_then(|()| file.as_file().sync_all())
            .and_then(|()| file.persist_noclobber(path).map(drop).map_err(|error| error.error)),
    };
    written
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_into_a_file_of_its_own_and_never_takes_the_place_of_a_device() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ci.token");
        keep(private_file(&path).unwrap(), &path, "hlv_secret").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "hlv_secret\n");
        #[cfg(unix)]
        {
            use std::os::unix::fs::{FileTypeExt, PermissionsExt};
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            let null = Path::new("/dev/null");
            keep(private_file(null).unwrap(), null, "hlv_secret").unwrap();
            assert!(std::fs::metadata(null).unwrap().file_type().is_char_device());
        }
    }
}
