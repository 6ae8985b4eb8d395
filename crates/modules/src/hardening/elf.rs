//! Programs and libraries of Linux and its relatives.

use goblin::elf::dynamic::{DF_1_NOW, DF_1_PIE, DF_BIND_NOW, DF_TEXTREL, DT_BIND_NOW, DT_DEBUG, DT_JMPREL, DT_TEXTREL};
use goblin::elf::header::{EM_386, EM_X86_64, ET_DYN, ET_EXEC};
use goblin::elf::program_header::{PF_W, PF_X, PT_GNU_RELRO, PT_GNU_STACK, PT_LOAD};
use goblin::elf::section_header::SHT_SYMTAB;
use goblin::elf::{Elf, ProgramHeader};
use helve_findings::{Confidence, Severity};

use super::rules::Check;
use super::{Flaw, Seen, libraries};

/// Functions of the C library that have a checked variant, `__NAME_chk`.
const FORTIFIABLE: [&str; 24] = [
    "memcpy",
    "memmove",
    "memset",
    "mempcpy",
    "strcpy",
    "strncpy",
    "stpcpy",
    "strcat",
    "strncat",
    "sprintf",
    "snprintf",
    "vsprintf",
    "vsnprintf",
    "printf",
    "fprintf",
    "vprintf",
    "vfprintf",
    "gets",
    "fgets",
    "fread",
    "read",
    "recv",
    "recvfrom",
    "realpath",
];
/// Functions that fill a buffer without knowing its size, or with a size that the caller may get wrong.
const FILLS_BUFFERS: [&str; 16] = [
    "memcpy",
    "memmove",
    "strcpy",
    "strncpy",
    "strcat",
    "strncat",
    "sprintf",
    "snprintf",
    "vsprintf",
    "vsnprintf",
    "gets",
    "fgets",
    "fread",
    "read",
    "recv",
    "scanf",
];

/// None for what is not linked: object files, kernel modules, core dumps.
pub(super) fn inspect(bytes: &[u8]) -> Result<Option<Seen>, String> {
    let elf = Elf::parse(bytes).map_err(|error| error.to_string())?;
    if !matches!(elf.header.e_type, ET_EXEC | ET_DYN) {
        return Ok(None);
    }
    if elf.program_headers.is_empty() {
        return Err("it has no program headers, though it is linked".to_owned());
    }
    let mut seen = Seen::default();
    position(&elf, &mut seen);
    relocations(&elf, &mut seen);
    memory(&elf, &mut seen);
    compiled(&elf, bytes, &mut seen);
    library_path(&elf, &mut seen);
    if elf.section_headers.iter().any(|section| section.sh_type == SHT_SYMTAB) {
        seen.flaws.push(Flaw::new(Check::NotStripped, "has its symbol table"));
    }
    Ok(Some(seen))
}

fn flags_1(elf: &Elf<'_>) -> u64 {
    elf.dynamic.as_ref().map_or(0, |dynamic| dynamic.info.flags_1)
}

fn position(elf: &Elf<'_>, seen: &mut Seen) {
    let executable = elf.header.e_type == ET_EXEC;
    if executable {
        seen.flaws.push(Flaw::new(Check::NoPie, "is not position-independent"));
    }
    // A library has neither an interpreter nor the mark of a program.
    let marked = elf
        .dynamic
        .as_ref()
        .is_some_and(|dynamic| dynamic.dyns.iter().any(|entry| entry.d_tag == DT_DEBUG));
    seen.library = !executable && elf.interpreter.is_none() && flags_1(elf) & DF_1_PIE == 0 && !marked;
}

fn relocations(elf: &Elf<'_>, seen: &mut Seen) {
    let Some(dynamic) = &elf.dynamic else { return };
    let info = &dynamic.info;
    let tagged = |tag: u64| dynamic.dyns.iter().any(|entry| entry.d_tag == tag);
    if tagged(DT_TEXTREL) || info.flags & DF_TEXTREL != 0 {
        seen.flaws
            .push(Flaw::new(Check::TextRelocations, "has relocations in its code"));
    }
    let eager = info.flags & DF_BIND_NOW != 0 || info.flags_1 & DF_1_NOW != 0 || tagged(DT_BIND_NOW);
    // Without late relocations there is no table that would have to stay writable.
    let late = tagged(DT_JMPREL) && info.pltrelsz != 0;
    if !has(elf, PT_GNU_RELRO) {
        seen.flaws.push(Flaw::new(
            Check::NoRelro,
            "has no RELRO: its relocation tables stay writable",
        ));
    } else if late && !eager {
        seen.flaws.push(Flaw::new(
            Check::PartialRelro,
            "has partial RELRO: addresses of functions stay writable",
        ));
    }
}

fn has(elf: &Elf<'_>, kind: u32) -> bool {
    elf.program_headers.iter().any(|header| header.p_type == kind)
}

fn memory(elf: &Elf<'_>, seen: &mut Seen) {
    let both = |header: &&ProgramHeader| header.p_flags & (PF_W | PF_X) == PF_W | PF_X;
    let stack = elf.program_headers.iter().find(|header| header.p_type == PT_GNU_STACK);
    match stack {
        Some(header) if header.p_flags & PF_X != 0 => {
            seen.flaws
                .push(Flaw::new(Check::ExecutableStack, "asks for an executable stack"));
        }
        // Where nothing is said, x86 has an executable stack; elsewhere that is the kernel's choice.
        None if matches!(elf.header.e_machine, EM_386 | EM_X86_64) => {
            let flaw = Flaw::new(
                Check::ExecutableStack,
                "does not say that its stack need not be executable",
            );
            seen.flaws.push(flaw.with(Severity::Medium, Confidence::Medium));
        }
        _ => {}
    }
    let segments = elf.program_headers.iter().filter(|header| header.p_type == PT_LOAD);
    for header in segments.filter(both) {
        let what = format!("has a segment at {:#x} that is writable and executable", header.p_vaddr);
        seen.flaws.push(Flaw::new(Check::WritableCode, what));
    }
}

/// What the compiler was asked for, by the names of functions that it then calls.
fn compiled(elf: &Elf<'_>, bytes: &[u8], seen: &mut Seen) {
    if let Some(language) = safe_language(elf, bytes) {
        seen.notes.push(format!(
            "stack protector and fortified calls were not looked for: it is written in {language}"
        ));
        return;
    }
    let dynamic = elf
        .dynsyms
        .iter()
        .filter_map(|symbol| elf.dynstrtab.get_at(symbol.st_name));
    let fixed = elf.syms.iter().filter_map(|symbol| elf.strtab.get_at(symbol.st_name));
    // `memcpy@GLIBC_2.14`: some linkers write the version into the name.
    let names: Vec<&str> = dynamic
        .chain(fixed)
        .map(|name| name.split('@').next().unwrap_or(name))
        .filter(|name| !name.is_empty())
        .collect();
    if names.is_empty() {
        seen.notes.push(
            "stack protector and fortified calls could not be looked for: it is linked statically and has no symbols"
                .to_owned(),
        );
        return;
    }
    let protected = names
        .iter()
        .any(|name| name.starts_with("__stack_chk_fail") || *name == "__stack_chk_guard");
    if !protected {
        let flaw = Flaw::new(Check::NoStackProtector, "never calls the stack protector");
        // Functions without buffers need none, and then there is nothing to see of it.
        let buffers = names.iter().any(|name| FILLS_BUFFERS.contains(name));
        seen.flaws.push(match buffers {
            true => flaw.with(Severity::Medium, Confidence::Medium),
            false => flaw.with(Severity::Low, Confidence::Low),
        });
    }
    // A static program has the C library's own calls in it; they say nothing of the program's.
    if elf.dynamic.is_none() {
        return;
    }
    let checked = names
        .iter()
        .any(|name| name.starts_with("__") && name.ends_with("_chk"));
    let mut unchecked: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| FORTIFIABLE.contains(name))
        .collect();
    unchecked.sort_unstable();
    unchecked.dedup();
    if !checked && !unchecked.is_empty() {
        let what = format!("calls {} without a checked variant", unchecked.join(", "));
        let flaw = Flaw::new(Check::NoFortify, what);
        seen.flaws.push(flaw.with(Severity::Low, Confidence::Medium));
    }
}

/// Languages that check bounds themselves, and whose compilers use neither protection.
fn safe_language(elf: &Elf<'_>, bytes: &[u8]) -> Option<&'static str> {
    for section in &elf.section_headers {
        match elf.shdr_strtab.get_at(section.sh_name) {
            Some(".go.buildinfo" | ".note.go.buildid") => return Some("Go"),
            Some(".comment") => {
                let start = usize::try_from(section.sh_offset).unwrap_or(usize::MAX);
                let length = usize::try_from(section.sh_size).unwrap_or(0);
                let text = bytes.get(start..start.saturating_add(length)).unwrap_or_default();
                if memchr::memmem::find(text, b"rustc version").is_some() {
                    return Some("Rust");
                }
            }
            _ => {}
        }
    }
    None
}

fn library_path(elf: &Elf<'_>, seen: &mut Seen) {
    for (kind, lists) in [("RPATH", &elf.rpaths), ("RUNPATH", &elf.runpaths)] {
        for folder in lists.iter().flat_map(|list| list.split(':')) {
            seen.flaws
                .extend(libraries::judge(folder, kind, &["$ORIGIN", "${ORIGIN}"]));
        }
    }
}
