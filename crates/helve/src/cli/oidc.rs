//! Login with accounts of an identity provider.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// The identity provider of `helve up`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Login with OpenID Connect")]
pub(crate) struct OidcArgs {
    /// Where browsers reach the pages, such as https://helve.example.org [default: the address of --http]
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// Let users of this identity provider sign in, named exactly as it names itself. Needs --oidc-client-id and --oidc-map
    #[arg(long, value_name = "URL", requires_all = ["oidc_client_id", "oidc_map"])]
    pub(crate) oidc_issuer: Option<String>,
    /// What the provider calls this server
    #[arg(long, value_name = "ID", requires = "oidc_issuer")]
    pub(crate) oidc_client_id: Option<String>,
    /// A file with the secret that the provider gave to this server; none for a public client
    #[arg(long, value_name = "FILE", requires = "oidc_issuer", value_hint = ValueHint::FilePath)]
    pub(crate) oidc_client_secret_file: Option<PathBuf>,
    /// A file of rules: which users come in, as what. See docs/oidc.md
    #[arg(long, value_name = "FILE", requires = "oidc_issuer", value_hint = ValueHint::FilePath)]
    pub(crate) oidc_map: Option<PathBuf>,
    /// What to ask the provider for beside `openid` (repeatable)
    #[arg(long, value_name = "SCOPE,...", value_delimiter = ',', default_values = ["email", "profile"])]
    pub(crate) oidc_scope: Vec<String>,
    /// What the button calls the provider [default: its host]
    #[arg(long, value_name = "NAME", requires = "oidc_issuer")]
    pub(crate) oidc_name: Option<String>,
    /// The authorities that sign the provider's certificate, in PEM [default: the system's]
    #[arg(long, value_name = "FILE", requires = "oidc_issuer", value_hint = ValueHint::FilePath)]
    pub(crate) oidc_ca: Option<PathBuf>,
}
