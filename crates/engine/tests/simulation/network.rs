//! The network between the engine and everybody else: messages are lost, delayed, reordered and doubled.

use std::{rc::Rc, time::Duration};

use futures_util::future::{Either, select};
use prost::Message;
use tokio::sync::oneshot;
use tonic::{
    Code, Status,
    codegen::http::{HeaderMap, HeaderValue},
};

use crate::world::World;

const SERVICE: &str = "temporal.api.workflowservice.v1.WorkflowService";
/// How long a caller waits for an answer. Longer than the engine holds a poll.
const PATIENCE: Duration = Duration::from_secs(65);

/// Why a call was not answered as hoped.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Nobody knows whether it happened.
    Lost,
    Refused(Status),
}

impl Failed {
    /// Whether it makes sense to send the same request again.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Failed::Lost => true,
            Failed::Refused(status) => matches!(status.code(), Code::Unavailable | Code::ResourceExhausted),
        }
    }

    pub(crate) fn is(&self, code: Code) -> bool {
        matches!(self, Failed::Refused(status) if status.code() == code)
    }
}

/// One who calls the engine.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) world: Rc<World>,
    pub(crate) name: Rc<str>,
    is_worker: bool,
}

impl Caller {
    pub(crate) fn new(world: &Rc<World>, name: impl Into<Rc<str>>) -> Self {
        Caller {
            world: world.clone(),
            name: name.into(),
            is_worker: false,
        }
    }

    /// One who may be shown what only workers see.
    pub(crate) fn worker(world: &Rc<World>, name: impl Into<Rc<str>>) -> Self {
        Caller {
            is_worker: true,
            ..Caller::new(world, name)
        }
    }

    pub(crate) fn note(&self, what: std::fmt::Arguments<'_>) {
        self.world.note(&self.name, what);
    }

    /// Sends a request once.
    pub(crate) async fn call<A: Message + Default>(
        &self,
        rpc: &'static str,
        request: impl Message,
    ) -> Result<A, Failed> {
        let message = request.encode_to_vec();
        let attempt = Box::pin(self.clone().attempt(rpc, message));
        let answer = match select(attempt, self.world.clock.sleep(PATIENCE)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(((), _)) => Err(Failed::Lost),
        };
        match &answer {
            Ok(_) => self.note(format_args!("{rpc}: ok")),
            Err(Failed::Lost) => self.note(format_args!("{rpc}: lost")),
            Err(Failed::Refused(status)) => self.note(format_args!("{rpc}: {:?} {}", status.code(), status.message())),
        }
        answer.map(|bytes| A::decode(bytes.as_slice()).unwrap())
    }

    /// Sends a request until it is answered for good.
    pub(crate) async fn insist<A: Message + Default>(
        &self,
        rpc: &'static str,
        request: impl Message + Clone,
    ) -> Result<A, Status> {
        loop {
            match self.call(rpc, request.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(Failed::Refused(status)) if !Failed::Refused(status.clone()).is_temporary() => return Err(status),
                Err(_) => self.world.nap(100, 2000).await,
            }
        }
    }

    async fn attempt(self, rpc: &'static str, message: Vec<u8>) -> Result<Vec<u8>, Failed> {
        let (world, faults) = (&self.world, &self.world.plan.network);
        if world.mishap(faults.duplicated) {
            let (other, message) = (self.clone(), message.clone());
            world.actors.spawn(async move {
                other.delay().await;
                other.note(format_args!("{rpc} again, by the network"));
                let patience = other.world.clock.sleep(PATIENCE);
                let _ = select(Box::pin(other.send(rpc, message)), patience).await;
            });
        }
        self.delay().await;
        if world.mishap(faults.request_lost) {
            return std::future::pending().await;
        }
        let answer = self.send(rpc, message).await;
        if world.mishap(faults.answer_lost) {
            return if world.rng().percent(50) {
                Err(Failed::Lost)
            } else {
                std::future::pending().await
            };
        }
        self.delay().await;
        answer
    }

    async fn delay(&self) {
        let most = if self.world.is_calm() {
            2
        } else {
            self.world.plan.network.delay
        };
        if self.world.rng().percent(70) {
            self.world.nap(0, most).await;
        }
    }

    /// Has the engine answer. Dropped, it withdraws the call.
    async fn send(&self, rpc: &str, message: Vec<u8>) -> Result<Vec<u8>, Failed> {
        let world = &self.world;
        let Some(engine) = world.in_process() else {
            world.nap(1, 50).await;
            return Err(Failed::Lost);
        };
        let message = match world.fate.bug {
            Some(bug) => {
                if let Some(again) = bug.again(rpc, &message) {
                    let (engine, name) = (engine.clone(), rpc.to_owned());
                    world.spawn_on_computer(async move {
                        let _ = engine.call(SERVICE, &name, HeaderMap::new(), again.into()).await;
                    });
                }
                match bug.instead_of(rpc, message) {
                    Some(message) => message,
                    // All fields of an answer have defaults.
                    None => return Ok(Vec::new()),
                }
            }
            None => message,
        };
        let (answer, answered) = oneshot::channel();
        let name = rpc.to_owned();
        let mut headers = HeaderMap::new();
        if !self.is_worker {
            // Whoever is no worker is not shown the events of tasks that may yet fail.
            headers.insert("client-name", HeaderValue::from_static("temporal-cli"));
        }
        let call = world.spawn_on_computer(async move {
            let result = engine.call(SERVICE, &name, headers, message.into()).await;
            let _ = answer.send(result);
        });
        let _withdrawn = Withdraw(call);
        match answered.await {
            Ok(Ok((_, bytes))) => Ok(bytes),
            Ok(Err(status)) => {
                if matches!(status.code(), Code::Internal | Code::Unknown | Code::DataLoss) {
                    world.violated(format!("{rpc} was answered {:?}: {}", status.code(), status.message()));
                }
                Err(Failed::Refused(status))
            }
            // It crashed.
            Err(_) => Err(Failed::Lost),
        }
    }
}

struct Withdraw(Option<tokio::task::AbortHandle>);

impl Drop for Withdraw {
    fn drop(&mut self) {
        if let Some(call) = &self.0 {
            call.abort();
        }
    }
}
