//! On the way to a collector.

use std::sync::Arc;
use std::time::Duration;

use helve_metrics::{Collect, Counter, Text};
use prost::Message;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Url};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::layer::Exporting;
use crate::wire::{ExportTraceServiceRequest, KeyValue, Resource, ResourceSpans, Scope, ScopeSpans, Span};

/// Spans that wait. More are dropped.
const WAITING: usize = 4096;
/// Spans that are sent together.
const BATCH: usize = 512;
/// How long the first of them waits for others.
const GATHER: Duration = Duration::from_millis(500);
/// How long a collector may take.
const WITHIN: Duration = Duration::from_secs(10);
/// How long the last spans of a process that leaves may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Where ended spans are put.
#[derive(Clone)]
pub(crate) struct Queue {
    spans: Sender<Span>,
    figures: Arc<TraceFigures>,
}

impl Queue {
    /// Never waits.
    pub(crate) fn offer(&self, span: Span) {
        if self.spans.try_send(span).is_err() {
            self.figures.dropped.inc();
        }
    }
}

/// What is told of traces to programs of monitoring.
#[derive(Default)]
pub struct TraceFigures {
    sent: Counter,
    dropped: Counter,
}

impl Collect for TraceFigures {
    fn collect(&self, text: &mut Text) {
        for (outcome, count) in [("sent", &self.sent), ("dropped", &self.dropped)] {
            text.counter(
                "helve_trace_spans_total",
                "Spans of traces; those are dropped that a collector did not take in time.",
                &[("outcome", outcome)],
                count,
            );
        }
    }
}

/// What is no address of a collector, or no headers for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidEndpoint(String);

impl std::fmt::Display for InvalidEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidEndpoint {}

/// Sends spans, once it runs.
pub struct Exporter {
    url: Url,
    headers: HeaderMap,
    service: &'static str,
    spans: Receiver<Span>,
    figures: Arc<TraceFigures>,
}

/// For a collector at `endpoint` (`http://host:4318`), with `headers` such as `authorization=Bearer x,more=y`.
///
/// # Errors
///
/// When one of them makes no sense.
pub fn exporter(
    endpoint: &str,
    headers: &str,
    service: &'static str,
) -> Result<(Exporting, Exporter), InvalidEndpoint> {
    let wrong = |why: &str| InvalidEndpoint(format!("`{endpoint}` is no address of a collector: {why}"));
    let base = endpoint.trim_end_matches('/');
    let url = Url::parse(&format!("{base}/v1/traces")).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("it must begin with http:// or https://"));
    }
    let (spans, receiver) = channel(WAITING);
    let figures = Arc::new(TraceFigures::default());
    let queue = Queue {
        spans,
        figures: Arc::clone(&figures),
    };
    let exporter = Exporter {
        url,
        headers: read_headers(headers)?,
        service,
        spans: receiver,
        figures,
    };
    Ok((Exporting::new(queue), exporter))
}

fn read_headers(text: &str) -> Result<HeaderMap, InvalidEndpoint> {
    let mut headers = HeaderMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        // Not the text itself: it holds secrets.
        let wrong = || InvalidEndpoint("the headers for the collector are not of the form `name=value,...`".to_owned());
        let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
        let name: HeaderName = name.trim().parse().map_err(|_| wrong())?;
        let mut value: HeaderValue = value.trim().parse().map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

impl Exporter {
    /// How many were sent and dropped.
    pub fn figures(&self) -> Arc<TraceFigures> {
        Arc::clone(&self.figures)
    }

    /// Sends what comes until `stop`, and then what is there.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        // Whoever installed one before has the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = match Client::builder().timeout(WITHIN).build() {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(%error, "no traces can be sent");
                return;
            }
        };
        let mut is_failing = false;
        let mut stop = std::pin::pin!(stop);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                got = self.spans.recv_many(&mut batch, BATCH) => {
                    if got == 0 {
                        return;
                    }
                }
            }
            let gather = tokio::time::sleep(GATHER);
            tokio::select! {
                biased;
                () = &mut stop => break,
                () = gather => {}
            }
            while batch.len() < WAITING
                && let Ok(span) = self.spans.try_recv()
            {
                batch.push(span);
            }
            self.send(&client, std::mem::take(&mut batch), &mut is_failing).await;
        }
        while let Ok(span) = self.spans.try_recv() {
            batch.push(span);
        }
        if !batch.is_empty() {
            let last = self.send(&client, batch, &mut is_failing);
            let _ = tokio::time::timeout(FAREWELL, last).await;
        }
    }

    async fn send(&self, client: &Client, spans: Vec<Span>, is_failing: &mut bool) {
        let count = spans.len() as u64;
        let request = client
            .post(self.url.clone())
            .headers(self.headers.clone())
            .header("content-type", "application/x-protobuf")
            .body(self.request(spans).encode_to_vec());
        let answer = request.send().await.and_then(reqwest::Response::error_for_status);
        match answer {
            Ok(_) => {
                self.figures.sent.add(count);
                if std::mem::take(is_failing) {
                    tracing::info!("the collector takes traces again");
                }
            }
            Err(error) => {
                self.figures.dropped.add(count);
                if !std::mem::replace(is_failing, true) {
                    // Without the address, which may hold a secret.
                    let error = error.without_url();
                    tracing::warn!(%error, "the collector does not take traces; they are dropped until it does");
                }
            }
        }
    }

    fn request(&self, spans: Vec<Span>) -> ExportTraceServiceRequest {
        let version = env!("CARGO_PKG_VERSION");
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(Resource {
                    attributes: vec![
                        KeyValue::text("service.name", self.service),
                        KeyValue::text("service.version", version),
                        KeyValue::text("service.instance.id", &std::process::id().to_string()),
                    ],
                }),
                scope_spans: vec![ScopeSpans {
                    scope: Some(Scope {
                        name: "helve".to_owned(),
                        version: version.to_owned(),
                    }),
                    spans,
                }],
            }],
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::field::Empty;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::{Context, adopt, current, rename};

    const REMOTE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn spans(receiver: &mut Receiver<Span>) -> Vec<Span> {
        std::iter::from_fn(|| receiver.try_recv().ok()).collect()
    }

    #[test]
    fn spans_of_a_trace_have_its_id_and_their_parents() {
        let (layer, mut exporter) = exporter("http://127.0.0.1:4318", "", "helve").unwrap();
        let subscriber = tracing_subscriber::registry().with(layer.filtered());
        let remote: Context = REMOTE.parse().unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let request = tracing::info_span!("request", traced = Empty, route = "/runs");
            adopt(&request, Some(remote));
            rename(&request, || "POST /runs".to_owned());
            request.in_scope(|| {
                let unknown = tracing::info_span!("of a library");
                unknown.in_scope(|| {
                    let inner = current().unwrap();
                    assert_eq!(inner.trace, remote.trace);
                    let commit = tracing::debug_span!("commit", traced_within = Empty, error = Empty);
                    commit.record("error", "the disk is full");
                });
            });
            drop(request);
            tracing::debug_span!("commit", traced_within = Empty).in_scope(|| assert_eq!(current(), None));
        });
        let spans = spans(&mut exporter.spans);
        let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(names, ["commit", "POST /runs"], "and none that is in no trace");
        assert_eq!(spans[1].parent_span_id, remote.span);
        assert_eq!(spans[0].parent_span_id, spans[1].span_id);
        assert!(spans.iter().all(|span| span.trace_id == remote.trace));
        assert_eq!(spans[0].status.as_ref().unwrap().message, "the disk is full");
        assert_eq!(spans[1].attributes, [KeyValue::text("route", "/runs")]);
        assert!(spans[1].start_time_unix_nano <= spans[1].end_time_unix_nano);
    }

    #[test]
    fn a_trace_that_is_not_sampled_is_handed_on_and_not_exported() {
        let (layer, mut exporter) = exporter("http://127.0.0.1:4318", "", "helve").unwrap();
        let subscriber = tracing_subscriber::registry().with(layer.filtered());
        let remote: Context = REMOTE.replace("-01", "-00").parse().unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let request = tracing::info_span!("request", traced = Empty);
            adopt(&request, Some(remote));
            request.in_scope(|| assert!(!current().unwrap().is_sampled));
        });
        assert_eq!(spans(&mut exporter.spans), []);
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let (layer, exporter) = exporter("http://127.0.0.1:4318", "", "helve").unwrap();
        let subscriber = tracing_subscriber::registry().with(layer.filtered());
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..WAITING + 10 {
                drop(tracing::info_span!("request", traced = Empty));
            }
        });
        assert_eq!(exporter.figures.dropped.get(), 10);
    }

    #[test]
    fn an_address_of_no_collector_and_headers_that_are_none_are_refused_without_their_secrets() {
        for endpoint in ["127.0.0.1:4318", "ftp://collector", ""] {
            assert!(exporter(endpoint, "", "helve").is_err(), "{endpoint}");
        }
        let Err(error) = exporter("http://c:4318", "secret", "helve") else {
            panic!("it is taken")
        };
        assert!(!error.to_string().contains("secret"), "{error}");
        assert_eq!(read_headers("a=b=c, x-y = z").unwrap()["a"], "b=c");
    }

    #[tokio::test]
    async fn a_collector_that_is_away_costs_the_spans_and_nothing_else() {
        let (layer, exporter) = exporter("http://127.0.0.1:1", "", "helve").unwrap();
        let subscriber = tracing_subscriber::registry().with(layer.filtered());
        let figures = exporter.figures();
        tracing::subscriber::with_default(subscriber, || drop(tracing::info_span!("request", traced = Empty)));
        exporter.run(async {}).await;
        assert_eq!((figures.sent.get(), figures.dropped.get()), (0, 1));
    }
}
