//! One attempt of a step: workspace, module, report. Blocking throughout; the caller gives it a thread.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use helve_blobs::{BlobStore, Control};
use helve_findings::{ModuleReport, Notification, NotificationLevel, Status};
use helve_modules::secrets::Masker;
use helve_modules::{Allowed, Artifact, BUILTIN, Context, Output};
use helve_toolbox::run::{BlobRef, NamedBlob, StepInput, StepOutput, StepStatus};

use crate::modules::Modules;
use crate::progress::ProgressCell;
use crate::workspace::{Attempt, Workspaces};
use crate::{Limits, Reads, StepError};

/// Media type of a step's report.
pub(crate) const REPORT_TYPE: &str = "application/vnd.helve.module-report+json";

/// What every step of a worker needs.
pub(crate) struct StepRunner {
    pub(crate) modules: Modules,
    pub(crate) workspaces: Arc<Workspaces>,
    pub(crate) blobs: BlobStore,
    pub(crate) limits: Limits,
    pub(crate) reads: Reads,
}

/// What one attempt shares with the task that watches over it.
#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) progress: ProgressCell,
    pub(crate) cancelled: AtomicBool,
}

impl StepRunner {
    /// Runs the attempt. Whatever happens, a panic of the module included, the workspace is gone afterwards.
    pub(crate) fn run(
        &self,
        run: &str,
        number: u32,
        input: &StepInput,
        watch: &Watch,
    ) -> Result<StepOutput, StepError> {
        let masker = self.modules.masker()?;
        self.attempt(run, number, input, watch, &masker)
            .map_err(|error| error.masked(&masker))
    }

    fn attempt(
        &self,
        run: &str,
        number: u32,
        input: &StepInput,
        watch: &Watch,
        masker: &Masker,
    ) -> Result<StepOutput, StepError> {
        let module = self.modules.get(&input.module, input.version.as_deref())?;
        let attempt = Attempt {
            run,
            step: &input.step,
            number,
        };
        let unpacking = |progress: helve_blobs::Progress| watch.progress.set(progress.into());
        let control = Control::new(&unpacking, &watch.cancelled);
        let workspace = self
            .workspaces
            .lay_out(attempt, input.isolation, input.target.as_ref(), &control)?;
        let nothing = nothing_there(input, workspace.path());
        let report_progress = |mut progress: helve_modules::Progress| {
            progress.message = progress.message.map(|said| masker.text(&said).into_owned());
            watch.progress.set(progress.into());
        };
        let allowed = Allowed::new((self.reads)(run));
        let context = Context {
            workspace: workspace.path(),
            progress: &report_progress,
            cancelled: &watch.cancelled,
            allowed: &allowed,
        };
        let mut output =
            catch_unwind(AssertUnwindSafe(|| module.execute(&context, &input.config))).map_err(|panic| {
                StepError::Panicked {
                    module: input.module.clone(),
                    message: panic_message(&*panic),
                }
            })??;
        if let Some(reason) = nothing
            && output.report.findings.is_empty()
            && output.report.status == Status::Completed
        {
            output.report.status = Status::Inconclusive { reason };
        }
        limit_findings(&mut output.report, self.limits.findings_per_step);
        // The one place that the findings of all modules pass: nothing of them was stored or told before.
        masker.report(&mut output.report, Some(workspace.path()));
        masker.summary(&mut output.summary);
        drop(workspace);
        self.keep(output)
    }

    /// Stores the report and the artifacts; what is returned is small.
    fn keep(&self, output: Output) -> Result<StepOutput, StepError> {
        let Output {
            mut report,
            summary,
            artifacts,
        } = output;
        let artifacts = self.keep_artifacts(artifacts, &mut report)?;
        let bytes = serde_json::to_vec(&report).map_err(|source| StepError::Json {
            what: "the report cannot be written as JSON".to_owned(),
            source,
        })?;
        let stored = self.blobs.put_bytes(&bytes)?;
        let mut by_severity = BTreeMap::new();
        for finding in &report.findings {
            *by_severity.entry(finding.severity.to_string()).or_insert(0) += 1;
        }
        Ok(StepOutput {
            status: match report.status {
                Status::Completed => StepStatus::Completed,
                Status::Inconclusive { reason } => StepStatus::Inconclusive { reason },
            },
            findings: report.findings.len() as u64,
            by_severity,
            summary,
            report: Some(BlobRef {
                id: stored.id.to_string(),
                size: stored.size,
                media_type: REPORT_TYPE.to_owned(),
            }),
            artifacts,
            notifications: report.notifications.len() as u64,
        })
    }

    fn keep_artifacts(&self, artifacts: Vec<Artifact>, report: &mut ModuleReport) -> Result<Vec<NamedBlob>, StepError> {
        let mut kept = Vec::new();
        for artifact in artifacts {
            if kept.len() == self.limits.artifacts_per_step {
                report.notifications.push(Notification {
                    level: NotificationLevel::Warning,
                    message: format!(
                        "the artifact `{}` was not kept: more than {} per step",
                        artifact.name,
                        kept.len()
                    ),
                    path: None,
                });
                continue;
            }
            let stored = self.blobs.put_bytes(&artifact.bytes)?;
            kept.push(NamedBlob {
                name: artifact.name,
                blob: BlobRef {
                    id: stored.id.to_string(),
                    size: stored.size,
                    media_type: artifact.media_type,
                },
            });
        }
        Ok(kept)
    }
}

/// Why a step that finds nothing has not looked at anything. A module that is a program may look elsewhere when it was given no
/// target; what was given and is empty was meant.
fn nothing_there(input: &StepInput, workspace: &Path) -> Option<String> {
    let reason = match &input.target {
        None if BUILTIN.contains(&input.module.as_str()) => "the run has no target, so there was nothing to look at",
        None => return None,
        Some(_) if has_files(workspace) => return None,
        Some(_) => {
            "the target has no files, so there was nothing to look at: either it is empty, or ignore files name all that is in it"
        }
    };
    Some(reason.to_owned())
}

/// Whether there is anything but folders. What cannot be read counts as something.
fn has_files(folder: &Path) -> bool {
    let Ok(mut entries) = fs::read_dir(folder) else {
        return true;
    };
    entries.any(|entry| {
        let kind = entry.and_then(|entry| Ok((entry.file_type()?.is_dir(), entry.path())));
        kind.map_or(true, |(is_folder, path)| !is_folder || has_files(&path))
    })
}

/// Drops the least severe findings beyond the limit, and says so where nobody can miss it.
fn limit_findings(report: &mut ModuleReport, limit: usize) {
    let found = report.findings.len();
    if found <= limit {
        return;
    }
    report
        .findings
        .sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    report.findings.truncate(limit);
    let message = format!(
        "{found} findings are more than a step may report ({limit}): the {} least severe ones were left out. Scan a \
         smaller target, or narrow the module's rules.",
        found - limit
    );
    report.notifications.push(Notification {
        level: NotificationLevel::Warning,
        message: message.clone(),
        path: None,
    });
    if report.status == Status::Completed {
        report.status = Status::Inconclusive { reason: message };
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests;
