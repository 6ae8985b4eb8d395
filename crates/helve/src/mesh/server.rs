//! `helve up --mesh`: endpoints that joined are let in, as far as the ledger says.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use helve_blobs::BlobStore;
use helve_ledger::{Ledger, Names, NewTicket, PeerState, Principal, Role, Scope, Time};
use helve_mesh::blobs::Service;
use helve_mesh::{
    Answer, Asked, Door, Endpoint, EndpointId, Gate, Incoming, Listen, RelayPass, RelayState, Relays, Stream, Ticket,
};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::cli::MeshArgs;
use crate::errors::{Problem, Result};
use crate::paths::DataDir;
use crate::stage::{Elsewhere, InMesh};
use crate::terminal::eprint_line;

/// Who makes the ticket that is printed.
const ACTOR: &str = "helve up";
/// How long it is good.
const TICKET_LASTS: Duration = Duration::from_secs(24 * 60 * 60);

/// The mesh while it is served.
pub(crate) struct MeshServer {
    /// Its sockets are closed when nobody has it any more: others have it weakly.
    endpoint: Arc<Endpoint>,
    elsewhere: Elsewhere,
    gate: Arc<Gate>,
    ledger: Ledger,
    _blobs: AbortOnDropHandle<()>,
    relays: AbortOnDropHandle<()>,
}

/// Connections that were let in, for engine and API.
pub(crate) struct Streams {
    pub(crate) grpc: mpsc::Receiver<Stream>,
    pub(crate) http: mpsc::Receiver<Stream>,
}

impl MeshServer {
    /// Opens the socket, and serves blobs.
    pub(crate) async fn start(
        InMesh {
            address,
            key,
            elsewhere,
        }: InMesh,
        args: &MeshArgs,
        data: &DataDir,
        ledger: &Ledger,
        blobs: &BlobStore,
    ) -> Result<(Self, Streams)> {
        let listen = Listen {
            addresses: vec![address],
            external: args.external.clone(),
            relays: relays(args)?,
        };
        let endpoint = Endpoint::bind(key, &listen).await.map_err(|error| {
            Problem::new(error.to_string()).help("choose another address with --mesh, or stop what listens there")
        })?;
        let door = Arc::new(LedgerDoor(ledger.clone()));
        let (
            gate,
            Incoming {
                grpc,
                http,
                blobs: about_blobs,
            },
        ) = Gate::open(&endpoint, door);
        let knows = ledger.clone();
        let together = move |one, other| are_together(&knows, one, other);
        let service = Service::sharing(blobs.clone(), data.coming(), endpoint.secret(), Box::new(together))
            .map_err(|error| Problem::io("make folders in", &data.coming(), &error))?;
        let telling = endpoint.clone();
        let server = Self {
            relays: AbortOnDropHandle::new(tokio::spawn(async move { telling.watch_relays(say).await })),
            endpoint: Arc::new(endpoint),
            elsewhere,
            gate: Arc::new(gate),
            ledger: ledger.clone(),
            _blobs: AbortOnDropHandle::new(tokio::spawn(service.serve(about_blobs))),
        };
        Ok((server, Streams { grpc, http }))
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> Option<SocketAddr> {
        self.endpoint.sockets().first().copied()
    }

    /// What the API tells of it.
    pub(crate) fn view(&self) -> Arc<dyn helve_api::Mesh> {
        Arc::new(View {
            id: self.endpoint.id(),
            elsewhere: Arc::clone(&self.elsewhere),
            endpoint: Arc::downgrade(&self.endpoint),
            gate: Arc::clone(&self.gate),
        })
    }

    /// Prints a ticket with which workers join.
    pub(crate) async fn announce(&self) -> Result<()> {
        let new = NewTicket {
            name: "printed by `helve up`".to_owned(),
            role: Role::Worker,
            scope: Scope::all(),
            uses: None,
            needs_approval: false,
            lasts: TICKET_LASTS,
        };
        let made = self.ledger.create_ticket(&Principal::system(ACTOR), new).await;
        let made = made.map_err(|error| Problem::new(format!("no ticket can be made: {error}")))?;
        let ticket = ticket(&self.endpoint, &self.elsewhere, Some(made.secret.reveal()));
        eprint_line(&format!(
            "mesh     helve worker join {ticket}\n         (good for workers during 24 h; `helve mesh ticket` makes others)"
        ));
        Ok(())
    }

    /// Says goodbye to everybody.
    pub(crate) async fn close(self) {
        // It has the endpoint too.
        self.relays.abort();
        let _ = self.relays.await;
        self.gate.close().await;
        self.endpoint.close().await;
    }
}

/// The relays that were named, and what opens them.
fn relays(args: &MeshArgs) -> Result<Relays> {
    if let Some(other) = args.relays.iter().find(|url| !matches!(url.scheme(), "http" | "https")) {
        return Err(Problem::new(format!("{other} is no address of a relay"))
            .help("a relay is named such as --mesh-relay https://relay.example"));
    }
    let mut pass = RelayPass::default();
    if let Some(file) = &args.relay_secret {
        pass.read_secret(file).map_err(|error| {
            Problem::new(error.to_string()).help("it is the file that `helve relay` names when it starts")
        })?;
    }
    if let Some(file) = &args.relay_ca {
        let read = pass.read_authorities(file);
        read.map_err(|error| Problem::io("read the authorities of relays in", file, &error))?;
    }
    Ok(Relays {
        urls: args.relays.clone(),
        pass,
    })
}

fn say(state: &RelayState) {
    match state {
        RelayState::Connected(url) => eprint_line(&format!("relay    connected to {url}")),
        RelayState::Trouble(trouble) => eprint_line(&format!(
            "WARNING  no relay carries for this server, so it is out of reach where UDP is blocked: {trouble}"
        )),
    }
}

fn ticket(endpoint: &Endpoint, elsewhere: &Elsewhere, secret: Option<&str>) -> Ticket {
    let mut node = endpoint.address();
    for address in elsewhere() {
        node = node.with_ip_addr(address);
    }
    Ticket {
        pass: endpoint.relays().pass.clone(),
        nodes: vec![node],
        secret: secret.map(str::to_owned),
    }
}

struct View {
    id: EndpointId,
    endpoint: Weak<Endpoint>,
    elsewhere: Elsewhere,
    gate: Arc<Gate>,
}

impl helve_api::Mesh for View {
    fn id(&self) -> String {
        self.id.to_string()
    }

    fn ticket(&self, secret: Option<&str>) -> String {
        // Only who asks while the server ends finds it gone.
        let endpoint = self.endpoint.upgrade();
        endpoint.map_or_else(String::new, |endpoint| {
            ticket(&endpoint, &self.elsewhere, secret).to_string()
        })
    }

    fn present(&self) -> HashMap<String, Time> {
        let millis = |since: std::time::SystemTime| {
            let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        };
        let present = self.gate.present().into_iter();
        present
            .map(|(id, present)| (id.to_string(), Time::from_millis(millis(present.since))))
            .collect()
    }
}

/// Whether two endpoints are let in, and work in the same place: else neither hears of the other.
fn are_together(ledger: &Ledger, one: EndpointId, other: EndpointId) -> bool {
    let scope = |id: EndpointId| ledger.verify_peer(&id.to_string()).ok().map(|peer| peer.scope);
    match (scope(one), scope(other)) {
        (Some(one), Some(other)) => have_one_in_common(&one.namespaces, &other.namespaces),
        _ => false,
    }
}

fn have_one_in_common(one: &Names, other: &Names) -> bool {
    match (one, other) {
        (Names::All, _) | (_, Names::All) => true,
        (Names::Only(one), Names::Only(other)) => !one.is_disjoint(other),
    }
}

/// Lets in whom the ledger knows.
struct LedgerDoor(Ledger);

impl Door for LedgerDoor {
    fn admits(&self, peer: EndpointId) -> std::result::Result<(), String> {
        let known = self.0.verify_peer(&peer.to_string());
        known.map(drop).map_err(|refused| match refused {
            helve_ledger::Refused::Unknown => {
                "this server does not know this endpoint: join with a ticket (`helve worker join TICKET`)".to_owned()
            }
            helve_ledger::Refused::Revoked => "an administrator has shut this endpoint out".to_owned(),
            other => other.to_string(),
        })
    }

    fn join(&self, peer: EndpointId, asked: Asked) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            let joined = self
                .0
                .join(&peer.to_string(), &asked.name, asked.secret.as_deref())
                .await;
            match joined {
                Ok(peer) if peer.state == PeerState::Pending => Answer::Pending,
                Ok(peer) => Answer::Welcome {
                    namespaces: list(peer.scope.namespaces),
                    verticals: list(peer.scope.queues),
                },
                Err(helve_ledger::Error::Refused(refused)) => Answer::Refused(match refused {
                    helve_ledger::Refused::Unknown => "this ticket is not known to this server".to_owned(),
                    helve_ledger::Refused::Expired => {
                        "this ticket has expired, or as many endpoints joined with it as may: ask for another one"
                            .to_owned()
                    }
                    helve_ledger::Refused::Revoked => {
                        "this ticket was taken back, or an administrator has shut this endpoint out".to_owned()
                    }
                    pending @ helve_ledger::Refused::Pending => pending.to_string(),
                }),
                Err(error) => {
                    tracing::warn!(%error, "an endpoint could not join");
                    Answer::Refused(format!("the server cannot let anybody join at this moment: {error}"))
                }
            }
        })
    }
}

fn list(names: Names) -> Option<Vec<String>> {
    match names {
        Names::All => None,
        Names::Only(names) => Some(names.into_iter().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_endpoints_that_may_work_in_one_place_are_sent_to_each_other() {
        let only = |names: &[&str]| Names::Only(names.iter().map(|name| (*name).to_owned()).collect());
        let (both, one, other) = (only(&["a", "b"]), only(&["a"]), only(&["b"]));
        assert!(have_one_in_common(&both, &one) && have_one_in_common(&other, &both));
        assert!(have_one_in_common(&Names::All, &one) && have_one_in_common(&one, &Names::All));
        assert!(!have_one_in_common(&one, &other));
        assert!(!have_one_in_common(&only(&[]), &both));
    }
}
