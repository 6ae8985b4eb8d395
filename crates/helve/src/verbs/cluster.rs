//! `helve cluster`: nodes come, go, and say how they are.

use std::fs;
use std::path::Path;
use std::time::Duration;

use helve_cluster::{MemberStatus, Node, NodeId, Options, Outside, Secret, State, Status, Ticket};
use serde_json::{Value, json};

use crate::app::App;
use crate::cli::{ClusterVerb, NodeArgs};
use crate::cluster::{About, Settings, copy, databases, is_data_dir};
use crate::errors::{Problem, Result};
use crate::mesh::own_name;
use crate::paths::DataDir;
use crate::render::table::{Cell, table};
use crate::terminal::{Style, print, print_json};

/// A node that does not answer by then is not there.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn cluster(app: &App, verb: ClusterVerb) -> Result<u8> {
    let data = app.data_dir()?;
    match verb {
        ClusterVerb::Init(args) => init(app, &data, args),
        ClusterVerb::Join { ticket, node } => join(app, &data, &ticket, node).await,
        ClusterVerb::Ticket => print_ticket(app, &Settings::needed(&data)?, &data),
        ClusterVerb::Status => status(app, &data).await,
        ClusterVerb::Remove { node } => remove(app, &data, &node).await,
        ClusterVerb::Snapshot { dir } => snapshot(app, &data, &dir).await,
        ClusterVerb::Restore { dir, node } => restore(app, &data, &dir, node).await,
    }?;
    Ok(0)
}

fn named(args: &NodeArgs) -> String {
    args.name.clone().unwrap_or_else(own_name)
}

fn init(app: &App, data: &DataDir, args: NodeArgs) -> Result<()> {
    Settings::check_fresh(data)?;
    // Remembered, and told to those who join.
    app.place(data)?;
    let settings = fresh(&args)?;
    settings.write(data)?;
    say_made(app, data, &settings, "begins a new cluster")
}

fn fresh(args: &NodeArgs) -> Result<Settings> {
    let secret = Secret::generate().map_err(|error| Problem::new(format!("no secret can be made: {error}")))?;
    Settings::new(
        args.node.unwrap_or(1),
        named(args),
        args.listen,
        args.advertise.clone(),
        &secret,
    )
}

async fn join(app: &App, data: &DataDir, ticket: &Ticket, args: NodeArgs) -> Result<()> {
    Settings::check_fresh(data)?;
    let outside = outside(&ticket.secret)?;
    let mut known = None;
    let mut why = Vec::new();
    for address in &ticket.nodes {
        match asked(&outside, address).await {
            Ok(status) => {
                known = Some(status);
                break;
            }
            Err(reason) => why.push(format!("{address}: {reason}")),
        }
    }
    let known = known.ok_or_else(|| {
        Problem::new("no node of the cluster can be reached")
            .details(why)
            .help("check that `helve up` runs on one of them, and that this machine reaches its address")
    })?;
    let next = known.members.iter().map(|member| member.id).max().unwrap_or(0) + 1;
    let id = args.node.unwrap_or(next);
    if known.members.iter().any(|member| member.id == id) {
        return Err(Problem::new(format!("the cluster has a node {id} already")).help(format!(
            "leave out --node for the next free number, {next}; a node that lost its disk is removed first: `helve cluster remove {id}`"
        )));
    }
    if !ticket.note.is_empty() {
        fs::write(data.place(), format!("{}\n", ticket.note))
            .map_err(|error| Problem::io("write", &data.place(), &error))?;
    }
    let mut settings = Settings::new(id, named(&args), args.listen, args.advertise.clone(), &ticket.secret)?;
    // All that are there now: the one that was asked may be gone when this one starts.
    settings.peers = known.members.iter().map(|member| member.address.clone()).collect();
    settings.write(data)?;
    say_made(app, data, &settings, "joins the cluster")
}

fn say_made(app: &App, data: &DataDir, settings: &Settings, does: &str) -> Result<()> {
    let ticket = settings.ticket(data)?.to_string();
    if app.global.json {
        print_json(&json!({
            "node": settings.node,
            "name": settings.name,
            "address": settings.address(),
            "ticket": ticket,
        }));
        return Ok(());
    }
    print(&format!(
        "{} is node {} ({}), and {does} when `helve up` runs there.\nFurther nodes: helve cluster join {ticket} --listen ADDRESS\n",
        data.root().display(),
        settings.node,
        settings.name
    ));
    Ok(())
}

fn print_ticket(app: &App, settings: &Settings, data: &DataDir) -> Result<()> {
    let ticket = settings.ticket(data)?.to_string();
    match app.global.json {
        true => print_json(&json!({ "ticket": ticket })),
        false => print(&format!("{ticket}\n")),
    }
    Ok(())
}

fn outside(secret: &Secret) -> Result<Outside> {
    Outside::new(secret).map_err(|error| Problem::new(error.to_string()))
}

async fn asked(outside: &Outside, address: &str) -> Result<Status, String> {
    match tokio::time::timeout(PATIENCE, outside.status(address)).await {
        Ok(Ok(status)) => Ok(status),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer".to_owned()),
    }
}

/// What the cluster says of itself: the node of this directory if it runs, or another one.
async fn look(settings: &Settings, outside: &Outside) -> Result<(Status, String)> {
    let own = settings.address();
    let addresses = std::iter::once(&own).chain(&settings.peers);
    let mut why = Vec::new();
    for address in addresses {
        match asked(outside, address).await {
            Ok(status) => return Ok((status, address.clone())),
            Err(reason) => why.push(format!("{address}: {reason}")),
        }
    }
    Err(Problem::new("no node of the cluster answers")
        .code("no-server")
        .details(why)
        .help("`helve up` starts the node of this data directory"))
}

/// How the nodes are, together.
pub(super) struct Standing {
    leader: Option<NodeId>,
    nodes: Vec<Row>,
}

impl Standing {
    /// Asks all of them.
    pub(super) async fn of(settings: &Settings) -> Result<Self> {
        let outside = outside(&settings.secret()?)?;
        let (seen, _) = look(settings, &outside).await?;
        let answers = seen.members.iter().map(|member| asked(&outside, &member.address));
        let answers = futures_util::future::join_all(answers).await;
        // Only the leader knows how far behind the others are.
        let of_leader = answers.iter().flatten().find(|status| status.state == State::Leader);
        let of_leader = of_leader.unwrap_or(&seen);
        let lag = |id| {
            let known = of_leader.members.iter().find(|known| known.id == id);
            known.and_then(|known| known.lag)
        };
        let nodes = seen.members.iter().zip(&answers);
        Ok(Self {
            leader: (of_leader.state == State::Leader).then_some(of_leader.id),
            nodes: nodes
                .map(|(member, answer)| Row::new(member, answer.as_ref().ok(), lag(member.id)))
                .collect(),
        })
    }

    /// Nodes that may die before it stops; none if it has stopped.
    pub(super) fn spare(&self) -> Option<usize> {
        let votes = self.nodes.iter().filter(|node| node.votes).count();
        self.leader?;
        self.present().checked_sub(votes / 2 + 1)
    }

    /// Nodes that vote and answer.
    fn present(&self) -> usize {
        let present = self.nodes.iter().filter(|node| node.votes && node.status.is_some());
        present.count()
    }

    /// In a sentence.
    pub(super) fn said(&self) -> String {
        let votes = self.nodes.iter().filter(|node| node.votes).count();
        match (self.leader, self.spare()) {
            (Some(leader), Some(0)) if votes == 1 => {
                format!("node {leader} is the only one, so nothing goes on without it")
            }
            (Some(leader), Some(0)) => format!("node {leader} leads; it stops with the next node that dies"),
            (Some(leader), Some(spare)) => format!("node {leader} leads; {spare} more may die before it stops"),
            _ => format!(
                "nobody leads: {} of {votes} nodes answer, and it takes {}",
                self.present(),
                votes / 2 + 1
            ),
        }
    }

    /// Nodes that do not answer, by their names.
    pub(super) fn away(&self) -> Vec<String> {
        let away = self.nodes.iter().filter(|node| node.status.is_none());
        away.map(|node| format!("{} ({})", node.id, node.about.name)).collect()
    }
}

async fn status(app: &App, data: &DataDir) -> Result<()> {
    let settings = Settings::needed(data)?;
    let standing = Standing::of(&settings).await?;
    if app.global.json {
        print_json(&json!({
            "leader": standing.leader,
            "asked": settings.node,
            "nodes": standing.nodes.iter().map(Row::json).collect::<Vec<_>>(),
        }));
        return Ok(());
    }
    let headers = ["NODE", "NAME", "ADDRESS", "ROLE", "APPLIED", "BEHIND", "VERSION"];
    let rows: Vec<_> = standing.nodes.iter().map(Row::cells).collect();
    print(&table(&headers, &rows, Style::stdout()));
    print(&format!("\n{}\n", standing.said()));
    Ok(())
}

/// A node in the list.
struct Row {
    id: NodeId,
    about: About,
    address: String,
    votes: bool,
    lag: Option<u64>,
    status: Option<(State, Option<u64>)>,
}

impl Row {
    fn new(member: &MemberStatus, status: Option<&Status>, lag: Option<u64>) -> Self {
        Self {
            id: member.id,
            about: About::read(&member.about),
            address: member.address.clone(),
            votes: member.votes,
            lag,
            status: status.map(|status| (status.state, status.applied)),
        }
    }

    fn role(&self) -> &'static str {
        match self.status {
            Some((State::Leader, _)) => "leader",
            Some((State::Follower, _)) => "follower",
            Some((State::Candidate, _)) => "candidate",
            Some((State::Learner, _)) => "learner",
            Some((State::Failed, _)) => "failed",
            None => "unreachable",
        }
    }

    fn json(&self) -> Value {
        json!({
            "node": self.id,
            "name": self.about.name,
            "version": self.about.version,
            "address": self.address,
            "role": self.role(),
            "votes": self.votes,
            "applied": self.status.and_then(|(_, applied)| applied),
            "lag": self.lag,
        })
    }

    fn cells(&self) -> Vec<Cell> {
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let texts = [
            self.id.to_string(),
            self.about.name.clone(),
            self.address.clone(),
            self.role().to_owned(),
            number(self.status.and_then(|(_, applied)| applied)),
            number(self.lag),
            self.about.version.clone(),
        ];
        texts.into_iter().map(Cell::from).collect()
    }
}

async fn remove(app: &App, data: &DataDir, which: &str) -> Result<()> {
    let settings = Settings::needed(data)?;
    let outside = outside(&settings.secret()?)?;
    let (status, address) = look(&settings, &outside).await?;
    let is_meant = |member: &&MemberStatus| member.id.to_string() == which || About::read(&member.about).name == which;
    let mut meant = status.members.iter().filter(is_meant);
    let member = meant.next().ok_or_else(|| {
        Problem::new(format!("the cluster has no node `{which}`"))
            .code("not-found")
            .help("`helve cluster status` lists them")
    })?;
    if meant.next().is_some() {
        return Err(Problem::new(format!("several nodes are called `{which}`")).help("name it by its number"));
    }
    if status.members.len() == 1 {
        return Err(Problem::new(format!(
            "node {} is the last one of the cluster",
            member.id
        )));
    }
    let removed = outside.remove(&address, member.id).await;
    removed.map_err(|error| {
        Problem::new(format!("node {} was not removed: {error}", member.id))
            .help("it takes a majority of the nodes; `helve cluster status` says who is there")
    })?;
    match app.global.json {
        true => print_json(&json!({ "removed": member.id })),
        false => print(&format!(
            "node {} is removed: stop it if it runs. Its data directory is of no use any more\n",
            member.id
        )),
    }
    Ok(())
}

async fn snapshot(app: &App, data: &DataDir, dir: &Path) -> Result<()> {
    let settings = Settings::needed(data)?;
    let outside = outside(&settings.secret()?)?;
    let (status, address) = look(&settings, &outside).await?;
    // What the leader has is the newest.
    let leader = status
        .leader
        .and_then(|leader| status.members.iter().find(|member| member.id == leader));
    let address = leader.map_or(address, |leader| leader.address.clone());
    let io = |error: &std::io::Error| Problem::io("write into", dir, error);
    fs::create_dir_all(dir).map_err(|error| io(&error))?;
    if fs::read_dir(dir).map_err(|error| io(&error))?.next().is_some() {
        return Err(
            Problem::new(format!("{} is not empty", dir.display())).help("name a directory that is made, or is empty")
        );
    }
    let copied = outside.copy(&address, dir).await;
    let bytes = copied.map_err(|error| Problem::new(format!("no snapshot was made: {error}")))?;
    let dir = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    match app.global.json {
        true => print_json(&json!({ "dir": dir, "bytes": bytes })),
        false => print(&format!(
            "{} in {}: `helve cluster restore` makes a new cluster of it\n",
            crate::render::bytes(bytes),
            dir.display()
        )),
    }
    Ok(())
}

async fn restore(app: &App, data: &DataDir, dir: &Path, args: NodeArgs) -> Result<()> {
    Settings::check_fresh(data)?;
    let copied = tempfile::tempdir_in(data.root()).map_err(|error| Problem::io("write into", data.root(), &error))?;
    let from = match is_data_dir(dir) {
        true => {
            // Its bucket, if it has one, is the cluster's.
            if let Ok(place) = fs::read(dir.join("blobs.place")) {
                fs::write(data.place(), place).map_err(|error| Problem::io("write", &data.place(), &error))?;
            }
            tokio::task::block_in_place(|| copy(dir, copied.path()))?;
            copied.path()
        }
        false => dir,
    };
    for database in databases() {
        if !from.join(database.name).is_file() {
            return Err(Problem::new(format!("{} has no {}", dir.display(), database.name)).help(
                "name a directory that `helve cluster snapshot` wrote, or a data directory that no `helve up` runs on",
            ));
        }
    }
    app.place(data)?;
    // Another cluster, with a secret of its own: nodes of the old one are not let in.
    let settings = fresh(&args)?;
    let options: Options = settings.options(data)?;
    let node = Node::restore(options, from).await;
    node.map_err(|error| Problem::new(error.to_string()))?.stop().await;
    settings.write(data)?;
    say_made(app, data, &settings, "goes on with what was there")
}
