//! Live progress of a run on standard error: a bar per step on a terminal, plain lines otherwise.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use helve_runs::text::{count, millis_between};
use helve_runs::{Activity, Outcome, Pending, RunEventKind, RunHistory, StepEnd, base_id, progress_text};
use helve_toolbox::run::queue_vertical;
use helve_worker::{StepEvent, StepEventKind, StepProgress};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::render::duration;
use crate::terminal::{Style, clean, eprint_line};

/// Plain lines about progress come no more often than this.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// A step that waits this long for a worker waits for one that is not there.
const PATIENCE: Duration = Duration::from_secs(2);
/// Redraws of a bar that has no progress of its own.
const SPIN_EVERY: Duration = Duration::from_millis(120);

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Bars that are redrawn.
    Bars,
    /// A line for each thing that happens.
    Lines,
    /// Nothing.
    Silent,
}

impl Mode {
    pub(crate) fn choose(quiet: bool, style: Style) -> Self {
        match (quiet, style.terminal) {
            (true, _) => Self::Silent,
            (false, true) => Self::Bars,
            (false, false) => Self::Lines,
        }
    }
}

/// The display of one run.
pub(crate) struct Display {
    mode: Mode,
    style: Style,
    bars: MultiProgress,
    steps: BTreeMap<String, Step>,
    /// When the engine was asked first.
    asked: Option<Instant>,
    /// A worker has begun with the run, or it was said that none has.
    taken_up: bool,
}

/// What is shown of one step; the items of a fan-out are one step.
struct Step {
    parts: BTreeMap<String, Part>,
    /// Whose workers it needs.
    vertical: String,
    began: Instant,
    /// Whether it was said that nobody takes it.
    mentioned: bool,
    bar: Option<ProgressBar>,
    last_line: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Waiting,
    Running,
    Ended,
}

impl Display {
    pub(crate) fn new(mode: Mode, style: Style) -> Self {
        let target = if mode == Mode::Bars {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            mode,
            style,
            bars: MultiProgress::with_draw_target(target),
            steps: BTreeMap::new(),
            asked: None,
            taken_up: false,
        }
    }

    /// Says something that is not about a step.
    pub(crate) fn note(&self, line: &str) {
        match self.mode {
            Mode::Bars => self.bars.suspend(|| eprint_line(line)),
            Mode::Lines => eprint_line(line),
            Mode::Silent => {}
        }
    }

    /// A spinner for work before the first step. Dropping it takes it away.
    pub(crate) fn spinner(&self, message: &str) -> Spinner {
        if self.mode == Mode::Lines {
            eprint_line(message);
        }
        let bar = self.bars.add(
            ProgressBar::new_spinner()
                .with_style(spinner_style())
                .with_message(message.to_owned()),
        );
        bar.enable_steady_tick(SPIN_EVERY);
        Spinner { bar }
    }

    /// Takes in what a worker of this process says.
    pub(crate) fn event(&mut self, event: &StepEvent) {
        match &event.kind {
            StepEventKind::Started => self.running(&event.step, event.attempt),
            StepEventKind::Progress(progress) => self.progress(&event.step, progress),
            StepEventKind::Failed {
                message,
                retryable: true,
            } => {
                self.note(&format!(
                    "{}: attempt {} failed: {}",
                    event.step,
                    event.attempt,
                    clean(message)
                ));
            }
            // The history says how it ended, once that is durable.
            StepEventKind::Finished(_) | StepEventKind::Failed { .. } | StepEventKind::Stopped => {}
        }
    }

    /// Takes in what a server tells of a run.
    pub(crate) fn told(&mut self, event: &RunEventKind) {
        match event {
            RunEventKind::StepScheduled { step, vertical, .. } => {
                self.taken_up = true;
                self.waiting(step, vertical);
            }
            RunEventKind::StepStarted {
                step,
                attempt,
                last_failure,
                ..
            } => {
                if let Some(failure) = last_failure {
                    let before = attempt.saturating_sub(1);
                    self.note(&format!("{}: attempt {before} failed: {}", clean(step), clean(failure)));
                }
                self.running(step, *attempt);
            }
            RunEventKind::StepProgress {
                step,
                done,
                total,
                unit,
                message,
            } => {
                let progress = StepProgress {
                    done: *done,
                    total: *total,
                    unit: clean(unit),
                    message: message.clone(),
                };
                self.running(step, 1);
                self.progress(step, &progress);
            }
            RunEventKind::StepEnded(end) => {
                let outcome = told_outcome(end, self.style);
                self.close(&end.step, outcome);
            }
            _ => {}
        }
    }

    /// Names the steps that nobody has taken for a while; to be asked now and then.
    pub(crate) fn look_at_the_clock(&mut self) {
        // Only an engine knows whether anybody runs the workflow's code.
        self.taken_up = true;
        self.mention_waiting();
    }

    /// Takes in what the engine says about steps that have not ended.
    pub(crate) fn pending(&mut self, pending: &[Pending]) {
        for step in pending
            .iter()
            .filter(|step| step.running && !step.activity_id.starts_with("helve."))
        {
            self.running(&step.activity_id, step.attempt);
            if let Some(progress) = &step.progress {
                self.progress(&step.activity_id, progress);
            }
        }
        self.mention_waiting();
    }

    /// Names the steps that no worker has taken for a while: what is missing is not a matter of time.
    fn mention_waiting(&mut self) {
        let asked = *self.asked.get_or_insert_with(Instant::now);
        if !self.taken_up && asked.elapsed() >= PATIENCE {
            self.taken_up = true;
            self.note("waiting for a worker that runs workflows: `helve worker` starts one");
        }
        let mode = self.mode;
        for (name, step) in &mut self.steps {
            let waits = !step.parts.is_empty() && step.parts.values().all(|part| *part == Part::Waiting);
            if !waits || step.mentioned || step.began.elapsed() < PATIENCE {
                continue;
            }
            step.mentioned = true;
            let text = format!("waiting for a worker with {}", clean(&step.vertical));
            match &step.bar {
                Some(bar) => bar.set_message(text),
                None if mode == Mode::Lines => eprint_line(&format!("{}: {text}", clean(name))),
                None => {}
            }
        }
    }

    /// Takes in the history so far.
    pub(crate) fn history(&mut self, history: &RunHistory) {
        self.taken_up |= history.taken_up;
        // A step whose worker went away is scheduled anew: only its last scheduling counts.
        let mut last: HashMap<&str, usize> = HashMap::new();
        for (n, activity) in history.activities.iter().enumerate() {
            last.insert(&activity.step, n);
        }
        let is_last = |n: usize, activity: &Activity| last.get(activity.step.as_str()) == Some(&n);
        for (n, activity) in history.activities.iter().enumerate() {
            if activity.is_internal() || !is_last(n, activity) {
                continue;
            }
            if activity.outcome == Outcome::Open {
                self.waiting(&activity.step, queue_vertical(&activity.queue));
            } else {
                self.ended(activity);
            }
        }
    }

    fn waiting(&mut self, step: &str, vertical: &str) {
        let state = self.step(step);
        vertical.clone_into(&mut state.vertical);
        let part = state.parts.entry(step.to_owned()).or_insert(Part::Waiting);
        if *part == Part::Ended {
            *part = Part::Waiting;
            if let Some(bar) = &state.bar {
                bar.reset();
                bar.set_style(spinner_style());
                bar.set_message("its worker went away; waiting for another");
            }
        }
    }

    fn running(&mut self, step: &str, attempt: u32) {
        let (mode, name) = (self.mode, base_id(step).to_owned());
        let state = self.step(step);
        if state.parts.get(step).is_some_and(|part| *part >= Part::Running) && attempt <= 1 {
            return;
        }
        let first = state.parts.values().all(|part| *part == Part::Waiting);
        let was = state.parts.insert(step.to_owned(), Part::Running);
        if mode == Mode::Lines && (first || (attempt > 1 && was != Some(Part::Running))) {
            let again = if attempt > 1 {
                format!(" (attempt {attempt})")
            } else {
                String::new()
            };
            eprint_line(&format!("{name}: started{again}"));
        }
        if let Some(bar) = &state.bar {
            bar.set_message("running");
        }
    }

    fn progress(&mut self, step: &str, progress: &StepProgress) {
        let (mode, name) = (self.mode, base_id(step).to_owned());
        let state = self.step(step);
        if state.parts.len() > 1 || state.parts.get(step) == Some(&Part::Ended) {
            return;
        }
        if let Some(bar) = &state.bar {
            if let Some(total) = progress.total.filter(|total| *total > 0) {
                bar.set_length(total);
                bar.set_style(bar_style());
            }
            bar.set_position(progress.done);
            bar.set_message(clean(progress.message.as_deref().unwrap_or(&progress.unit)));
        } else if mode == Mode::Lines && state.last_line.elapsed() >= LINE_EVERY {
            state.last_line = Instant::now();
            eprint_line(&format!("{name}: {}", progress_text(progress)));
        }
    }

    fn ended(&mut self, activity: &Activity) {
        let outcome = outcome(activity, self.style);
        self.close(&activity.step, outcome);
    }

    fn close(&mut self, step: &str, (mark, text): (String, String)) {
        let mode = self.mode;
        let name = clean(base_id(step));
        let state = self.step(step);
        if state.parts.insert(step.to_owned(), Part::Ended) == Some(Part::Ended) {
            return;
        }
        let done = state.parts.values().filter(|part| **part == Part::Ended).count();
        let all_done = done == state.parts.len();
        if mode == Mode::Lines {
            eprint_line(&format!("{}: {text}", clean(step)));
        }
        let Some(bar) = &state.bar else { return };
        if !all_done {
            bar.set_style(bar_style());
            bar.set_length(state.parts.len() as u64);
            bar.set_position(done as u64);
            bar.set_message("items");
        } else {
            bar.set_style(line_style());
            let text = if state.parts.len() > 1 {
                count(done as u64, "item") + " done"
            } else {
                text
            };
            bar.finish_with_message(format!("{mark} {name:<NAME_WIDTH$} {text}"));
        }
    }

    fn step(&mut self, step: &str) -> &mut Step {
        let name = base_id(step);
        if !self.steps.contains_key(name) {
            let bar = (self.mode == Mode::Bars).then(|| {
                let bar = self.bars.add(ProgressBar::new_spinner().with_style(spinner_style()));
                bar.set_prefix(clean(name));
                bar.set_message("waiting for a worker");
                bar.enable_steady_tick(SPIN_EVERY);
                bar
            });
            let step = Step {
                parts: BTreeMap::new(),
                vertical: String::new(),
                began: Instant::now(),
                mentioned: false,
                bar,
                last_line: Instant::now(),
            };
            self.steps.insert(name.to_owned(), step);
        }
        self.steps.get_mut(name).expect("inserted above")
    }

    /// Leaves what is on the screen there and draws no more.
    pub(crate) fn finish(&self) {
        for bar in self
            .steps
            .values()
            .filter_map(|step| step.bar.as_ref())
            .filter(|bar| !bar.is_finished())
        {
            bar.abandon();
        }
    }
}

/// Columns for the name of a step.
const NAME_WIDTH: usize = 16;

fn outcome(activity: &Activity, style: Style) -> (String, String) {
    let took = millis_between(activity.started, activity.ended)
        .map(|ms| format!(" in {}", duration(ms)))
        .unwrap_or_default();
    let good = || style.paint("32", "✓");
    let bad = || style.paint("31", "✗");
    let unsure = || style.paint("33", "!");
    match &activity.outcome {
        Outcome::Completed(Some(output)) => match output.status.reason() {
            Some(reason) => (
                unsure(),
                format!(
                    "{}{took}, inconclusive: {}",
                    count(output.findings, "finding"),
                    clean(reason)
                ),
            ),
            None => (good(), format!("{}{took}", count(output.findings, "finding"))),
        },
        Outcome::Completed(None) | Outcome::Open => (good(), format!("done{took}")),
        Outcome::Failed(reason) | Outcome::TimedOut(reason) => (bad(), format!("failed{took}: {}", clean(reason))),
        Outcome::Cancelled => (unsure(), "cancelled".to_owned()),
    }
}

/// The same, of what a server tells.
fn told_outcome(end: &StepEnd, style: Style) -> (String, String) {
    let took = end
        .duration_ms
        .map(|ms| format!(" in {}", duration(ms)))
        .unwrap_or_default();
    let findings = count(end.findings, "finding");
    let reason = clean(end.reason.as_deref().unwrap_or("no reason was given"));
    match end.status.as_str() {
        "completed" => (style.paint("32", "✓"), format!("{findings}{took}")),
        "inconclusive" => (
            style.paint("33", "!"),
            format!("{findings}{took}, inconclusive: {reason}"),
        ),
        "failed" => (style.paint("31", "✗"), format!("failed{took}: {reason}")),
        other => (style.paint("33", "!"), clean(other)),
    }
}

fn spinner_style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {prefix:16} {msg}")
        .expect("a constant template")
        .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}

fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {prefix:16} {bar:28} {human_pos}/{human_len} {msg}")
        .expect("a constant template")
        .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
        .progress_chars("━╸─")
}

fn line_style() -> ProgressStyle {
    ProgressStyle::with_template("{msg}").expect("a constant template")
}

/// A spinner that disappears when dropped.
pub(crate) struct Spinner {
    bar: ProgressBar,
}

impl Spinner {
    /// Says how far the work is.
    pub(crate) fn message(&self, message: String) {
        self.bar.set_message(message);
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_tells_of_a_step_reads_as_what_a_history_does() {
        let end = |status: &str, reason: Option<&str>| StepEnd {
            step: "scan".into(),
            module: "m".into(),
            status: status.into(),
            reason: reason.map(str::to_owned),
            attempts: 1,
            worker: String::new(),
            duration_ms: Some(1_200),
            findings: 2,
            by_severity: Default::default(),
            summary: Default::default(),
        };
        for (end, wanted) in [
            (end("completed", None), "2 findings in 1.2 s"),
            (
                end("inconclusive", Some("no\ntool")),
                "2 findings in 1.2 s, inconclusive: no tool",
            ),
            (end("failed", Some("broken")), "failed in 1.2 s: broken"),
            (end("cancelled", None), "cancelled"),
        ] {
            assert_eq!(told_outcome(&end, Style::PLAIN).1, wanted);
        }
    }

    #[test]
    fn pipes_get_lines_and_quiet_gets_nothing() {
        let terminal = Style {
            terminal: true,
            colour: true,
            width: 80,
        };
        assert_eq!(Mode::choose(false, terminal), Mode::Bars);
        assert_eq!(Mode::choose(false, Style::PLAIN), Mode::Lines);
        assert_eq!(Mode::choose(true, terminal), Mode::Silent);
    }
}
