//! Who acts, and what they may do.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{error::Error, time::Time};

/// How names of tokens begin that are there for a client certificate.
pub(crate) const CERTIFICATE: &str = "cert:";

/// What somebody may do. Each of the first four may do what the ones before it may; `worker` stands apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads everything but what administrators read.
    Viewer,
    /// Starts runs and triages findings.
    Analyst,
    /// Cancels runs, drains workers, makes schedules, uploads.
    Operator,
    /// Tokens, namespaces, webhooks, the audit log.
    Admin,
    /// A worker process: polls its queues over gRPC, and nothing else.
    Worker,
}

impl Role {
    /// All roles.
    pub const ALL: [Role; 5] = [Role::Viewer, Role::Analyst, Role::Operator, Role::Admin, Role::Worker];

    /// The lowercase name used everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Analyst => "analyst",
            Role::Operator => "operator",
            Role::Admin => "admin",
            Role::Worker => "worker",
        }
    }

    /// Whether who has this role may do what needs `needed`.
    pub const fn includes(self, needed: Role) -> bool {
        match (self, needed) {
            (Role::Worker, Role::Worker) => true,
            (Role::Worker, _) | (_, Role::Worker) => false,
            _ => self as u8 >= needed as u8,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Role::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| {
            Error::invalid(format!(
                "`{text}` is no role: use viewer, analyst, operator, admin or worker"
            ))
        })
    }
}

/// All, or some by their names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Names {
    /// Those that exist and those to come.
    #[default]
    All,
    /// These.
    Only(BTreeSet<String>),
}

impl Names {
    /// Only these.
    pub fn only<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Names::Only(names.into_iter().map(Into::into).collect())
    }

    /// Whether this name is among them.
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Names::All => true,
            Names::Only(names) => names.contains(name),
        }
    }

    /// Whether all of the others are among these.
    pub fn covers(&self, others: &Names) -> bool {
        match (self, others) {
            (Names::All, _) => true,
            (Names::Only(_), Names::All) => false,
            (Names::Only(names), Names::Only(others)) => others.is_subset(names),
        }
    }
}

/// Where somebody may do it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Scope {
    /// The namespaces.
    pub namespaces: Names,
    /// The task queues, which only matters to workers.
    #[serde(default)]
    pub queues: Names,
}

impl Scope {
    /// Everywhere.
    pub fn all() -> Self {
        Scope::default()
    }

    /// All queues of these namespaces.
    pub fn namespaces<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Scope {
            namespaces: Names::only(names),
            queues: Names::All,
        }
    }

    /// Whether all of the other scope is in this one.
    pub fn covers(&self, other: &Scope) -> bool {
        self.namespaces.covers(&other.namespaces) && self.queues.covers(&other.queues)
    }
}

/// How somebody came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "via", content = "id", rename_all = "lowercase")]
pub enum Via {
    /// The program itself.
    System,
    /// A token, by its id.
    Token(String),
    /// A browser session, by its id.
    Session(String),
    /// As an endpoint of the mesh, by its key.
    Peer(String),
}

/// Whose sessions, and whose requests, are counted together however they come in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Holder {
    /// The program itself.
    System,
    /// Whoever holds the token of this id, and the sessions that were opened with it.
    Token(String),
    /// The person of this name, who came by a link or from an identity provider.
    Person(String),
    /// The endpoint of the mesh with this key.
    Peer(String),
}

/// Who changes something, for the audit log and the history of findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// For people: the token's name, the user's address, the part of the program.
    pub name: String,
    /// How they came in.
    #[serde(flatten)]
    pub via: Via,
    /// The network address they came from, if they came over a network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl Actor {
    /// A part of the program itself (`helve up`, `worker`).
    pub fn system(name: impl Into<String>) -> Self {
        Actor {
            name: name.into(),
            via: Via::System,
            address: None,
        }
    }

    /// The same, from this network address.
    #[must_use]
    pub fn from_address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }
}

/// Somebody whose token or session was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Who, for the changes they make.
    pub actor: Actor,
    /// What they may do.
    pub role: Role,
    /// Where.
    pub scope: Scope,
    /// When they have to come in again; none: never.
    pub expires_at: Option<Time>,
    /// With whom they are counted.
    pub holder: Holder,
}

/// Why somebody may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Their role does not include it.
    #[error(
        "this needs the role {needed}, and `{who}` has the role {has}: ask an administrator for a token of that role"
    )]
    Role {
        /// Who.
        who: String,
        /// The role they have.
        has: Role,
        /// The role it needs.
        needed: Role,
    },
    /// Their scope does not include the namespace.
    #[error("`{who}` has no access to the namespace `{namespace}`: ask an administrator for a token of that namespace")]
    Namespace {
        /// Who.
        who: String,
        /// The namespace.
        namespace: String,
    },
    /// Their scope does not include the task queue.
    #[error("`{who}` has no access to the task queue `{queue}`: ask an administrator for a token of that queue")]
    Queue {
        /// Who.
        who: String,
        /// The task queue.
        queue: String,
    },
    /// What a client certificate may do is said to all namespaces at once, and they have some.
    #[error(
        "a name that begins with `{CERTIFICATE}` says what a client certificate may do, in whichever namespace its holder is: only \
         an administrator of all namespaces makes such tokens, and `{who}` has access to some of them only"
    )]
    Certificate {
        /// Who.
        who: String,
    },
    /// It is about all namespaces, and they have some.
    #[error("this is about all namespaces, and `{who}` has access to some of them only")]
    Everywhere {
        /// Who.
        who: String,
    },
}

impl Principal {
    /// A part of the program itself, which may do everything.
    pub fn system(name: impl Into<String>) -> Self {
        Principal {
            actor: Actor::system(name),
            role: Role::Admin,
            scope: Scope::all(),
            expires_at: None,
            holder: Holder::System,
        }
    }

    /// Whether they have this role in this namespace.
    pub fn require(&self, needed: Role, namespace: &str) -> Result<(), Denied> {
        self.require_role(needed)?;
        if self.scope.namespaces.contains(namespace) {
            return Ok(());
        }
        Err(Denied::Namespace {
            who: self.actor.name.clone(),
            namespace: namespace.to_owned(),
        })
    }

    /// Whether they have this role in all namespaces.
    pub fn require_everywhere(&self, needed: Role) -> Result<(), Denied> {
        self.require_role(needed)?;
        if self.scope.namespaces == Names::All {
            return Ok(());
        }
        Err(Denied::Everywhere {
            who: self.actor.name.clone(),
        })
    }

    /// Whether they are a worker of this queue of this namespace.
    pub fn require_queue(&self, namespace: &str, queue: &str) -> Result<(), Denied> {
        self.require(Role::Worker, namespace)?;
        if self.scope.queues.contains(queue) {
            return Ok(());
        }
        Err(Denied::Queue {
            who: self.actor.name.clone(),
            queue: queue.to_owned(),
        })
    }

    /// Whether they may give somebody this role in this scope: an administrator, and nothing they have not themselves.
    pub fn require_grant(&self, scope: &Scope) -> Result<(), Denied> {
        self.require_role(Role::Admin)?;
        if self.scope.covers(scope) {
            return Ok(());
        }
        Err(Denied::Everywhere {
            who: self.actor.name.clone(),
        })
    }

    /// Whether they may make a token of this name with this scope. A client certificate is known by its names alone: whoever may
    /// make a token for one says who the other side of a connection is.
    pub fn require_token(&self, name: &str, scope: &Scope) -> Result<(), Denied> {
        self.require_grant(scope)?;
        if name.starts_with(CERTIFICATE) && self.scope.namespaces != Names::All {
            return Err(Denied::Certificate {
                who: self.actor.name.clone(),
            });
        }
        Ok(())
    }

    fn require_role(&self, needed: Role) -> Result<(), Denied> {
        if self.role.includes(needed) {
            return Ok(());
        }
        Err(Denied::Role {
            who: self.actor.name.clone(),
            has: self.role,
            needed,
        })
    }
}
