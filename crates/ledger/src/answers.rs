//! Idempotency keys: what was answered to a request, so that the same request sent again is not done again.
//!
//! No audit rows: whoever sends a request twice changes nothing by it.

use std::time::Duration;

use helve_db::{Batch, rusqlite::OptionalExtension};

use crate::{Error, Ledger, Time, ledger::MAX_TRIES, text};

/// Bytes of an answer at most; a longer one is not kept.
const MAX_ANSWER: usize = 1 << 20;
/// Bytes of a key at most.
const MAX_KEY: usize = 255;

/// An answer that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The status code.
    pub status: u16,
    /// The headers that belong to it.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What is known of an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reservation {
    /// Nobody used it: do what is asked, then call [`Ledger::keep_answer`], or [`Ledger::release_key`] if nothing was done.
    Yours,
    /// It was done: this was the answer.
    Answered(StoredAnswer),
    /// It is being done at this moment.
    Busy,
    /// It was used for another request.
    OtherRequest,
}

impl Ledger {
    /// Takes a key for a request (named by a hash of it). `principal` keeps the keys of callers apart. The key is free again
    /// after so long, or after a restart if it was never answered.
    pub async fn reserve_key(
        &self,
        principal: &str,
        key: &str,
        request: [u8; 32],
        lasts: Duration,
    ) -> Result<Reservation, Error> {
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(Error::invalid(format!(
                "an idempotency key must have 1 to {MAX_KEY} bytes"
            )));
        }
        for _ in 0..MAX_TRIES {
            let now = self.now();
            if let Some(found) = self.known_key(principal, key, request, now).await? {
                return Ok(found);
            }
            let mut batch = Batch::new();
            batch.run(
                "DELETE FROM answers WHERE principal = ?1 AND key = ?2 AND expires_at <= ?3",
                vec![principal.into(), key.into(), now.millis().into()],
            );
            batch.run_one(
                "INSERT OR IGNORE INTO answers (principal, key, request, expires_at) VALUES (?1, ?2, ?3, ?4)",
                vec![
                    principal.into(),
                    key.into(),
                    request.to_vec().into(),
                    now.after(lasts).millis().into(),
                ],
            );
            match self.commit(batch).await {
                Ok(()) => return Ok(Reservation::Yours),
                // Somebody else took it in this moment.
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Reservation::Busy)
    }

    async fn known_key(
        &self,
        principal: &str,
        key: &str,
        request: [u8; 32],
        now: Time,
    ) -> Result<Option<Reservation>, Error> {
        let (principal, key) = (principal.to_owned(), key.to_owned());
        self.read(move |db| {
            let mut query = db.prepare_cached(
                "SELECT request, status, headers, body FROM answers WHERE principal = ?1 AND key = ?2 AND expires_at > ?3",
            )?;
            type Found = (Vec<u8>, Option<u16>, Option<String>, Option<Vec<u8>>);
            let found: Option<Found> = query
                .query_row((&principal, &key, now.millis()), |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                })
                .optional()?;
            Ok(match found {
                None => None,
                Some((known, ..)) if known != request => Some(Reservation::OtherRequest),
                Some((_, None, ..)) => Some(Reservation::Busy),
                Some((_, Some(status), headers, body)) => Some(Reservation::Answered(StoredAnswer {
                    status,
                    headers: serde_json::from_str(&headers.unwrap_or_default())
                        .map_err(|error| Error::corrupt(format!("the headers of an answer: {error}")))?,
                    body: body.unwrap_or_default(),
                })),
            })
        })
        .await
    }

    /// Keeps the answer to a request whose key was reserved. A very long one is not kept: the key is free again.
    pub async fn keep_answer(&self, principal: &str, key: &str, answer: StoredAnswer) -> Result<(), Error> {
        if answer.body.len() > MAX_ANSWER {
            return self.release_key(principal, key).await;
        }
        let mut batch = Batch::new();
        batch.run(
            "UPDATE answers SET status = ?3, headers = ?4, body = ?5 WHERE principal = ?1 AND key = ?2 AND status IS NULL",
            vec![
                principal.into(),
                key.into(),
                i64::from(answer.status).into(),
                text::json(&answer.headers).into(),
                answer.body.into(),
            ],
        );
        self.commit(batch).await
    }

    /// Gives a key back: nothing was done.
    pub async fn release_key(&self, principal: &str, key: &str) -> Result<(), Error> {
        let mut batch = Batch::new();
        batch.run(
            "DELETE FROM answers WHERE principal = ?1 AND key = ?2 AND status IS NULL",
            vec![principal.into(), key.into()],
        );
        self.commit(batch).await
    }

    /// Gives back the keys of requests that an earlier process did not answer: nobody will any more.
    pub(crate) async fn release_lost_keys(&self) -> Result<(), Error> {
        let mut batch = Batch::new();
        batch.run(
            "DELETE FROM answers INDEXED BY answers_unanswered WHERE status IS NULL",
            Vec::new(),
        );
        self.commit(batch).await
    }

    /// Forgets expired keys.
    pub(crate) async fn sweep_answers(&self, now: Time) -> Result<(), Error> {
        let mut batch = Batch::new();
        batch.run(
            "DELETE FROM answers INDEXED BY answers_by_expiry WHERE expires_at <= ?1",
            vec![now.millis().into()],
        );
        self.commit(batch).await
    }
}
