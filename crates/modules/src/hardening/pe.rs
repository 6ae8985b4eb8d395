//! Programs and libraries of Windows.

use goblin::pe::PE;
use goblin::pe::characteristic::IMAGE_FILE_RELOCS_STRIPPED;
use goblin::pe::dll_characteristic::{
    IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE, IMAGE_DLLCHARACTERISTICS_GUARD_CF, IMAGE_DLLCHARACTERISTICS_HIGH_ENTROPY_VA,
    IMAGE_DLLCHARACTERISTICS_NO_SEH, IMAGE_DLLCHARACTERISTICS_NX_COMPAT,
};
use goblin::pe::header::COFF_MACHINE_X86;
use goblin::pe::section_table::{IMAGE_SCN_MEM_EXECUTE, IMAGE_SCN_MEM_WRITE};
use helve_findings::{Confidence, Severity};

use super::rules::Check;
use super::{Flaw, Seen};

pub(super) fn inspect(bytes: &[u8]) -> Result<Option<Seen>, String> {
    let pe = PE::parse(bytes).map_err(|error| error.to_string())?;
    let Some(optional) = &pe.header.optional_header else {
        return Err("it has no optional header, which every linked program has".to_owned());
    };
    let flags = optional.windows_fields.dll_characteristics;
    let coff = &pe.header.coff_header;
    let mut seen = Seen {
        library: pe.is_lib,
        ..Seen::default()
    };
    let mut flaw = |check, what: &str| seen.flaws.push(Flaw::new(check, what));
    let stripped = coff.characteristics & IMAGE_FILE_RELOCS_STRIPPED != 0;
    if flags & IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE == 0 {
        flaw(Check::NoAslr, "does not allow a random address");
    } else if stripped && pe.clr_data.is_none() {
        flaw(
            Check::NoAslr,
            "allows a random address, but has no relocations to be moved with",
        );
    } else if pe.is_64 && flags & IMAGE_DLLCHARACTERISTICS_HIGH_ENTROPY_VA == 0 {
        flaw(Check::NoHighEntropyAslr, "does not allow addresses above 4 GiB");
    }
    if flags & IMAGE_DLLCHARACTERISTICS_NX_COMPAT == 0 {
        flaw(Check::NoDep, "does not declare that its data need not be executable");
    }
    for section in &pe.sections {
        let both = IMAGE_SCN_MEM_WRITE | IMAGE_SCN_MEM_EXECUTE;
        if section.characteristics & both == both {
            let name = section.name().unwrap_or("?");
            flaw(
                Check::WritableCode,
                &format!(
                    "has a section `{}` that is writable and executable",
                    name.escape_default()
                ),
            );
        }
    }
    // What the runtime of .NET compiles is protected by the runtime.
    if pe.clr_data.is_some() {
        seen.notes.push(
            "control flow guard, handlers and stack cookies were not looked for: it is a .NET assembly".to_owned(),
        );
        return Ok(Some(seen));
    }
    if flags & IMAGE_DLLCHARACTERISTICS_GUARD_CF == 0 {
        flaw(Check::NoCfg, "has no control flow guard");
    }
    let load = pe.load_config_data.as_ref().map(|data| &data.directory);
    if coff.machine == COFF_MACHINE_X86 && flags & IMAGE_DLLCHARACTERISTICS_NO_SEH == 0 {
        let handlers = load.and_then(|load| load.se_handler_table);
        if handlers.is_none_or(|table| table == 0) {
            flaw(Check::NoSafeSeh, "has no list of valid exception handlers");
        }
    }
    if load
        .and_then(|load| load.security_cookie)
        .is_none_or(|cookie| cookie == 0)
    {
        let flaw = Flaw::new(Check::NoStackProtector, "has no cookie for its stack");
        // Other compilers than Microsoft's keep theirs elsewhere.
        seen.flaws.push(flaw.with(Severity::Low, Confidence::Low));
    }
    Ok(Some(seen))
}
