//! What is counted of the API.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use helve_metrics::{Collect, Counter, Gauge, Histogram, OTHER, SECONDS, Text};

use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::state::Api;

/// A method, and the template of a path.
type Route = (&'static str, Box<str>);

/// What is told of the API to programs of monitoring.
pub(crate) struct ApiFigures {
    /// By method and the template of the route, of which there are as many as the program has.
    routes: RwLock<BTreeMap<Route, Arc<OfRoute>>>,
    under_way: Gauge,
    uploads: Gauge,
    received: Counter,
    listeners: Box<dyn Fn() -> usize + Send + Sync>,
}

struct OfRoute {
    /// By status.
    codes: RwLock<BTreeMap<u16, Counter>>,
    time: Histogram,
}

impl ApiFigures {
    pub(crate) fn new(listeners: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        Self {
            routes: RwLock::default(),
            under_way: Gauge::default(),
            uploads: Gauge::default(),
            received: Counter::default(),
            listeners: Box::new(listeners),
        }
    }

    /// Bytes of a body came.
    pub(crate) fn received(&self, bytes: usize) {
        self.received.add(bytes as u64);
    }

    fn of(&self, method: &'static str, route: &str) -> Arc<OfRoute> {
        let key = (method, Box::from(route));
        if let Some(known) = self.routes.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Arc::clone(known);
        }
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        let new = routes.entry(key).or_insert_with(|| {
            Arc::new(OfRoute {
                codes: RwLock::default(),
                time: Histogram::new(SECONDS),
            })
        });
        Arc::clone(new)
    }
}

impl OfRoute {
    fn answered(&self, status: u16) {
        if let Some(count) = self.codes.read().unwrap_or_else(PoisonError::into_inner).get(&status) {
            count.inc();
            return;
        }
        let mut codes = self.codes.write().unwrap_or_else(PoisonError::into_inner);
        codes.entry(status).or_default().inc();
    }
}

/// The template of the route that answered.
#[derive(Clone)]
struct Answered(MatchedPath);

/// Tells [`measure`], which is outside of all routers, which route it was.
pub(crate) async fn name_route(request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(matched) = matched {
        response.extensions_mut().insert(Answered(matched));
    }
    response
}

/// Counts a request, and how long its answer took to begin.
pub(crate) async fn measure(State(api): State<Api>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let figures = &api.figures;
    let method = name(request.method());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let is_upload = takes_bytes(request.method(), request.uri().path());
    let (_under_way, _upload) = (figures.under_way.hold(), is_upload.then(|| figures.uploads.hold()));
    let span = span(&request);
    let response = next.run(request).instrument(span.clone()).await;
    let answered = response.extensions().get::<Answered>().map(|answered| &answered.0);
    let route = matched.as_ref().or(answered).map_or(OTHER, MatchedPath::as_str);
    helve_trace::rename(&span, || format!("{method} {route}"));
    span.record("http.response.status_code", response.status().as_u16());
    let figures = figures.of(method, route);
    figures.answered(response.status().as_u16());
    figures.time.took(began.elapsed());
    response
}

/// The request in its trace: one that the client began, or its own.
fn span(request: &Request) -> Span {
    let span = tracing::debug_span!(
        target: "trace",
        "request",
        traced = Empty,
        http.request.method = name(request.method()),
        http.response.status_code = Empty,
    );
    if !span.is_disabled() {
        let parent = request.headers().get(helve_trace::HEADER);
        helve_trace::adopt(&span, parent.and_then(|parent| parent.to_str().ok()?.parse().ok()));
    }
    span
}

/// Methods are made up by clients too.
fn name(method: &Method) -> &'static str {
    const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    METHODS
        .into_iter()
        .find(|known| *known == method.as_str())
        .unwrap_or(OTHER)
}

fn takes_bytes(method: &Method, path: &str) -> bool {
    match *method {
        Method::PATCH => path.starts_with("/api/v1/uploads/"),
        Method::POST => path == "/api/v1/targets",
        _ => false,
    }
}

impl Collect for ApiFigures {
    fn collect(&self, text: &mut Text) {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner).clone();
        for ((method, route), figures) in routes {
            for (status, count) in &*figures.codes.read().unwrap_or_else(PoisonError::into_inner) {
                let code = status.to_string();
                let labels = [("method", method), ("route", &*route), ("code", &code)];
                text.counter(
                    "helve_api_requests_total",
                    "Requests that were answered.",
                    &labels,
                    count,
                );
            }
            text.histogram(
                "helve_api_request_seconds",
                "How long answers took to begin.",
                &[("method", method), ("route", &route)],
                &figures.time,
            );
        }
        text.gauge(
            "helve_api_requests_under_way",
            "Requests whose answer has not begun.",
            &[],
            &self.under_way,
        );
        text.gauge(
            "helve_api_uploads_under_way",
            "Requests that bring bytes of targets.",
            &[],
            &self.uploads,
        );
        text.counter(
            "helve_api_received_bytes_total",
            "Bytes of the bodies of requests.",
            &[],
            &self.received,
        );
        text.value(
            "helve_api_event_listeners",
            "Clients that listen to live events.",
            &[],
            (self.listeners)() as f64,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bytes_of_targets_are_uploads_and_made_up_methods_share_a_name() {
        assert!(takes_bytes(&Method::PATCH, "/api/v1/uploads/u1"));
        assert!(takes_bytes(&Method::POST, "/api/v1/targets"));
        assert!(!takes_bytes(&Method::POST, "/api/v1/runs"));
        assert_eq!(name(&Method::from_bytes(b"BREW").unwrap()), OTHER);
        assert_eq!(name(&Method::PATCH), "PATCH");
    }

    #[test]
    fn a_route_has_a_series_for_each_code_and_one_histogram() {
        let figures = ApiFigures::new(|| 2);
        for status in [200, 200, 404] {
            figures.of("GET", "/api/v1/runs/{run_id}").answered(status);
        }
        let mut text = Text::default();
        figures.collect(&mut text);
        let text = text.finish();
        for line in [
            "helve_api_requests_total{method=\"GET\",route=\"/api/v1/runs/{run_id}\",code=\"200\"} 2",
            "helve_api_requests_total{method=\"GET\",route=\"/api/v1/runs/{run_id}\",code=\"404\"} 1",
            "helve_api_event_listeners 2",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
    }
}
