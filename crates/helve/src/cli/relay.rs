//! `helve relay`: what carries the mesh where UDP does not get through.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use helve_mesh::EndpointId;

use crate::recycling::Size;

const RELAY_HELP: &str = "\
Examples:
  helve relay --listen 0.0.0.0:443 --tls-cert relay.pem --tls-key relay.key
  helve relay --listen 10.0.0.9:7237 --insecure-http --allow ENDPOINT --secret-file relay.secret

and on the server, with the same secret:
  helve up --mesh --mesh-relay https://relay.example --mesh-relay-secret relay.secret

Tickets that the server makes from then on hold all that workers need to use the relay. It is used where no direct way leads, and
sees who speaks to whom and how much, but nothing of what. See docs/mesh.md.";

/// `helve relay`.
#[derive(Debug, Clone, Args)]
#[command(after_help = RELAY_HELP)]
pub(crate) struct RelayArgs {
    /// Address that endpoints of the mesh reach by TCP; with a certificate also by UDP, to find direct ways
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:7237")]
    pub(crate) listen: SocketAddr,
    /// Its certificate: a file of PEM, the chain after it. Read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key", value_hint = ValueHint::FilePath)]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The key of --tls-cert, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert", value_hint = ValueHint::FilePath)]
    pub(crate) tls_key: Option<PathBuf>,
    /// Do without a certificate at an address that other machines reach: whoever can read the traffic learns the relay's secret
    #[arg(long, conflicts_with = "tls_cert")]
    pub(crate) insecure_http: bool,
    /// Let this endpoint of the mesh use the relay, by its key as `helve mesh list` shows it (repeatable)
    #[arg(long, value_name = "ENDPOINT")]
    pub(crate) allow: Vec<EndpointId>,
    /// Let everybody use it who shows the secret in this file, which is made when it is not there
    /// [default: `relay.secret` in the data directory, unless --allow says who may]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) secret_file: Option<PathBuf>,
    /// Bytes a second that are carried from each endpoint at most, such as `10M` [default: any number]
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_rate: Option<Size>,
    /// Answer `GET /metrics` and `GET /healthz` there without a token, on a loopback address
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics: Option<SocketAddr>,
}
