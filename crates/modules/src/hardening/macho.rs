//! Programs and libraries of macOS and iOS.

use goblin::mach::constants::cputype::get_arch_name_from_types;
use goblin::mach::header::{MH_ALLOW_STACK_EXECUTION, MH_BUNDLE, MH_DYLIB, MH_EXECUTE, MH_PIE};
use goblin::mach::{Mach, MachO, SingleArch};
use helve_findings::{Confidence, Severity};

use super::rules::Check;
use super::{Flaw, Seen, libraries};

const VM_PROT_WRITE: u32 = 2;
const VM_PROT_EXECUTE: u32 = 4;
/// A universal file holds one program per architecture; more than this is none.
const MAX_ARCHITECTURES: usize = 64;

pub(super) fn inspect(bytes: &[u8]) -> Result<Option<Seen>, String> {
    match Mach::parse(bytes).map_err(|error| error.to_string())? {
        Mach::Binary(program) => Ok(one(&program, "")),
        Mach::Fat(programs) => {
            if programs.narches > MAX_ARCHITECTURES {
                return Err(format!("it claims to hold {} architectures", programs.narches));
            }
            let mut all: Option<Seen> = None;
            for index in 0..programs.narches {
                let SingleArch::MachO(program) = programs.get(index).map_err(|error| error.to_string())? else {
                    continue;
                };
                let name = get_arch_name_from_types(program.header.cputype(), program.header.cpusubtype());
                if let Some(seen) = one(&program, &format!(" ({})", name.unwrap_or("unknown"))) {
                    let all = all.get_or_insert_default();
                    all.library |= seen.library;
                    all.flaws.extend(seen.flaws);
                    all.notes.extend(seen.notes);
                }
            }
            Ok(all)
        }
    }
}

/// `arch` tells programs of a universal file apart.
fn one(program: &MachO<'_>, arch: &str) -> Option<Seen> {
    let header = &program.header;
    if !matches!(header.filetype, MH_EXECUTE | MH_DYLIB | MH_BUNDLE) {
        return None;
    }
    let mut seen = Seen {
        library: header.filetype != MH_EXECUTE,
        ..Seen::default()
    };
    let mut flaw = |check, what: String| seen.flaws.push(Flaw::new(check, format!("{what}{arch}")));
    if header.filetype == MH_EXECUTE && header.flags & MH_PIE == 0 {
        flaw(Check::NoPie, "is not position-independent".to_owned());
    }
    if header.flags & MH_ALLOW_STACK_EXECUTION != 0 {
        flaw(Check::ExecutableStack, "asks for an executable stack".to_owned());
    }
    for segment in &program.segments {
        let both = VM_PROT_WRITE | VM_PROT_EXECUTE;
        if segment.initprot & both == both {
            let name = segment.name().unwrap_or("?").escape_default().to_string();
            flaw(
                Check::WritableCode,
                format!("has a segment `{name}` that is writable and executable"),
            );
        }
    }
    for folder in &program.rpaths {
        let origins = ["@executable_path", "@loader_path", "@rpath"];
        if let Some(found) = libraries::judge(folder, "LC_RPATH", &origins) {
            seen.flaws.push(found);
        }
    }
    let mut symbols = program.symbols().flatten().map(|(name, _)| name).peekable();
    if symbols.peek().is_none() {
        seen.notes.push(format!(
            "the stack protector could not be looked for: it has no symbols{arch}"
        ));
    } else if !symbols.any(|name| name.starts_with("___stack_chk")) {
        let flaw = Flaw::new(
            Check::NoStackProtector,
            format!("never calls the stack protector{arch}"),
        );
        seen.flaws.push(flaw.with(Severity::Low, Confidence::Low));
    }
    Some(seen)
}
