//! `helve relay`: carries what endpoints of the mesh say to each other where no direct way leads, until somebody asks to stop.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, unfold};
use helve_mesh::relay::{Arrival, Guests, Mirror, Relay, make_or_read_secret};
use helve_metrics::{Collect, Text};
use helve_tls::{Certificates, Options, Pair, Server};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::app::App;
use crate::cli::RelayArgs;
use crate::errors::{Problem, Result};
use crate::http::reachable;
use crate::monitoring;
use crate::render::bytes;
use crate::signals;
use crate::terminal::{eprint_line, print_json_line};
use crate::tls;

/// After an accept that failed for want of files or memory.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) async fn relay(app: &App, args: &RelayArgs) -> Result<u8> {
    let interrupted = signals::listen();
    let tls = certificate(args)?;
    check_exposure(args, tls.is_some())?;
    let (guests, secret_file) = guests(app, args)?;
    let cannot = |error: std::io::Error| {
        Problem::new(format!("cannot listen on {}: {error}", args.listen))
            .help("choose another address with --listen, or stop what listens there")
    };
    let listener = TcpListener::bind(args.listen).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    let mirror = match &tls {
        Some(tls) => Some(mirror(address, tls).await?),
        None => None,
    };
    let relay = Relay::new(guests, limit(args)?);
    app.metrics.add(Arc::new(Figures(relay.clone())));
    let metrics = monitoring::serve(args.metrics, &app.metrics).await?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", reachable(address));
    eprint_line(&format!("relay    {url} (listens on {address})"));
    match &secret_file {
        Some(file) => eprint_line(&format!(
            "secret   {}; on the server: helve up --mesh --mesh-relay URL --mesh-relay-secret FILE",
            file.display()
        )),
        None => eprint_line("secret   none: only for the endpoints that --allow names"),
    }
    if tls.is_none() && !address.ip().is_loopback() {
        eprint_line(
            "WARNING  the relay is reachable by others, and unencrypted: whoever can read the traffic can take its secret from it \
             (what endpoints say to each other stays encrypted)",
        );
    }
    if app.global.json {
        print_json_line(&json!({
            "event": "ready",
            "url": url,
            "listen": address.to_string(),
            "secret_file": secret_file,
            "metrics": metrics.as_ref().map(|served| format!("http://{}/metrics", served.address)),
        }));
    }
    let _certificates = tls
        .clone()
        .map(|tls| AbortOnDropHandle::new(tokio::spawn(tls.keep_fresh())));
    relay.serve(arrivals(listener, tls), interrupted).await;
    if let Some(mirror) = mirror {
        mirror.close().await;
    }
    let carried = relay.carried();
    eprint_line(&format!(
        "stopped: {} came in for others; endpoints find their way back when the relay does",
        bytes(carried.received)
    ));
    if app.global.json {
        print_json_line(&json!({
            "event": "stopped",
            "received_bytes": carried.received,
            "sent_bytes": carried.sent,
        }));
    }
    Ok(0)
}

fn certificate(args: &RelayArgs) -> Result<Option<Server>> {
    let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) else {
        return Ok(None);
    };
    let options = Options {
        certificates: Certificates::Files(Pair {
            certificate: certificate.clone(),
            key: key.clone(),
        }),
        clients: None,
    };
    let opened = tokio::task::block_in_place(|| Server::open(options));
    opened.map(Some).map_err(tls::problem)
}

/// Refuses an address that others reach without a certificate, unless somebody said that it is to be so.
fn check_exposure(args: &RelayArgs, encrypted: bool) -> Result<()> {
    match encrypted || args.insecure_http || args.listen.ip().is_loopback() {
        true => Ok(()),
        false => Err(Problem::new(format!(
            "{} can be reached from other machines, and the relay has no certificate",
            args.listen
        ))
        .help("give it one with --tls-cert and --tls-key, or say --insecure-http if the network is trusted")),
    }
}

/// Who may use it, and the file of the secret that says so.
fn guests(app: &App, args: &RelayArgs) -> Result<(Guests, Option<PathBuf>)> {
    let file = match &args.secret_file {
        Some(file) => Some(file.clone()),
        None if args.allow.is_empty() => Some(app.data_dir()?.relay_secret()),
        None => None,
    };
    let secret = match &file {
        Some(file) => Some(make_or_read_secret(file).map_err(|error| Problem::new(error.to_string()))?),
        None => None,
    };
    let allowed: HashSet<_> = args.allow.iter().copied().collect();
    Ok((Guests { allowed, secret }, file))
}

fn limit(args: &RelayArgs) -> Result<Option<NonZeroU32>> {
    let Some(rate) = args.max_rate else { return Ok(None) };
    let rate = u32::try_from(rate.0).ok().and_then(NonZeroU32::new);
    rate.map(Some)
        .ok_or_else(|| Problem::new("--max-rate is between 1 and 4G bytes a second"))
}

/// What the relay listens to beside TCP, so that two endpoints behind routers may find a direct way.
async fn mirror(address: SocketAddr, tls: &Server) -> Result<Mirror> {
    let opened = Mirror::open(address, &tls.handshakes()).await;
    opened.map_err(|error| {
        Problem::new(error.to_string()).help("the relay wants the UDP port of the same number: stop what listens there")
    })
}

fn arrivals(listener: TcpListener, tls: Option<Server>) -> BoxStream<'static, std::io::Result<Arrival>> {
    match tls {
        Some(tls) => tls
            .http(listener)
            .map(|accepted| accepted.map(|(stream, _)| Arrival::Tls(Box::new(stream))))
            .boxed(),
        None => unfold(listener, async |listener| {
            let accepted = listener.accept().await;
            if accepted.is_err() {
                tokio::time::sleep(PAUSE).await;
            }
            Some((accepted.map(|(stream, _)| Arrival::Plain(stream)), listener))
        })
        .boxed(),
    }
}

/// What it has carried, for programs of monitoring.
struct Figures(Relay);

impl Collect for Figures {
    fn collect(&self, text: &mut Text) {
        let carried = self.0.carried();
        text.value(
            "helve_relay_connections",
            "Connections of endpoints that the relay carries for.",
            &[],
            carried.connected as f64,
        );
        for (name, help, value) in [
            (
                "helve_relay_received_bytes_total",
                "Bytes that came from endpoints, encrypted for others.",
                carried.received,
            ),
            (
                "helve_relay_sent_bytes_total",
                "Bytes that were passed on to endpoints.",
                carried.sent,
            ),
            (
                "helve_relay_dropped_packets_total",
                "Packets for endpoints that were not there.",
                carried.dropped,
            ),
        ] {
            text.count(name, help, &[], value as f64);
        }
    }
}
