//! Accepted risks that have ended.

use helve_db::Batch;
use serde_json::json;

use super::write;
use crate::{
    Actor, Error, Ledger, Time,
    audit::{self, Act},
    findings::{
        names::Names,
        rows::{self, Row, read_row},
        tally::Tally,
    },
    hex,
};

/// Findings of one write at most.
const MAX_AT_ONCE: i64 = 1_000;

impl Ledger {
    /// Opens findings again whose accepted risk has ended.
    pub(crate) async fn sweep_accepted(&self, now: Time) -> Result<(), Error> {
        loop {
            let (count, batch) = self.decide_expiry(now).await?;
            match self.commit_unless_empty(batch).await {
                // Somebody wrote one of them meanwhile.
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
                Ok(()) if count < MAX_AT_ONCE as usize => return Ok(()),
                Ok(()) => {}
            }
        }
    }

    async fn decide_expiry(&self, now: Time) -> Result<(usize, Batch), Error> {
        self.read(move |db| {
            let mut query = db.prepare_cached(concat!(
                "SELECT ",
                rows::columns!(),
                " FROM findings INDEXED BY findings_by_until WHERE until IS NOT NULL AND until <= ?1 LIMIT ?2"
            ))?;
            let ended = query.query_map((now.millis(), MAX_AT_ONCE), read_row)?;
            let ended: Vec<Row> = ended.collect::<Result<_, _>>()?;
            let (mut batch, mut tally, mut names) = (Batch::new(), Tally::default(), Names::new(db));
            let system = Actor::system("helve");
            for row in &ended {
                let mut new = row.clone();
                let mut events = Vec::new();
                let at = row.life.until.map_or(now, |until| row.life.not_before(until));
                new.life.expire(at, &mut events);
                new.version += 1;
                write(db, row, &new, &events, &mut tally, &mut batch)?;
                let (namespace, id) = (names.get(row.namespace)?, hex(&row.id));
                let act = Act::new("finding.acceptance_expired", &id)
                    .namespace(&namespace)
                    .detail(json!({ "until": row.life.until }));
                audit::push(&mut batch, now, &system, &act);
            }
            tally.write(&mut batch);
            Ok((ended.len(), batch))
        })
        .await
    }
}
