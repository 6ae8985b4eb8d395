//! Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::{Counter, Gauge, Histogram};

/// What is being written: each figure once, with all its labels, whoever counts it.
#[derive(Debug, Default)]
pub struct Text {
    figures: BTreeMap<&'static str, Figure>,
}

#[derive(Debug)]
struct Figure {
    kind: &'static str,
    help: &'static str,
    lines: String,
}

/// Names and values.
type Labels<'a> = &'a [(&'static str, &'a str)];

impl Text {
    /// A counter.
    pub fn counter(&mut self, name: &'static str, help: &'static str, labels: Labels<'_>, counter: &Counter) {
        self.count(name, help, labels, counter.get() as f64);
    }

    /// A number that only grows, counted elsewhere.
    pub fn count(&mut self, name: &'static str, help: &'static str, labels: Labels<'_>, value: f64) {
        debug_assert!(name.ends_with("_total"), "{name}: counters end with _total");
        self.line("counter", name, help, labels, value);
    }

    /// A gauge.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, labels: Labels<'_>, gauge: &Gauge) {
        self.value(name, help, labels, gauge.get() as f64);
    }

    /// A number that goes up and down, looked up elsewhere.
    pub fn value(&mut self, name: &'static str, help: &'static str, labels: Labels<'_>, value: f64) {
        self.line("gauge", name, help, labels, value);
    }

    /// A histogram.
    pub fn histogram(&mut self, name: &'static str, help: &'static str, labels: Labels<'_>, histogram: &Histogram) {
        let (below, all, sum) = histogram.read();
        let lines = self.lines("histogram", name, help);
        for (bound, count) in below {
            series(lines, name, "_bucket", labels, Some(bound), count as f64);
        }
        series(lines, name, "_bucket", labels, Some(f64::INFINITY), all as f64);
        series(lines, name, "_sum", labels, None, sum);
        series(lines, name, "_count", labels, None, all as f64);
    }

    fn line(&mut self, kind: &'static str, name: &'static str, help: &'static str, labels: Labels<'_>, value: f64) {
        series(self.lines(kind, name, help), name, "", labels, None, value);
    }

    fn lines(&mut self, kind: &'static str, name: &'static str, help: &'static str) -> &mut String {
        let figure = self.figures.entry(name).or_insert_with(|| Figure {
            kind,
            help,
            lines: String::new(),
        });
        debug_assert!(figure.kind == kind && figure.help == help, "{name} is two things");
        &mut figure.lines
    }

    /// All of it.
    pub fn finish(self) -> String {
        let mut text = String::new();
        for (name, figure) in self.figures {
            let _ = writeln!(text, "# HELP {name} {}", figure.help);
            let _ = writeln!(text, "# TYPE {name} {}", figure.kind);
            text.push_str(&figure.lines);
        }
        text
    }
}

fn series(lines: &mut String, name: &str, suffix: &str, labels: Labels<'_>, bound: Option<f64>, value: f64) {
    let _ = write!(lines, "{name}{suffix}");
    let mut between = '{';
    for (label, value) in labels {
        let _ = write!(lines, "{between}{label}=\"");
        value.chars().for_each(|letter| match letter {
            '\\' => lines.push_str("\\\\"),
            '"' => lines.push_str("\\\""),
            '\n' => lines.push_str("\\n"),
            letter => lines.push(letter),
        });
        lines.push('"');
        between = ',';
    }
    if let Some(bound) = bound {
        let _ = write!(lines, "{between}le=\"{}\"", number(bound));
        between = ',';
    }
    if between == ',' {
        lines.push('}');
    }
    let _ = writeln!(lines, " {}", number(value));
}

fn number(value: f64) -> String {
    match value {
        value if value == f64::INFINITY => "+Inf".to_owned(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BATCHES;

    #[test]
    fn a_figure_of_two_owners_is_described_once() {
        let (one, two) = (Counter::default(), Counter::default());
        one.add(3);
        let mut text = Text::default();
        text.counter("x_total", "Things.", &[("db", "engine")], &one);
        text.value("a_bytes", "Size.", &[], 1.5);
        text.counter("x_total", "Things.", &[("db", "ledger")], &two);
        assert_eq!(
            text.finish(),
            "# HELP a_bytes Size.\n# TYPE a_bytes gauge\na_bytes 1.5\n# HELP x_total Things.\n# TYPE x_total counter\n\
             x_total{db=\"engine\"} 3\nx_total{db=\"ledger\"} 0\n"
        );
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_with_all() {
        let sizes = Histogram::new(BATCHES);
        sizes.observe(2);
        sizes.observe(5000);
        let mut text = Text::default();
        text.histogram("size", "Sizes.", &[("q", "a")], &sizes);
        let text = text.finish();
        for line in [
            "size_bucket{q=\"a\",le=\"1\"} 0\n",
            "size_bucket{q=\"a\",le=\"2\"} 1\n",
            "size_bucket{q=\"a\",le=\"1024\"} 1\n",
            "size_bucket{q=\"a\",le=\"+Inf\"} 2\n",
            "size_sum{q=\"a\"} 5002\n",
            "size_count{q=\"a\"} 2\n",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_value_cannot_end_its_label() {
        let mut text = Text::default();
        text.value("x", "X.", &[("name", "a\"} 1\n\\b")], 1.0);
        assert!(text.finish().ends_with("x{name=\"a\\\"} 1\\n\\\\b\"} 1\n"));
    }
}
