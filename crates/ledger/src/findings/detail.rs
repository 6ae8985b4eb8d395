//! One finding, with its history.

use helve_db::rusqlite::{Connection, OptionalExtension};

use crate::{
    Error, Ledger, Page, PageRequest,
    findings::{
        FindingDetail, FindingEvent, FindingFilter, FindingOrder, Happened, MAX_HISTORY,
        ingest::Detail,
        life::{Event, What},
        list::page_of_rows,
        names,
        rows::{self, Row},
        summary::{self, Summaries},
    },
};

impl Ledger {
    /// The finding with this id, with what happened to it.
    pub async fn finding(&self, namespace: &str, id: &str) -> Result<FindingDetail, Error> {
        let (namespace, id) = (namespace.to_owned(), id.to_owned());
        self.read(move |db| {
            let row = find(db, &namespace, &id)?;
            whole(db, &row, &mut Summaries::new(db))
        })
        .await
    }

    /// A page of the findings of a namespace with all that is known of each, in the order of their paths.
    pub async fn findings_in_full(
        &self,
        namespace: &str,
        filter: FindingFilter,
        page: PageRequest,
    ) -> Result<Page<FindingDetail>, Error> {
        let namespace = namespace.to_owned();
        self.read(move |db| {
            let rows = page_of_rows(db, &namespace, &filter, FindingOrder::Path, &page)?;
            let mut summaries = Summaries::new(db);
            let items = rows.items.iter().map(|row| whole(db, row, &mut summaries));
            Ok(Page {
                items: items.collect::<Result<_, _>>()?,
                next_cursor: rows.next_cursor,
            })
        })
        .await
    }
}

fn whole(db: &Connection, row: &Row, summaries: &mut Summaries<'_>) -> Result<FindingDetail, Error> {
    let detail = detail(db, row.no)?;
    Ok(FindingDetail {
        summary: summaries.summary(row)?,
        finding: detail.finding,
        rule: summary::rule(db, row.rule)?,
        suppression: detail.suppression,
        history: history(db, row.no, summaries)?,
    })
}

/// The finding with this id, if it is one of this namespace.
pub(crate) fn find(db: &Connection, namespace: &str, id: &str) -> Result<Row, Error> {
    let none = || Error::not_found("finding", id);
    let row = match rows::parse_id(id) {
        Some(id) => rows::by_id(db, &id)?.ok_or_else(none)?,
        None => return Err(none()),
    };
    if names::find_namespace(db, namespace)? == Some(row.namespace) {
        Ok(row)
    } else {
        Err(none())
    }
}

fn detail(db: &Connection, no: i64) -> Result<Detail, Error> {
    let mut query = db.prepare_cached("SELECT body FROM details WHERE no = ?1")?;
    let body: Option<String> = query.query_row([no], |row| row.get(0)).optional()?;
    let body = body.ok_or_else(|| Error::corrupt(format!("the finding {no} has no detail")))?;
    serde_json::from_str(&body).map_err(|error| Error::corrupt(format!("the detail of a finding: {error}")))
}

fn history(db: &Connection, no: i64, summaries: &mut Summaries<'_>) -> Result<Vec<FindingEvent>, Error> {
    let mut query = db.prepare_cached(
        "SELECT at, kind, run, body FROM finding_events WHERE finding = ?1 ORDER BY seq DESC LIMIT ?2",
    )?;
    let mut rows = query.query((no, MAX_HISTORY as i64))?;
    let mut history = Vec::new();
    while let Some(row) = rows.next()? {
        let event = rows::read_event(row)?;
        history.push(FindingEvent {
            at: event.at,
            what: happened(event, summaries)?,
        });
    }
    Ok(history)
}

fn happened(event: Event, summaries: &mut Summaries<'_>) -> Result<Happened, Error> {
    let run_id = event.run.map_or(Ok(String::new()), |run| summaries.run_id(run))?;
    Ok(match event.what {
        What::New => Happened::New { run_id },
        What::Fixed => Happened::Fixed { run_id },
        What::Reopened => Happened::Reopened { run_id },
        What::Severity { from, to } => Happened::SeverityChanged { run_id, from, to },
        What::Suppression(suppressed) => Happened::SuppressionChanged { run_id, suppressed },
        What::Triaged { from, decision } => Happened::Triaged {
            by: decision.by,
            from,
            to: decision.to,
            until: decision.until,
            comment: decision.comment,
        },
        What::Commented { by, comment } => Happened::Commented { by, comment },
        What::Expired => Happened::AcceptanceExpired,
    })
}
