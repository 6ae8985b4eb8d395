//! `helve up` on the data directory of a node.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use helve_blobs::{BlobStore, Place};
use helve_cluster::{Carried, Database, Node, NotLeading, Options, Role, StartError, Time};
use helve_engine::{Clock, Engine, EngineOptions, Timestamp};
use helve_ledger::Ledger;
use helve_tls::Server;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::blobs::{self, Blocking, Replicated};
use super::figures::Figures;
use super::notes::Shared;
use super::settings::node_dir;
use super::{About, Front, Settings};
use crate::app::App;
use crate::cli::{EngineChoice, UpArgs};
use crate::connect::Session;
use crate::embedded::Owned;
use crate::errors::{Problem, Result};
use crate::http::Door;
use crate::monitoring;
use crate::paths::DataDir;
use crate::server::Served;
use crate::stage::{Ground, InMesh, Stage};
use crate::terminal::{eprint_line, print_json_line};
use crate::verbs;

pub(super) const ENGINE: &str = "engine.db";
pub(super) const LEDGER: &str = "ledger.db";
pub(super) const BLOBS: &str = "blobs.db";
/// A node that waits to be let in asks again, and one that failed to open what it leads tries again.
const AGAIN: Duration = Duration::from_secs(1);
/// Connections from other nodes that wait to be taken.
const WAITING: usize = 64;

/// What all nodes have in common.
pub(crate) fn databases() -> Vec<Database> {
    // Where the engine's other files are says nothing of its database.
    let engine = Engine::store_options(&EngineOptions::new(""));
    let ledger = Ledger::store_options(&helve_ledger::Options::default());
    let database = |name, options| Database { name, options };
    vec![
        database(ENGINE, engine),
        database(LEDGER, ledger),
        database(BLOBS, blobs::options()),
    ]
}

/// Runs the node until somebody asks to stop.
pub(crate) async fn serve(
    app: &App,
    args: &UpArgs,
    data: &DataDir,
    tls: Option<Server>,
    settings: Settings,
    interrupted: &CancellationToken,
) -> Result<u8> {
    if app.global.engine != EngineChoice::Embedded {
        return Err(Problem::new("the node of a cluster has its engine with it").help("leave out --engine"));
    }
    let _metrics = monitoring::serve(args.metrics, &app.metrics).await?;
    // Whoever leads must honour the claims that another node gave out.
    let key = settings.secret()?.derive("claims of jobs");
    let claims = data.http().join("claims.key");
    let written = fs::create_dir_all(data.http()).and_then(|()| fs::write(&claims, key));
    written.map_err(|error| Problem::io("write", &claims, &error))?;

    let (taken, carried) = mpsc::channel(WAITING);
    let node = start(data, &settings, args, taken);
    let node = tokio::select! {
        node = node => Arc::new(node?),
        () = interrupted.cancelled() => return Ok(0),
    };
    let served = attend(app, args, data, tls, &settings, &node, carried, interrupted).await;
    stop(node).await;
    served.map(|()| 0)
}

#[expect(clippy::too_many_arguments, reason = "it is where all of it comes together")]
async fn attend(
    app: &App,
    args: &UpArgs,
    data: &DataDir,
    tls: Option<Server>,
    settings: &Settings,
    node: &Arc<Node>,
    carried: mpsc::Receiver<Carried>,
    interrupted: &CancellationToken,
) -> Result<()> {
    let mut front = Front::open(args, data, tls.is_some()).await?;
    front.begin(node, carried);
    app.metrics.add(Arc::new(Figures::of(node)));
    let served = Served::announce(data, &front.places());
    let _served = served.inspect_err(|error| tracing::warn!(%error, "other commands will not find this node"));
    eprint_line(&format!(
        "node     {} ({}) at {}, other nodes come in there",
        settings.node,
        settings.name,
        settings.address()
    ));
    eprint_line(&format!("data     {}", data.root().display()));
    let _introduced = AbortOnDropHandle::new(tokio::spawn(introduce(Arc::downgrade(node))));
    let _certificates = tls
        .clone()
        .map(|tls| AbortOnDropHandle::new(tokio::spawn(tls.keep_fresh())));
    let mut roles = node.roles();
    let mut is_told = false;
    loop {
        let role = roles.borrow_and_update().clone();
        match &role {
            Role::Leader { .. } => {
                let led = lead(
                    app,
                    args,
                    data,
                    tls.as_ref(),
                    settings,
                    node,
                    &front,
                    &mut is_told,
                    interrupted,
                )
                .await;
                front.nobody();
                match led {
                    Ok(()) => {}
                    Err(problem) => {
                        eprint_line(&format!(
                            "cluster  this node could not begin to serve: {}",
                            problem.plain()
                        ));
                        tokio::time::sleep(AGAIN).await;
                    }
                }
                if interrupted.is_cancelled() {
                    return Ok(());
                }
                continue;
            }
            Role::Follower { leader, address } => {
                front.there(*leader, address.clone());
                eprint_line(&format!(
                    "cluster  {}: node {} follows; node {leader} leads, and clients are taken there",
                    if is_told { "goes on" } else { "ready" },
                    settings.node,
                ));
                say_ready(app, data, &front, &mut is_told);
            }
            Role::NoLeader => {
                front.nobody();
                if is_told {
                    eprint_line("cluster  nobody leads: clients wait until a majority of the nodes has chosen");
                }
            }
            Role::Failed { reason } => {
                return Err(Problem::new(format!("this node of the cluster has stopped: {reason}"))
                    .help("the other nodes go on; mend what is wrong and start it again, or remove it and let another one join"));
            }
        }
        tokio::select! {
            changed = roles.changed() => if changed.is_err() {
                return Err(Problem::new("this node of the cluster has ended by itself"));
            },
            () = interrupted.cancelled() => return Ok(()),
        }
    }
}

/// Stops the node when nobody else has it any more: tasks that were told to end may take a moment. What is not stopped in order
/// has its recovery at the next start.
async fn stop(mut node: Arc<Node>) {
    const LOOKS: usize = 100;
    for _ in 0..LOOKS {
        node = match Arc::try_unwrap(node) {
            Ok(node) => return node.stop().await,
            Err(node) => node,
        };
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tracing::debug!("the node was not stopped in order");
}

/// Serves for as long as this node leads.
#[expect(clippy::too_many_arguments, reason = "it is where all of it comes together")]
async fn lead(
    app: &App,
    args: &UpArgs,
    data: &DataDir,
    tls: Option<&Server>,
    settings: &Settings,
    node: &Arc<Node>,
    front: &Front,
    is_told: &mut bool,
    interrupted: &CancellationToken,
) -> Result<()> {
    let mut roles = node.roles();
    let led = roles.borrow_and_update().clone();
    let mark = app.metrics.mark();
    let ended = async {
        let stage = open(app, args, data, tls, settings, node, front).await?;
        stage_until(
            app,
            args,
            data,
            tls,
            settings,
            stage,
            is_told,
            front,
            interrupted,
            async {
                let _ = roles.wait_for(|role| *role != led).await;
            },
        )
        .await
    }
    .await;
    app.metrics.forget_since(mark);
    ended
}

#[expect(clippy::too_many_arguments, reason = "it is where all of it comes together")]
async fn stage_until(
    app: &App,
    args: &UpArgs,
    data: &DataDir,
    tls: Option<&Server>,
    settings: &Settings,
    mut stage: Stage,
    is_told: &mut bool,
    front: &Front,
    interrupted: &CancellationToken,
    lost: impl Future<Output = ()>,
) -> Result<()> {
    let announced = match *is_told {
        false => stage.announce(app, args, data, tls).await,
        true => Ok(()),
    };
    eprint_line(&format!(
        "cluster  {}: node {} leads",
        if *is_told { "goes on" } else { "ready" },
        settings.node
    ));
    say_ready(app, data, front, is_told);
    if announced.is_err() {
        stage.abandon().await;
        return announced;
    }
    let stayed = tokio::select! {
        stayed = verbs::stay(app, args, &mut stage.worker, interrupted) => Some(stayed),
        () = lost => None,
    };
    match stayed {
        Some(stayed) if interrupted.is_cancelled() => {
            stage.hand_over().await;
            stayed
        }
        // The engine of this process was lost to its worker: it leads no more, or is about to find out.
        _ => {
            front.nobody();
            eprint_line(&format!("cluster  node {} does not lead any more", settings.node));
            stage.abandon().await;
            Ok(())
        }
    }
}

/// The time that the cluster has in common, as the engine asks for it.
struct OneTime(Time);

impl Clock for OneTime {
    fn now(&self) -> Timestamp {
        Timestamp::from(self.0.now())
    }
}

/// Opens everything on the stores that this node leads.
async fn open(
    app: &App,
    args: &UpArgs,
    data: &DataDir,
    tls: Option<&Server>,
    settings: &Settings,
    node: &Arc<Node>,
    front: &Front,
) -> Result<Stage> {
    let not_leading = |error: NotLeading| Problem::new(error.to_string());
    let store = |name| node.store(name).map_err(not_leading);
    let (engine, ledger, database) = (store(ENGINE)?, store(LEDGER)?, Blocking::new(store(BLOBS)?));
    let options = EngineOptions {
        role: "helve up".to_owned(),
        clock: Arc::new(OneTime(node.time().map_err(not_leading)?)),
        ..EngineOptions::new(data.root())
    };
    let engine = Engine::open_on(options, engine).await;
    let owned = Owned::new(engine.map_err(|error| Problem::new(error.to_string()))?);
    owned.register(&app.metrics);
    let ledger = Ledger::open_on(ledger, helve_ledger::Options::default()).await;
    let ledger = ledger.map_err(|error| Problem::new(error.to_string()))?;
    let door = Door::on(ledger, data).await?;
    let blobs = match app.place(data)? {
        Place::Directory(_) => {
            let over = BlobStore::over(
                Replicated::new(database.clone()),
                &data.cache(),
                app.global.storage.cache_size.0,
            );
            over.map_err(|error| Problem::new(error.to_string()))?
        }
        _ => app.blobs(data)?,
    };
    let (mut ways, owner_grpc) = front.here();
    owned.serve_owner(owner_grpc);
    let id = settings.node;
    ways.mesh = args.mesh.mesh.map(|address| InMesh {
        address,
        key: helve_mesh::SecretKey::from_bytes(&settings_key(settings)),
        elsewhere: {
            let node = Arc::downgrade(node);
            Arc::new(move || node.upgrade().map(|node| others_in_mesh(&node, id)).unwrap_or_default())
        },
    });
    let session = Session::of(owned).await?;
    let ground = Ground {
        session,
        blobs,
        door: Some(door),
        notes: Some(Arc::new(Shared(database))),
        ways,
    };
    Stage::open(app, args, data, tls, ground).await
}

/// All nodes are one in the mesh, so a ticket is good whichever of them leads.
fn settings_key(settings: &Settings) -> [u8; 32] {
    settings
        .secret()
        .map(|secret| secret.derive("endpoint of the mesh"))
        .unwrap_or_default()
}

/// Where the mesh is when another node leads.
fn others_in_mesh(node: &Node, id: u64) -> Vec<std::net::SocketAddr> {
    let members = node.status().members.into_iter().filter(|member| member.id != id);
    members.flat_map(|member| About::read(&member.about).mesh).collect()
}

/// When this line has come the node is one of the cluster and knows who leads: everything is served.
fn say_ready(app: &App, data: &DataDir, front: &Front, is_told: &mut bool) {
    if std::mem::replace(is_told, true) || !app.global.json {
        return;
    }
    let places = front.places();
    print_json_line(&json!({
        "event": "ready",
        "engine": "cluster",
        "grpc": front.grpc().to_string(),
        "http": places.http,
        "data_dir": data.root(),
    }));
}

/// Tells the others where this node is, until they know.
async fn introduce(node: std::sync::Weak<Node>) {
    loop {
        let Some(node) = node.upgrade() else { return };
        match node.introduce().await {
            Ok(()) => return,
            Err(error) => tracing::debug!(%error, "the other nodes were not told of this one"),
        }
        drop(node);
        tokio::time::sleep(AGAIN).await;
    }
}

/// Begins, joins or starts.
async fn start(data: &DataDir, settings: &Settings, args: &UpArgs, taken: mpsc::Sender<Carried>) -> Result<Node> {
    let dir = node_dir(data);
    let about = About {
        name: settings.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        mesh: match args.mesh.mesh {
            Some(address) if args.mesh.external.is_empty() && !address.ip().is_unspecified() => vec![address],
            Some(address) if args.mesh.external.is_empty() => {
                vec![(settings.listen.ip(), address.port()).into()]
            }
            Some(_) => args.mesh.external.clone(),
            None => Vec::new(),
        },
    };
    let options = Options {
        about: serde_json::to_string(&about).unwrap_or_default(),
        carried: Some(taken),
        ..settings.options(data)?
    };
    if Node::is_in(&dir) {
        let node = Node::start(options).await.map_err(|error| cannot_start(&error))?;
        // Somebody may have stopped it before it was let in.
        let waits = !node.is_member() && !settings.peers.is_empty() && node.status().applied.is_none();
        if waits {
            let mut said = String::new();
            while let Err(error) = join_again(&node, settings).await {
                wait_for_the_others(&error, &mut said).await?;
            }
        }
        return Ok(node);
    }
    // What is there without an identity is nobody's: a beginning that was stopped.
    if dir.exists() {
        fs::remove_dir_all(&dir).map_err(|error| Problem::io("remove", &dir, &error))?;
    }
    let Some(first) = settings.peers.first() else {
        return Node::init(options).await.map_err(|error| cannot_start(&error));
    };
    eprint_line(&format!("cluster  asks {first} to be let in"));
    let mut said = String::new();
    // The node is there from the first try on, whether anybody answers or not.
    let error = match Node::join(options.clone(), first).await {
        Ok(node) => return Ok(node),
        Err(error) => error,
    };
    wait_for_the_others(&error, &mut said).await?;
    let node = Node::start(options).await.map_err(|error| cannot_start(&error))?;
    while let Err(error) = join_again(&node, settings).await {
        wait_for_the_others(&error, &mut said).await?;
    }
    Ok(node)
}

/// Asks one node after the other.
async fn join_again(node: &Node, settings: &Settings) -> Result<(), StartError> {
    let mut outcome = Ok(());
    for peer in &settings.peers {
        outcome = node.join_by(peer).await;
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// Says why a node is not let in yet, if it is worth waiting.
async fn wait_for_the_others(error: &StartError, said: &mut String) -> Result<()> {
    let StartError::Join { reason, .. } = error else {
        return Err(cannot_start(error));
    };
    if reason.contains("has a node") {
        return Err(cannot_start(error).help(
            "another node has taken this number: remove `cluster` from this data directory, and join again with `helve cluster join`",
        ));
    }
    let text = error.to_string();
    if *said != text {
        eprint_line(&format!("waiting  {text}"));
        *said = text;
    }
    tokio::time::sleep(AGAIN).await;
    Ok(())
}

fn cannot_start(error: &StartError) -> Problem {
    Problem::new(error.to_string())
}
