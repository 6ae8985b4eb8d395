//! The other side: a worker or a command that reaches its server by a ticket.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use helve_mesh::{Answer, Asked, Endpoint, Link, Listen, Ticket};
use temporalio_client::callback_based::{CallbackBasedGrpcService, GrpcSuccessResponse};
use temporalio_client::{Connection, ConnectionOptions, Url};

use crate::errors::{Problem, Result};
use crate::paths::DataDir;
use crate::terminal::eprint_line;

/// How often an endpoint asks that waits for somebody's approval, and a server that does not answer is called again.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// What an endpoint may do that joined.
pub(crate) struct Joined {
    /// Where; none: everywhere.
    pub(crate) namespaces: Option<Vec<String>>,
    /// For which verticals; none: for all.
    pub(crate) verticals: Option<Vec<String>>,
}

/// What this machine calls itself.
pub(crate) fn own_name() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}

/// The way to the nodes of a ticket, under the key of the data directory.
pub(crate) async fn link(ticket: &Ticket, data: &DataDir) -> Result<Link> {
    let key = helve_mesh::read_key(&data.mesh_key()).map_err(|error| Problem::new(error.to_string()))?;
    let relays = ticket.relays();
    let listen = |addresses| Listen {
        addresses,
        relays: relays.clone(),
        ..Listen::default()
    };
    let (four, six) = ((Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv6Addr::UNSPECIFIED, 0).into());
    // A machine may have no IPv6.
    let endpoint = match Endpoint::bind(key.clone(), &listen(vec![four, six])).await {
        Ok(endpoint) => Ok(endpoint),
        Err(_) => Endpoint::bind(key, &listen(vec![four])).await,
    };
    let endpoint = endpoint.map_err(|error| Problem::new(error.to_string()))?;
    Ok(Link::new(endpoint, ticket.nodes.clone()))
}

/// Joins with a ticket, and waits for as long as it takes somebody to approve, or the server to be there.
pub(crate) async fn join(link: &Link, ticket: &Ticket, name: &str) -> Result<Joined> {
    let asked = Asked {
        secret: ticket.secret.clone(),
        name: name.to_owned(),
    };
    let mut told = String::new();
    let mut say = |what: String| {
        if told != what {
            eprint_line(&what);
            told = what;
        }
    };
    loop {
        match link.join(&asked).await {
            Ok(Answer::Welcome { namespaces, verticals }) => return Ok(Joined { namespaces, verticals }),
            Ok(Answer::Pending) => say(format!(
                "waiting  an administrator has to approve of this endpoint: helve mesh approve {}",
                link.id().fmt_short()
            )),
            Ok(Answer::Refused(why)) => {
                return Err(Problem::new(why).help(
                    "`helve mesh ticket` on the server makes a ticket; `helve mesh list` there says who is known",
                ));
            }
            Err(error) if error.is_refusal() => return Err(Problem::new(error.to_string())),
            Err(error) => say(format!("waiting  {error}")),
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

/// A connection of Temporal's client over the mesh.
pub(crate) async fn connect(link: &Link, identity: String) -> Result<Connection> {
    let channel = helve_mesh::channel(link.clone());
    let callback = move |request: temporalio_client::callback_based::GrpcRequest| {
        let channel = channel.clone();
        let call: crate::embedded::CallFuture = Box::pin(async move {
            let called =
                helve_mesh::call(channel, &request.service, &request.rpc, request.headers, request.proto).await;
            let (headers, proto) = called?;
            Ok(GrpcSuccessResponse {
                headers,
                proto: proto.into(),
            })
        });
        call
    };
    let options = ConnectionOptions::new(Url::parse("http://mesh.invalid").expect("a constant URL"))
        .identity(identity)
        .client_name("helve")
        .client_version(env!("CARGO_PKG_VERSION"))
        .dns_load_balancing(None)
        .service_override(CallbackBasedGrpcService {
            callback: Arc::new(callback),
        })
        .build();
    let connected = Connection::connect(options).await;
    connected.map_err(|error| Problem::new(format!("the server cannot be reached over the mesh: {error}")))
}
