//! TLS as the command line asks for it: the certificates of a server, and what its clients trust.

use std::fs;
use std::path::Path;

use helve_tls::{Acme, Certificates, Clients, Options, Pair, Server};
use temporalio_client::{ClientTlsOptions, TlsOptions};

use crate::cli::{ClientAuth, TlsArgs, TrustArgs};
use crate::errors::{Problem, Result};
use crate::paths::DataDir;

/// The certificates that `helve up` was given, or is to get, if there are to be any.
pub(crate) fn server(args: &TlsArgs, data: &DataDir) -> Result<Option<Server>> {
    let certificates = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Certificates::Files(Pair {
            certificate: certificate.clone(),
            key: key.clone(),
        }),
        _ if !args.acme.is_empty() => Certificates::Acme(Acme {
            domains: args.acme.clone(),
            email: args.acme_email.clone(),
            directory: args.acme_directory.clone(),
            authorities: args.acme_ca.clone(),
            dir: data.acme(),
        }),
        _ if args.grpc_client_ca.is_some() => {
            return Err(Problem::new("certificates of clients need a certificate of the server")
                .help("--grpc-client-ca goes with --tls-cert and --tls-key, or with --acme"));
        }
        _ => return Ok(None),
    };
    let options = Options {
        certificates,
        clients: args.grpc_client_ca.as_ref().map(|authorities| Clients {
            authorities: authorities.clone(),
            required: args.grpc_client_auth == ClientAuth::Required,
        }),
    };
    let opened = tokio::task::block_in_place(|| Server::open(options));
    opened.map(Some).map_err(problem)
}

/// What is wrong with certificates or keys.
pub(crate) fn problem(error: helve_tls::Error) -> Problem {
    match error {
        helve_tls::Error::Read { path, error } => Problem::io("read", &path, &error),
        helve_tls::Error::Acme(_) => Problem::new(error.to_string()).help("docs/tls.md says what ACME needs"),
        error => Problem::new(error.to_string()).help(
            "certificates are read as PEM, and keys as PEM without a password; docs/tls.md says how to make them",
        ),
    }
}

/// What a client of `temporals://` trusts and shows.
pub(crate) fn client(args: &TrustArgs) -> Result<TlsOptions> {
    let read = |file: &Path| fs::read(file).map_err(|error| Problem::io("read", file, &error));
    let shown = match (&args.tls_client_cert, &args.tls_client_key) {
        (Some(certificate), Some(key)) => Some(
            ClientTlsOptions::builder()
                .client_cert(read(certificate)?)
                .client_private_key(read(key)?)
                .build(),
        ),
        _ => None,
    };
    let authorities = args.tls_ca.as_deref().map(read).transpose()?;
    helve_tls::install();
    Ok(TlsOptions::builder()
        .maybe_server_root_ca_cert(authorities)
        .maybe_client_tls_options(shown)
        .build())
}
