//! The loop: claim what is due, tell it, say how it ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use helve_ledger::{Delivery, Ledger, Room, Time};
use helve_net::Policy;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::post::{Outcome, post};

/// Longest sleep: the clock may have been set, and a wake may have been meant for somebody who died.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// When something is due that cannot be claimed, because its webhook has enough to do: that ends with a delivery, which wakes.
const WHILE_BUSY: Duration = Duration::from_secs(2);
/// After the ledger did not answer.
const AFTER_TROUBLE: Duration = Duration::from_secs(5);
/// What is under way may go on for so long when it is stopped.
const GRACE: Duration = Duration::from_secs(2);

/// How deliveries are made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who may be told.
    pub policy: Policy,
    /// What a receiver has to take one and answer.
    pub timeout: Duration,
    /// Deliveries at a time.
    pub at_once: usize,
    /// Of them, to one webhook.
    pub of_each: usize,
}

impl Options {
    /// The usual bounds.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            timeout: Duration::from_secs(10),
            at_once: 32,
            of_each: 4,
        }
    }

    /// A claim lasts longer than a delivery can; when the process dies, it is the time until the delivery is made again.
    fn lease(&self) -> Duration {
        self.timeout * 2 + Duration::from_secs(10)
    }
}

/// Delivers until it is stopped or dropped.
pub struct Dispatcher {
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl Dispatcher {
    /// Begins.
    pub fn start(ledger: Ledger, options: Options) -> Self {
        Self::start_with(ledger, options, helve_net::connector())
    }

    /// Begins, and trusts what the connector trusts.
    pub fn start_with(ledger: Ledger, options: Options, tls: TlsConnector) -> Self {
        let stop = CancellationToken::new();
        let work = Work {
            ledger,
            options: Arc::new(options),
            tls,
            running: JoinSet::new(),
            taken: HashMap::new(),
        };
        let task = AbortOnDropHandle::new(tokio::spawn(work.keep_on(stop.clone())));
        Self { stop, task }
    }

    /// Claims nothing more, and lets what is under way end if that does not take long. The rest is told after the next start.
    pub async fn close(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
}

struct Work {
    ledger: Ledger,
    options: Arc<Options>,
    tls: TlsConnector,
    /// Each ends with the webhook that it told.
    running: JoinSet<String>,
    taken: HashMap<String, usize>,
}

impl Work {
    async fn keep_on(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let sleep = match self.claim().await {
                Ok(sleep) => sleep,
                Err(error) => {
                    tracing::warn!(%error, "webhooks cannot be told at this moment; nothing is lost");
                    AFTER_TROUBLE
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                Some(ended) = self.running.join_next() => self.ended(ended.ok()),
                () = self.ledger.outbox_changed() => {}
                () = tokio::time::sleep(sleep) => {}
            }
            while let Some(ended) = self.running.try_join_next() {
                self.ended(ended.ok());
            }
        }
        let _ = tokio::time::timeout(GRACE, async { while self.running.join_next().await.is_some() {} }).await;
    }

    /// Starts what can be started, and says how long there is nothing to do.
    async fn claim(&mut self) -> Result<Duration, helve_ledger::Error> {
        let free = self.options.at_once.saturating_sub(self.running.len());
        if free == 0 {
            return Ok(LONGEST_SLEEP);
        }
        let room = Room {
            of_each: self.options.of_each,
            taken: self.taken.clone(),
        };
        let claimed = self.ledger.claim_deliveries(free, self.options.lease(), &room).await?;
        let is_some = !claimed.is_empty();
        for delivery in claimed {
            *self.taken.entry(delivery.webhook.clone()).or_default() += 1;
            let (ledger, options, tls) = (self.ledger.clone(), Arc::clone(&self.options), self.tls.clone());
            self.running.spawn(async move {
                deliver(&ledger, &options, &tls, &delivery).await;
                delivery.webhook
            });
        }
        if is_some {
            return Ok(Duration::ZERO);
        }
        let Some(next) = self.ledger.next_delivery().await? else {
            return Ok(LONGEST_SLEEP);
        };
        Ok(match until(next, self.ledger.now()) {
            Duration::ZERO => WHILE_BUSY,
            wait => wait.min(LONGEST_SLEEP),
        })
    }

    /// One that panicked has told about itself, and its count is made anew with the next that ends without any running.
    fn ended(&mut self, webhook: Option<String>) {
        if let Some(webhook) = webhook
            && let Some(count) = self.taken.get_mut(&webhook)
        {
            *count -= 1;
            if *count == 0 {
                self.taken.remove(&webhook);
            }
        }
        if self.running.is_empty() {
            self.taken.clear();
        }
    }
}

fn until(next: Time, now: Time) -> Duration {
    Duration::from_millis(u64::try_from(next.millis() - now.millis()).unwrap_or(0))
}

async fn deliver(ledger: &Ledger, options: &Options, tls: &TlsConnector, delivery: &Delivery) {
    let said = match post(delivery, &options.policy, tls, options.timeout).await {
        Outcome::Taken(said) => {
            tracing::debug!(
                delivery = delivery.id,
                webhook = delivery.webhook,
                said,
                "a webhook was told"
            );
            ledger.delivered(delivery, &said).await
        }
        Outcome::Failed(why, retry_after) => {
            tracing::debug!(
                delivery = delivery.id,
                webhook = delivery.webhook,
                why,
                "a webhook was not told"
            );
            ledger.delivery_failed(delivery, &why, retry_after).await
        }
    };
    if let Err(error) = said {
        tracing::warn!(delivery = delivery.id, %error, "it cannot be written down how a delivery ended; it is made again");
    }
}
