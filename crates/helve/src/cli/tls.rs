//! TLS: what a server shows, and what a client of one trusts.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

/// The certificates of `helve up`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS")]
pub(crate) struct TlsArgs {
    /// Serve --http and --grpc by TLS with this certificate: a file of PEM, the chain after it. Read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key", value_hint = ValueHint::FilePath)]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The key of --tls-cert, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert", value_hint = ValueHint::FilePath)]
    pub(crate) tls_key: Option<PathBuf>,
    /// Or get the certificate for this name from an authority, and renew it: --http must be reached as NAME on port 443.
    /// Means that you agree to the authority's terms (repeatable)
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', conflicts_with = "tls_cert")]
    pub(crate) acme: Vec<String>,
    /// Where the authority writes to when something is wrong
    #[arg(long, value_name = "ADDRESS", requires = "acme")]
    pub(crate) acme_email: Option<String>,
    /// The authority
    #[arg(long, value_name = "URL", default_value = helve_tls::LETS_ENCRYPT)]
    pub(crate) acme_directory: String,
    /// Who signs the authority's own certificate, in PEM [default: the system knows]
    #[arg(long, value_name = "FILE", requires = "acme", value_hint = ValueHint::FilePath)]
    pub(crate) acme_ca: Option<PathBuf>,
    /// The authorities that sign the certificates of gRPC clients, in PEM. See --grpc-client-auth
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) grpc_client_ca: Option<PathBuf>,
    /// Whether gRPC clients without a certificate are refused
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value = "required",
        requires = "grpc_client_ca"
    )]
    pub(crate) grpc_client_auth: ClientAuth,
}

/// Whether a client must have a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClientAuth {
    /// Who has none is refused
    Required,
    /// Who has none may come in with a token; a wrong one is refused
    Optional,
}

/// What a client of a server with TLS trusts and shows.
#[derive(Debug, Clone, Args)]
pub(crate) struct TrustArgs {
    /// For `--engine temporals://`: the authorities that sign the server's certificate, in PEM [default: the system's]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "HELVE_TLS_CA",
        hide_env_values = true,
        value_hint = ValueHint::FilePath
    )]
    pub(crate) tls_ca: Option<PathBuf>,
    /// For `--engine temporals://`: the certificate to show to the server, in PEM
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "HELVE_TLS_CLIENT_CERT",
        hide_env_values = true,
        requires = "tls_client_key",
        value_hint = ValueHint::FilePath
    )]
    pub(crate) tls_client_cert: Option<PathBuf>,
    /// The key of --tls-client-cert, in PEM
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "HELVE_TLS_CLIENT_KEY",
        hide_env_values = true,
        requires = "tls_client_cert",
        value_hint = ValueHint::FilePath
    )]
    pub(crate) tls_client_key: Option<PathBuf>,
}
