//! Who claims jobs, and bodies that carry many.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use helve_ledger::{Denied, Names, Principal, Role};
use helve_queue::{Claim, Jobs, QueueName};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::extract::{Json, Query, parse, read};
use crate::problem::{Problem, Result};
use crate::state::Api;

/// Bytes of a body with many jobs.
const LARGE: usize = 16 << 20;

/// A worker, or an operator: who may claim jobs. It is all that a worker's token is good for over HTTP.
pub(crate) struct Claimer {
    principal: Principal,
    /// In the namespace that was asked for.
    pub(crate) jobs: Jobs,
}

#[derive(Deserialize)]
struct InNamespace {
    namespace: Option<String>,
}

impl FromRequestParts<Api> for Claimer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self> {
        let principal = parts.extensions.get::<Principal>().cloned();
        let principal = principal.ok_or_else(|| Problem::unauthenticated("send `Authorization: Bearer TOKEN`"))?;
        let Query(asked) = Query::<InNamespace>::from_request_parts(parts, api).await?;
        let namespace = match (asked.namespace, &principal.scope.namespaces) {
            (Some(namespace), _) => namespace,
            (None, Names::Only(names)) if names.len() == 1 => names.iter().next().cloned().unwrap_or_default(),
            (None, _) => api.client.namespace.clone(),
        };
        match principal.role {
            Role::Worker => principal.require(Role::Worker, &namespace)?,
            _ => principal.require(Role::Operator, &namespace)?,
        }
        Ok(Self {
            jobs: api.jobs.of_namespace(&namespace),
            principal,
        })
    }
}

impl Claimer {
    /// Refuses a worker of other queues.
    pub(crate) fn require(&self, queue: &QueueName) -> Result<()> {
        self.check(queue).map_err(Problem::from)
    }

    /// A claim of this caller's namespace, of a queue that is the caller's.
    pub(crate) fn open(&self, claim: &str) -> helve_queue::Result<Claim> {
        let claim = self.jobs.open(claim)?;
        self.of_mine(claim)
    }

    /// The same for a claim that is open already.
    pub(crate) fn of_mine(&self, claim: Claim) -> helve_queue::Result<Claim> {
        let wrong = || helve_queue::Error::WrongClaim("token's queues");
        let queue: QueueName = claim.queue.parse().map_err(|_| wrong())?;
        self.check(&queue).map_err(|_| wrong())?;
        Ok(claim)
    }

    fn check(&self, queue: &QueueName) -> Result<(), Denied> {
        match self.principal.role {
            Role::Worker => self.principal.require_queue(self.jobs.namespace(), &queue.scope()),
            _ => Ok(()),
        }
    }
}

/// A JSON body that may be larger than others: a batch of jobs.
pub(crate) struct Large<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Api> for Large<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self> {
        Json::<T>::check(&request)?;
        let bytes = read(request.into_body(), LARGE, api.limits.body_idle).await?;
        parse(&bytes).map(Self)
    }
}
