//! The HTTP client for what this server asks of others: identity providers, certificate authorities.

use std::path::Path;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};

use crate::error::Error;
use crate::pair::read;

/// How long a request may take, all of it.
const WITHIN: Duration = Duration::from_secs(20);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A client that follows no redirects and waits for nobody long. It trusts the authorities of the file, if there is one, and
/// otherwise those of the system.
///
/// # Errors
///
/// When the file cannot be used.
pub fn http_client(authorities: Option<&Path>) -> Result<Client, Error> {
    crate::install();
    let builder = Client::builder()
        .redirect(Policy::none())
        .timeout(WITHIN)
        .connect_timeout(CONNECT_WITHIN)
        .pool_max_idle_per_host(1)
        .user_agent(concat!("helve/", env!("CARGO_PKG_VERSION")));
    let Some(path) = authorities else {
        return builder.build().map_err(|error| Error::Client(error.to_string()));
    };
    let trusted = Certificate::from_pem_bundle(&read(path)?)
        .map_err(|error| Error::content(path, format!("is not PEM: {error}")))?;
    if trusted.is_empty() {
        return Err(Error::content(path, "holds no certificate in PEM"));
    }
    builder
        .tls_certs_only(trusted)
        .build()
        .map_err(|error| Error::content(path, format!("holds a certificate that cannot be trusted: {error}")))
}
