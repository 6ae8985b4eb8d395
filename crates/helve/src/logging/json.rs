//! Log lines for programs.

use std::fmt::Debug;
use std::io::Write;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// Fields of spans that stand beside the message and not among its fields: what a line belongs to.
const PLACES: [&str; 4] = ["namespace", "run_id", "step", "attempt"];

/// Writes each event as one JSON object.
pub(crate) struct Json<W> {
    writer: W,
}

impl<W> Json<W> {
    pub(crate) fn new(writer: W) -> Self {
        Self { writer }
    }
}

/// What a span was made with.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl<S, W> Layer<S> for Json<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            record.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let mut line = Map::new();
        let message = fields.0.remove("message").unwrap_or_else(|| "".into());
        line.insert("time".to_owned(), Timestamp::now().to_string().into());
        line.insert("level".to_owned(), metadata.level().as_str().to_lowercase().into());
        line.insert("target".to_owned(), metadata.target().into());
        line.insert("message".to_owned(), message);
        // From the outermost span in: what is inside knows better.
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            let extensions = span.extensions();
            let Some(Fields(outer)) = extensions.get() else {
                continue;
            };
            for (name, value) in outer {
                match PLACES.contains(&name.as_str()) {
                    true => drop(line.insert(name.clone(), value.clone())),
                    false => drop(fields.0.entry(name.clone()).or_insert_with(|| value.clone())),
                }
            }
        }
        line.insert("fields".to_owned(), Value::Object(fields.0));
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        // In one piece, so that lines of several threads do not mix. Nobody is left to be told of a failure.
        let _ = self.writer.make_writer().write_all(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_one_object_and_says_within_which_run_and_step() {
        let lines = Lines::default();
        let made = lines.clone();
        let subscriber = tracing_subscriber::registry().with(Json::new(move || made.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let run = tracing::info_span!("run", run_id = "assessment-1");
            let _run = run.enter();
            let step = tracing::info_span!("step", step = "scan", attempt = 2, module = "sast");
            let _step = step.enter();
            tracing::warn!(count = 3, text = "two\nlines", "it is \"odd\"");
        });
        let bytes = lines.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["level"], "warn");
        assert_eq!(line["message"], "it is \"odd\"");
        assert_eq!(line["run_id"], "assessment-1");
        assert_eq!(line["step"], "scan");
        assert_eq!(line["attempt"], 2);
        assert_eq!(
            line["fields"],
            serde_json::json!({"count": 3, "text": "two\nlines", "module": "sast"})
        );
        assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
        assert!(line["target"].as_str().unwrap().starts_with("helve::logging"), "{line}");
    }
}
