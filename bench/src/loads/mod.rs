//! What is measured: one load a file, one row of the table a load.

mod children;
mod clients;
mod lists;
mod memory;
mod million;
mod parallel;
mod queries;
mod replay;
mod restart;
mod scripts;
mod sequential;
mod signals;
mod start_only;
mod timers;
mod updates;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use anyhow::Result;

pub(crate) use clients::workflow;
pub(crate) use scripts::complete_at_once;
pub(crate) use sequential::GROUP_COMMIT;

use crate::measured::Measured;
use crate::options::Options;
use crate::raw::Server;
use crate::servers::Host;

/// A task queue that no load before polled: polls that were left open take nothing away from this one.
pub(crate) fn fresh_queue() -> String {
    format!("bench-{}", jiff::Timestamp::now().as_microsecond())
}

/// What a load is given: a server with nothing on it, which is the load's own.
pub(crate) struct Bench<'a> {
    pub(crate) host: Host,
    pub(crate) options: &'a Options,
}

impl Bench<'_> {
    /// How long a load that may go on for ever goes on.
    fn time(&self) -> Duration {
        self.options.time
    }

    /// So many on Helve, a tenth when it shall be quick; and so many on the real server, which takes longer.
    fn count(&self, helve: usize, temporal: usize) -> usize {
        let count = match self.host.kind().is_temporal() {
            true => temporal,
            false => helve,
        };
        if self.options.quick { (count / 10).max(1) } else { count }
    }

    /// Connections of the raw driver.
    async fn server(&self) -> Result<Server> {
        Server::connect(self.host.address(), self.options.gzip).await
    }
}

type Running<'a> = Pin<Box<dyn Future<Output = Result<Measured>> + 'a>>;
/// A load as one driver does it.
pub(crate) type Run = for<'a> fn(&'a mut Bench<'_>) -> Running<'a>;

/// What a load's ratio compares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Compare {
    /// Units per second.
    Rate,
    /// The median latency of a unit.
    Median,
    /// A figure of its own, of which less is better.
    Less(&'static str),
}

/// One row.
pub(crate) struct Load {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) compare: Compare,
    /// On plain gRPC, on the SDK; a load may have one of them only.
    pub(crate) raw: Option<Run>,
    pub(crate) sdk: Option<Run>,
}

/// All of them, in the order in which they run.
pub(crate) const LOADS: &[Load] = &[
    Load {
        name: "sequential-1",
        what: "3 activities in a row, 1 workflow at once",
        compare: Compare::Median,
        raw: Some(|bench| Box::pin(sequential::raw(bench, 1))),
        sdk: Some(|bench| Box::pin(sequential::sdk(bench, 1))),
    },
    Load {
        name: "sequential-50",
        what: "3 activities in a row, 50 workflows at once",
        compare: Compare::Rate,
        raw: Some(|bench| Box::pin(sequential::raw(bench, 50))),
        sdk: Some(|bench| Box::pin(sequential::sdk(bench, 50))),
    },
    Load {
        name: "sequential-200",
        what: "3 activities in a row, 200 workflows at once",
        compare: Compare::Rate,
        raw: Some(|bench| Box::pin(sequential::raw(bench, 200))),
        sdk: Some(|bench| Box::pin(sequential::sdk(bench, 200))),
    },
    Load {
        name: "parallel",
        what: "1 workflow with 500 activities at once",
        compare: Compare::Median,
        raw: Some(|bench| Box::pin(parallel::raw(bench))),
        sdk: Some(|bench| Box::pin(parallel::sdk(bench))),
    },
    Load {
        name: "timers",
        what: "1,000 workflows on a timer of 5 s: how late they are",
        compare: Compare::Median,
        raw: Some(|bench| Box::pin(timers::raw(bench))),
        sdk: Some(|bench| Box::pin(timers::sdk(bench))),
    },
    Load {
        name: "signals",
        what: "signals to 1,000 open workflows, 50 at once",
        compare: Compare::Rate,
        raw: Some(|bench| Box::pin(signals::raw(bench))),
        sdk: Some(|bench| Box::pin(signals::sdk(bench))),
    },
    Load {
        name: "updates",
        what: "updates to 20 open workflows, 20 at once",
        compare: Compare::Rate,
        raw: None,
        sdk: Some(|bench| Box::pin(updates::sdk(bench))),
    },
    Load {
        name: "queries",
        what: "queries of 20 open workflows, 20 at once",
        compare: Compare::Rate,
        raw: None,
        sdk: Some(|bench| Box::pin(queries::sdk(bench))),
    },
    Load {
        name: "children",
        what: "1 workflow with 100 children at once",
        compare: Compare::Median,
        raw: None,
        sdk: Some(|bench| Box::pin(children::sdk(bench))),
    },
    Load {
        name: "start-only",
        what: "starts, 50 at once, no worker",
        compare: Compare::Rate,
        raw: Some(|bench| Box::pin(start_only::raw(bench))),
        sdk: None,
    },
    Load {
        name: "replay",
        what: "a history of 10,000 events: read (raw), replayed for a query (sdk)",
        compare: Compare::Median,
        raw: Some(|bench| Box::pin(replay::raw(bench))),
        sdk: Some(|bench| Box::pin(replay::sdk(bench))),
    },
    Load {
        name: "list",
        what: "a page of a filtered list over 100,000 closed executions",
        compare: Compare::Median,
        raw: Some(|bench| Box::pin(lists::list(bench))),
        sdk: None,
    },
    Load {
        name: "count",
        what: "100,000 closed executions counted by status",
        compare: Compare::Median,
        raw: Some(|bench| Box::pin(lists::count(bench))),
        sdk: None,
    },
    Load {
        name: "memory",
        what: "memory at rest and under load",
        compare: Compare::Less("idle MB"),
        raw: Some(|bench| Box::pin(memory::raw(bench))),
        sdk: None,
    },
    Load {
        name: "restart",
        what: "a restart with 100,000 open executions, and their memory",
        compare: Compare::Rate,
        raw: Some(|bench| Box::pin(restart::raw(bench))),
        sdk: None,
    },
    Load {
        name: "million",
        what: "sequential-200 with 1,000,000 closed executions in the database",
        compare: Compare::Rate,
        raw: Some(|bench| Box::pin(million::raw(bench))),
        sdk: None,
    },
];
