//! The machine: what tools may be shut in with, how many files may be open, and which tools there are.

use std::fs;

use helve_sandbox::Level;
use helve_toolbox::vertical::Vertical;
use helve_worker::Confined;

use super::Check;
use crate::app::App;
use crate::errors::Result;
use crate::paths::DataDir;
use crate::verbs::verticals::examine;

/// A server with many workers and browsers needs more than the usual 1024.
const ENOUGH_FILES: u64 = 4096;

/// What does not need a data directory.
pub(super) async fn checks(app: &App) -> Vec<Check> {
    let mut checks = vec![sandbox(app).await];
    checks.extend(namespaces());
    checks.extend(files());
    checks
}

async fn sandbox(app: &App) -> Check {
    const NAME: &str = "sandbox";
    const MEANS: &str = "tools that read hostile code are shut in less well";
    let confined = Confined::new(app.global.sandbox.unwrap_or_default().into());
    match confined.open().await {
        Ok(support) if support.level >= Level::Full => Check::ok(NAME, support.level.to_string()),
        Ok(support) => Check::warn(
            NAME,
            format!("{} ({})", support.level, support.missing.join("; ")),
            MEANS,
            "docs/sandbox.md says what each level needs of the machine",
        ),
        Err(error) => Check::fail(
            NAME,
            error.to_string(),
            "no tool can run: their steps are inconclusive",
            "docs/sandbox.md says what each level needs; --sandbox require=LEVEL may ask for too much",
        ),
    }
}

/// Why namespaces may not be there, which the sandbox only sees as a refusal.
fn namespaces() -> Option<Check> {
    let read = |file: &str| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    found_namespaces(
        read("/proc/sys/user/max_user_namespaces"),
        read("/proc/sys/kernel/unprivileged_userns_clone"),
        read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
    )
}

fn found_namespaces(most: Option<u64>, clone: Option<u64>, restricted: Option<u64>) -> Option<Check> {
    const MEANS: &str = "tools see the processes and the network of this machine, unless `helve` runs as root";
    let off = |found: &str, fix: &str| Some(Check::warn("user namespaces", found, MEANS, fix));
    match (most?, clone, restricted) {
        (0, ..) => off(
            "none are allowed (user.max_user_namespaces is 0)",
            "sysctl user.max_user_namespaces=15000",
        ),
        (_, Some(0), _) => off(
            "only root may make them (kernel.unprivileged_userns_clone is 0)",
            "sysctl kernel.unprivileged_userns_clone=1",
        ),
        (_, _, Some(1..)) => off(
            "AppArmor restricts them (kernel.apparmor_restrict_unprivileged_userns is 1)",
            "give `helve` an AppArmor profile with `userns,`, or sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (most, ..) => Some(Check::ok("user namespaces", format!("allowed (up to {most})"))),
    }
}

#[cfg(target_os = "linux")]
fn files() -> Option<Check> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    Some(open_files(limit.current.unwrap_or(u64::MAX)))
}

#[cfg(not(target_os = "linux"))]
fn files() -> Option<Check> {
    None
}

fn open_files(most: u64) -> Check {
    let found = match most {
        u64::MAX => "any number may be open".to_owned(),
        most => format!("{most} may be open"),
    };
    match most < ENOUGH_FILES {
        false => Check::ok("file descriptors", found),
        true => Check::warn(
            "file descriptors",
            found,
            "many workers, browsers and listeners of events at once are refused",
            format!("`ulimit -n {ENOUGH_FILES}` before it starts, or LimitNOFILE= in its systemd unit"),
        ),
    }
}

/// The tools of each vertical.
pub(super) fn tools(app: &App, data: &DataDir) -> Result<Vec<Check>> {
    let (search, dir) = (app.search(data)?, app.tools_dir(data)?);
    let of = |vertical: &Vertical| {
        let examined = examine(vertical, &search, &dir);
        let missing: Vec<&str> = examined
            .iter()
            .filter(|tool| tool.is_needed())
            .map(|tool| tool.tool.name())
            .collect();
        vertical_check(&vertical.name, examined.len(), &missing)
    };
    Ok(app.toolbox.verticals().map(of).collect())
}

fn vertical_check(name: &str, all: usize, missing: &[&str]) -> Check {
    let title = format!("tools of {name}");
    match missing {
        [] if all == 0 => Check::ok(title, "it needs none"),
        [] => Check::ok(title, "what it needs is there"),
        missing => Check::warn(
            title,
            format!("missing or unfit: {}", missing.join(", ")),
            "steps that need them are inconclusive on this machine",
            format!("`helve verticals doctor {name}` says more, `helve verticals install {name}` installs them"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn each_way_to_forbid_namespaces_has_its_own_remedy() {
        let fix = |check: Option<Check>| check.unwrap().fix.unwrap_or_default();
        assert!(fix(found_namespaces(Some(0), None, None)).contains("max_user_namespaces"));
        assert!(fix(found_namespaces(Some(9), Some(0), None)).contains("unprivileged_userns_clone"));
        assert!(fix(found_namespaces(Some(9), Some(1), Some(1))).contains("AppArmor"));
        assert_eq!(found_namespaces(Some(9), Some(1), Some(0)).unwrap().state, State::Ok);
        assert!(found_namespaces(None, None, None).is_none(), "another system");
    }

    #[test]
    fn few_files_and_missing_tools_are_warnings_that_name_them() {
        assert_eq!(open_files(1024).state, State::Warn);
        assert_eq!(open_files(u64::MAX).state, State::Ok);
        let check = vertical_check("python", 3, &["bandit", "semgrep"]);
        assert_eq!(check.state, State::Warn);
        assert!(check.found.contains("bandit, semgrep"));
        assert!(check.fix.unwrap().contains("helve verticals install python"));
    }
}
