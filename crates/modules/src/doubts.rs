//! What a module could not look at.

use helve_findings::{ModuleReport, Notification, Status};

/// Makes the report inconclusive if there are any: the first one is the reason that is shown, all are notifications.
pub(crate) fn tell(report: &mut ModuleReport, doubts: Vec<Notification>) {
    let Some(first) = doubts.first() else { return };
    let place = first.path.as_ref().map(|path| format!("{path}: ")).unwrap_or_default();
    let more = match doubts.len() {
        1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    };
    report.status = Status::Inconclusive {
        reason: format!("{place}{}{more}", first.message),
    };
    report.notifications.extend(doubts);
}
