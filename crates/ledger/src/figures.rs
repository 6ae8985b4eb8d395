//! What is counted of a ledger.

use std::time::Duration;

use helve_metrics::{Collect, Counter, Gauge, Histogram, LONG_SECONDS, Text};

use crate::{Error, Ledger, Time};

/// What is told of a ledger to programs of monitoring.
pub struct LedgerFigures {
    runs: Counter,
    findings: Counter,
    lag: Histogram,
    delivered: Counter,
    failed: Counter,
    dead: Counter,
    /// As of the last look.
    pending: Gauge,
    late_millis: Gauge,
}

impl Default for LedgerFigures {
    fn default() -> Self {
        LedgerFigures {
            runs: Counter::default(),
            findings: Counter::default(),
            lag: Histogram::new(LONG_SECONDS),
            delivered: Counter::default(),
            failed: Counter::default(),
            dead: Counter::default(),
            pending: Gauge::default(),
            late_millis: Gauge::default(),
        }
    }
}

impl LedgerFigures {
    /// A run that ended then is in the index now.
    pub(crate) fn ingested(&self, findings: usize, ended: Time, now: Time) {
        self.runs.inc();
        self.findings.add(findings as u64);
        let millis = u64::try_from(now.millis() - ended.millis()).unwrap_or(0);
        self.lag.took(Duration::from_millis(millis));
    }

    /// An attempt to deliver came to this.
    pub(crate) fn attempted(&self, state: &str) {
        match state {
            "delivered" => self.delivered.inc(),
            "dead" => self.dead.inc(),
            _ => self.failed.inc(),
        }
    }
}

impl Ledger {
    /// Counts what waits in the outbox of webhooks, for the figures.
    pub async fn look_at_outbox(&self) -> Result<(), Error> {
        let (pending, first): (i64, Option<i64>) = self
            .read(|db| {
                let mut query = db.prepare_cached(
                    "SELECT count(*), min(next_at) FROM deliveries INDEXED BY deliveries_due WHERE next_at > 0",
                )?;
                Ok(query.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?)
            })
            .await?;
        let figures = self.counts();
        figures.pending.set(pending);
        let late = first.map_or(0, |first| (self.now().millis() - first).max(0));
        figures.late_millis.set(late);
        Ok(())
    }
}

impl Collect for LedgerFigures {
    fn collect(&self, text: &mut Text) {
        text.counter(
            "helve_ledger_ingested_runs_total",
            "Runs whose findings went into the index.",
            &[],
            &self.runs,
        );
        text.counter(
            "helve_ledger_ingested_findings_total",
            "Findings of these runs.",
            &[],
            &self.findings,
        );
        text.histogram(
            "helve_ledger_ingest_lag_seconds",
            "Time from the end of a run until its findings are in the index.",
            &[],
            &self.lag,
        );
        for (outcome, count) in [
            ("delivered", &self.delivered),
            ("failed", &self.failed),
            ("dead", &self.dead),
        ] {
            text.counter(
                "helve_ledger_webhook_attempts_total",
                "Attempts to deliver a webhook; after one that is dead there are no more.",
                &[("outcome", outcome)],
                count,
            );
        }
        text.gauge(
            "helve_ledger_webhooks_pending",
            "Webhooks that wait in the outbox.",
            &[],
            &self.pending,
        );
        text.value(
            "helve_ledger_webhooks_late_seconds",
            "How long the first of them has been due.",
            &[],
            self.late_millis.get() as f64 / 1e3,
        );
    }
}

#[cfg(test)]
mod tests {
    use helve_metrics::Registry;

    use super::*;
    use crate::{Actor, EventKind, NewWebhook};

    #[tokio::test]
    async fn webhooks_that_wait_and_attempts_that_fail_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("l.db"), Default::default())
            .await
            .unwrap();
        let registry = Registry::new();
        let (figures, store) = ledger.figures();
        registry.add(figures);
        registry.add(std::sync::Arc::new(store));
        let new = NewWebhook {
            namespace: "default".to_owned(),
            url: "https://example.org/hook".to_owned(),
            events: vec![EventKind::RunFinished],
            secret: None,
        };
        ledger.create_webhook(&Actor::system("test"), new).await.unwrap();
        let body = serde_json::json!({"run": "r"});
        ledger.announce("default", EventKind::RunFinished, body).await.unwrap();
        ledger.look_at_outbox().await.unwrap();
        let text = registry.text();
        assert!(text.contains("helve_ledger_webhooks_pending 1\n"), "{text}");
        assert!(text.contains("helve_db_commits_total{database=\"ledger\"} "), "{text}");
        let due = ledger.claim_deliveries(1, Duration::from_secs(60)).await.unwrap();
        ledger.delivery_failed(&due[0], "refused", None).await.unwrap();
        let text = registry.text();
        assert!(
            text.contains("helve_ledger_webhook_attempts_total{outcome=\"failed\"} 1\n"),
            "{text}"
        );
    }
}
