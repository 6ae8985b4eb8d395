//! Spans of `tracing` that become spans of a trace.

use std::fmt::Debug;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Span, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context as In, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::Context;
use crate::export::Queue;
use crate::wire::{self, KeyValue, Value};

/// A field of this name: the span is exported, and begins a trace where there is none.
pub const TRACED: &str = "traced";
/// A field of this name: the span is exported where there is a trace.
pub const WITHIN: &str = "traced_within";
/// A field of this name says what went wrong.
const ERROR: &str = "error";
/// Longer values are cut.
const LONGEST: usize = 1024;

/// Exports spans.
pub struct Exporting {
    queue: Queue,
}

/// A span of a trace, until it is over. In the extensions of its span of `tracing`.
struct Live {
    context: Context,
    parent: Option<[u8; 8]>,
    name: String,
    kind: i32,
    began: SystemTime,
    fields: Fields,
}

#[derive(Default)]
struct Fields {
    attributes: Vec<KeyValue>,
    error: Option<String>,
}

impl Exporting {
    pub(crate) fn new(queue: Queue) -> Self {
        Self { queue }
    }

    /// The layer with its filter: it sees no other spans, and no events.
    pub fn filtered<S>(self) -> impl Layer<S> + Send + Sync
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        self.with_filter(filter_fn(is_wanted))
    }
}

fn is_wanted(metadata: &Metadata<'_>) -> bool {
    metadata.is_span()
        && [TRACED, WITHIN]
            .iter()
            .any(|name| metadata.fields().field(name).is_some())
}

/// What spans of these names do for others.
fn kind(name: &str) -> i32 {
    match name {
        "request" | "rpc" => 2,
        "step" => 5,
        _ => 1,
    }
}

fn fresh<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes)
}

impl<S> Layer<S> for Exporting
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: In<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let outer = span
            .scope()
            .skip(1)
            .find_map(|outer| outer.extensions().get::<Live>().map(|live| live.context));
        let metadata = attributes.metadata();
        if outer.is_none() && metadata.fields().field(TRACED).is_none() {
            return;
        }
        let (trace, is_sampled) = match outer {
            Some(outer) => (Some(outer.trace), outer.is_sampled),
            None => (fresh(), true),
        };
        let (Some(trace), Some(own)) = (trace, fresh()) else {
            return;
        };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(Live {
            context: Context {
                trace,
                span: own,
                is_sampled,
            },
            parent: outer.map(|outer| outer.span),
            name: metadata.name().to_owned(),
            kind: kind(metadata.name()),
            began: SystemTime::now(),
            fields,
        });
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: In<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(live) = span.extensions_mut().get_mut::<Live>() {
            record.record(&mut live.fields);
        }
    }

    fn on_close(&self, id: Id, context: In<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let live = span.extensions_mut().remove::<Live>();
        if let Some(live) = live.filter(|live| live.context.is_sampled) {
            self.queue.offer(live.ended());
        }
    }
}

impl Live {
    fn ended(self) -> wire::Span {
        wire::Span {
            trace_id: self.context.trace.to_vec(),
            span_id: self.context.span.to_vec(),
            parent_span_id: self.parent.map(|parent| parent.to_vec()).unwrap_or_default(),
            name: self.name,
            kind: self.kind,
            start_time_unix_nano: nanos(self.began),
            end_time_unix_nano: nanos(SystemTime::now()),
            attributes: self.fields.attributes,
            status: self.fields.error.map(|message| wire::Status { message, code: 2 }),
        }
    }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let value: String = value.chars().take(LONGEST).collect();
        match field.name() {
            ERROR => self.error = Some(value),
            _ => self.put(field, Value::String(value)),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::Int(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::Int(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Value::Double(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::Bool(value));
    }
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.attributes.push(KeyValue::new(field.name(), value));
    }
}

/// Changes what a span is in its trace, if it is in one.
fn change(span: &Span, change: impl FnOnce(&mut Live)) {
    span.with_subscriber(|(id, dispatch)| {
        let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
        span.extensions_mut().get_mut::<Live>().map(change)
    });
}

/// Makes the span a part of the trace of another process. To be called before it has spans of its own.
pub fn adopt(span: &Span, parent: Option<Context>) {
    let Some(parent) = parent else { return };
    change(span, |live| {
        live.context.trace = parent.trace;
        live.context.is_sampled = parent.is_sampled;
        live.parent = Some(parent.span);
    });
}

/// Calls the span by what it turned out to be.
pub fn rename(span: &Span, name: impl FnOnce() -> String) {
    change(span, |live| live.name = name());
}

/// Where this happens, if it is in a trace.
pub fn current() -> Option<Context> {
    // The innermost span may be one that only logs know.
    Span::current().with_subscriber(|(id, dispatch)| {
        let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
        span.scope()
            .find_map(|outer| outer.extensions().get::<Live>().map(|live| live.context))
    })?
}
