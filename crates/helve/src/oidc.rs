//! The identity provider as the command line names it.

use std::fs;
use std::path::Path;

use helve_api::{OidcMap, OidcOptions};
use temporalio_client::Url;

use crate::cli::OidcArgs;
use crate::errors::{Problem, Result};
use crate::tls::problem;

/// The login of `--oidc-issuer`, if there is one, for a server that browsers reach at `public_url`.
pub(crate) fn options(args: &OidcArgs, public_url: &str) -> Result<Option<OidcOptions>> {
    let (Some(issuer), Some(client_id), Some(map)) = (&args.oidc_issuer, &args.oidc_client_id, &args.oidc_map) else {
        return Ok(None);
    };
    let secret = match &args.oidc_client_secret_file {
        Some(file) => {
            let secret = read(file)?.trim().to_owned();
            if secret.is_empty() {
                return Err(Problem::new(format!("{} holds no secret", file.display())));
            }
            Some(secret)
        }
        None => None,
    };
    let rules = OidcMap::read(&read(map)?)
        .map_err(|error| Problem::new(format!("{} cannot be used: {error}", map.display())).help("see docs/oidc.md"))?;
    let host = Url::parse(issuer)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned));
    let options = OidcOptions {
        issuer: issuer.clone(),
        client_id: client_id.clone(),
        client_secret: secret,
        scopes: args.oidc_scope.clone(),
        name: args.oidc_name.clone().or(host).unwrap_or_else(|| issuer.clone()),
        map: rules,
        public_url: public_url.to_owned(),
        http: helve_tls::http_client(args.oidc_ca.as_deref()).map_err(problem)?,
    };
    let checked = options.check();
    checked.map_err(|error| Problem::new(error.to_string()).help("see --oidc-issuer in docs/oidc.md"))?;
    Ok(Some(options))
}

/// `--public-url` as it is used: scheme, host and port alone.
pub(crate) fn public_url(text: &str) -> Result<Url> {
    let wrong = |why: &str| {
        Problem::new(format!("`{text}` is not where browsers reach this server: {why}"))
            .help("write --public-url like https://helve.example.org")
    };
    let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    match url.scheme() {
        "http" | "https" if is_bare && url.has_host() => Ok(url),
        "http" | "https" => Err(wrong("it is more than a host")),
        _ => Err(wrong("it is neither http nor https")),
    }
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).map_err(|error| Problem::io("read", file, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_address_is_a_host_and_no_more() {
        for good in [
            "https://helve.example.org",
            "https://helve.example.org:8443/",
            "http://127.0.0.1:8080",
        ] {
            assert!(public_url(good).is_ok(), "{good}");
        }
        for bad in [
            "helve.example.org",
            "ftp://h",
            "https://h/path",
            "https://h/?a=b",
            "https://me@h",
            "https://",
        ] {
            assert!(public_url(bad).is_err(), "{bad}");
        }
    }
}
