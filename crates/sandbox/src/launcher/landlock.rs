//! Landlock: which files the tool may touch, and (from version 6 on) whom it may signal and reach by abstract sockets.

use landlock::{
    ABI, Access as _, AccessFs, CompatLevel, Compatible, LandlockStatus, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::tool;
use crate::Access;
use crate::wire::Plan;

/// The newest version whose rights are known here; an older kernel holds those that it knows.
const NEWEST: ABI = ABI::V6;

/// Restricts this process for good; the version of the interface that holds.
pub(super) fn restrict(plan: &Plan) -> Result<u32, String> {
    let status = rules(plan).map_err(|e| format!("cannot restrict files by Landlock: {e}"))?;
    match (status.ruleset, status.landlock) {
        (
            RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced,
            LandlockStatus::Available { effective_abi, .. },
        ) => Ok((effective_abi as u32).min(NEWEST as u32)),
        (_, status) => Err(format!("Landlock does not hold here ({status:?})")),
    }
}

fn rules(plan: &Plan) -> Result<landlock::RestrictionStatus, RulesetError> {
    let (all, read) = (AccessFs::from_all(NEWEST), AccessFs::from_read(NEWEST));
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    let grants = |access| {
        plan.spec
            .grants
            .iter()
            .filter(move |grant| grant.access == access)
            .map(|grant| &grant.path)
    };
    let devices = tool::DEVICES.iter().map(|name| format!("/dev/{name}"));
    let created = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(devices, device))?
        .add_rules(path_beneath_rules(grants(Access::Write), all))?
        .add_rules(path_beneath_rules([&plan.scratch], all))?
        .add_rules(path_beneath_rules(&plan.spec.stdin, AccessFs::ReadFile))?;
    let created = if plan.walls.namespaces {
        // The root is the tool's own already, so everything in it may be read. Writing is held twice.
        created
            .add_rules(path_beneath_rules(["/"], read))?
            .add_rules(path_beneath_rules(["/tmp", "/dev/shm"], all))?
    } else {
        created
            .add_rules(path_beneath_rules(tool::SYSTEM, read))?
            .add_rules(path_beneath_rules(tool::configuration(plan), read))?
            .add_rules(path_beneath_rules(["/proc"], AccessFs::ReadFile | AccessFs::ReadDir))?
            .add_rules(path_beneath_rules(grants(Access::Read), read))?
    };
    created.restrict_self()
}
