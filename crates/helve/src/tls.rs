//! TLS as the command line asks for it: the certificates of a server, and what its clients trust.

use std::fs;
use std::path::Path;

use helve_tls::{Clients, Options, Pair, Server};
use temporalio_client::{ClientTlsOptions, TlsOptions};

use crate::cli::{ClientAuth, TlsArgs, TrustArgs};
use crate::errors::{Problem, Result};

/// The certificates that `helve up` was given, if it was.
pub(crate) fn server(args: &TlsArgs) -> Result<Option<Server>> {
    let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) else {
        return Ok(None);
    };
    let options = Options {
        pair: Pair {
            certificate: certificate.clone(),
            key: key.clone(),
        },
        clients: args.grpc_client_ca.as_ref().map(|authorities| Clients {
            authorities: authorities.clone(),
            required: args.grpc_client_auth == ClientAuth::Required,
        }),
    };
    let opened = tokio::task::block_in_place(|| Server::open(options));
    opened.map(Some).map_err(|error| match error {
        helve_tls::Error::Read { path, error } => Problem::io("read", &path, &error),
        error => Problem::new(error.to_string()).help(
            "--tls-cert wants the certificate and its chain in PEM, --tls-key its key without a password; docs/tls.md \
             says how to make them",
        ),
    })
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
