use std::sync::atomic::AtomicBool;

use helve_findings::Status;
use proptest::prelude::*;

use super::*;
use crate::Allowed;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_GNU_STACK: u32 = 0x6474_e551;
const PT_GNU_RELRO: u32 = 0x6474_e552;
const X: u32 = 1;
const W: u32 = 2;
const R: u32 = 4;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;

/// A 64-bit ELF file of headers only. `segments` are kind and flags; `dynamic` are tag and value.
fn elf(kind: u16, segments: &[(u32, u32)], dynamic: &[(u64, u64)]) -> Vec<u8> {
    let table = 64 + 56 * segments.len() as u64;
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for half in [kind, 62] {
        bytes.extend(half.to_le_bytes());
    }
    bytes.extend(1u32.to_le_bytes());
    for word in [0x40_1000u64, 64, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(0u32.to_le_bytes());
    for half in [64, 56, segments.len() as u16, 64, 0, 0] {
        bytes.extend(half.to_le_bytes());
    }
    for (segment, flags) in segments {
        let (at, size) = match *segment {
            PT_DYNAMIC => (table, 16 * dynamic.len() as u64),
            _ => (0, 0),
        };
        bytes.extend(segment.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        for word in [at, at, at, size, size, 8] {
            bytes.extend(word.to_le_bytes());
        }
    }
    for (tag, value) in dynamic {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes
}

/// A program for Windows with one section, its headers only.
fn pe(machine: u16, dll_characteristics: u16, section: u32) -> Vec<u8> {
    let wide = machine == 0x8664;
    let mut bytes = b"MZ".to_vec();
    bytes.resize(0x3c, 0);
    bytes.extend(0x40u32.to_le_bytes());
    bytes.extend(b"PE\0\0");
    let optional: u16 = if wide { 112 } else { 96 };
    for half in [machine, 1] {
        bytes.extend(half.to_le_bytes());
    }
    bytes.extend([0; 12]);
    for half in [optional, 0x22] {
        bytes.extend(half.to_le_bytes());
    }
    let start = bytes.len();
    bytes.extend((if wide { 0x20bu16 } else { 0x10b }).to_le_bytes());
    bytes.resize(start + 32, 0);
    for word in [0x1000u32, 0x200] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.resize(start + 70, 0);
    bytes.extend(dll_characteristics.to_le_bytes());
    bytes.resize(start + usize::from(optional), 0);
    bytes.extend(b".text\0\0\0");
    bytes.extend([0; 28]);
    bytes.extend(section.to_le_bytes());
    bytes.resize(0x400, 0);
    bytes
}

/// A 64-bit program for macOS with one segment, its headers only.
fn macho(flags: u32, initprot: u32, rpath: &str) -> Vec<u8> {
    let mut command = Vec::new();
    let length = (12 + rpath.len() + 8) & !7;
    for word in [0x8000_001cu32, length as u32, 12] {
        command.extend(word.to_le_bytes());
    }
    command.extend(rpath.bytes());
    command.resize(length, 0);
    let mut bytes = Vec::new();
    for word in [0xfeed_facfu32, 0x0100_0007, 3, 2, 2, 72 + length as u32, flags, 0] {
        bytes.extend(word.to_le_bytes());
    }
    for word in [0x19u32, 72] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(b"__TEXT\0\0\0\0\0\0\0\0\0\0");
    bytes.extend([0; 32]);
    for word in [7, initprot, 0, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(command);
    bytes
}

fn flaws(bytes: &[u8]) -> Vec<&'static str> {
    let seen = inspect(bytes).expect("it can be taken apart").expect("it is a program");
    seen.flaws.iter().map(|flaw| flaw.check.id()).collect()
}

/// What a modern linker makes of a position-independent program.
const GOOD: [(u32, u32); 5] = [
    (PT_INTERP, R),
    (PT_LOAD, R | X),
    (PT_LOAD, R | W),
    (PT_GNU_STACK, R | W),
    (PT_GNU_RELRO, R),
];

#[test]
fn a_well_built_elf_program_has_no_flaws() {
    assert_eq!(flaws(&elf(ET_DYN, &GOOD, &[])), Vec::<&str>::new());
    let now: [(u64, u64); 4] = [(23, 0x1000), (2, 24), (0x6fff_fffb, 1), (0, 0)];
    let segments = [&GOOD[..], &[(PT_DYNAMIC, R | W)]].concat();
    assert_eq!(flaws(&elf(ET_DYN, &segments, &now)), Vec::<&str>::new());
}

#[test]
fn each_missing_protection_of_an_elf_program_is_one_flaw() {
    let dynamic = |segments: &[(u32, u32)], tags: &[(u64, u64)]| {
        let segments = [segments, &[(PT_DYNAMIC, R | W)]].concat();
        flaws(&elf(ET_DYN, &segments, tags))
    };
    assert_eq!(flaws(&elf(ET_EXEC, &GOOD, &[])), ["no-pie"]);
    let late = [(23, 0x1000), (2, 24), (0, 0)];
    assert_eq!(dynamic(&GOOD, &late), ["partial-relro"]);
    assert_eq!(dynamic(&GOOD[..4], &[(24, 0), (0, 0)]), ["no-relro"]);
    assert_eq!(dynamic(&GOOD, &[(22, 0), (0, 0)]), ["text-relocations"]);
    let mut segments = GOOD;
    segments[3].1 = R | W | X;
    assert_eq!(flaws(&elf(ET_DYN, &segments, &[])), ["executable-stack"]);
    segments[3] = (PT_LOAD, R);
    assert_eq!(
        flaws(&elf(ET_DYN, &segments, &[])),
        ["executable-stack"],
        "x86 without a word about it"
    );
    segments[3] = GOOD[3];
    segments[1].1 = R | W | X;
    assert_eq!(flaws(&elf(ET_DYN, &segments, &[])), ["writable-code"]);
}

#[test]
fn what_is_not_linked_is_no_program() {
    for kind in [1, 4] {
        assert!(inspect(&elf(kind, &GOOD, &[])).unwrap().is_none());
    }
    for text in [
        &b""[..],
        b"\x7fEL",
        b"#!/bin/sh\n",
        b"MZ is how this text begins",
        b"\xca\xfe\xba\xbe\0\0\0\x34",
    ] {
        assert!(inspect(text).unwrap().is_none());
    }
}

#[test]
fn a_static_program_without_symbols_says_what_cannot_be_told() {
    let seen = inspect(&elf(ET_DYN, &GOOD, &[])).unwrap().unwrap();
    assert!(seen.notes[0].contains("could not be looked for"), "{:?}", seen.notes);
}

#[test]
fn programs_of_windows_are_judged_by_their_flags() {
    let (high, dynamic, nx, no_seh, cfg) = (0x20, 0x40, 0x100, 0x400, 0x4000);
    const TEXT: u32 = 0x6000_0020;
    let good = flaws(&pe(0x8664, high | dynamic | nx | cfg, TEXT));
    assert_eq!(good, ["no-stack-protector"], "it has no load configuration");
    let without = |flags: u16| {
        let mut ids = flaws(&pe(0x8664, (high | dynamic | nx | cfg) & !flags, TEXT));
        ids.retain(|id| *id != "no-stack-protector");
        ids
    };
    assert_eq!(without(dynamic), ["no-aslr"]);
    assert_eq!(without(high), ["no-high-entropy-aslr"]);
    assert_eq!(without(nx), ["no-dep"]);
    assert_eq!(without(cfg), ["no-cfg"]);
    assert!(flaws(&pe(0x8664, high | dynamic | nx | cfg, TEXT | 0x8000_0000)).contains(&"writable-code"));
    assert!(flaws(&pe(0x14c, dynamic | nx | cfg, TEXT)).contains(&"no-safeseh"));
    assert!(!flaws(&pe(0x14c, dynamic | nx | cfg | no_seh, TEXT)).contains(&"no-safeseh"));
}

#[test]
fn programs_of_macos_are_judged_by_their_flags_and_paths() {
    let (pie, stack) = (0x20_0000, 0x2_0000);
    assert_eq!(flaws(&macho(pie, 5, "@loader_path/../lib")), Vec::<&str>::new());
    assert_eq!(flaws(&macho(0, 5, "@rpath")), ["no-pie"]);
    assert_eq!(flaws(&macho(pie | stack, 5, "@rpath")), ["executable-stack"]);
    assert_eq!(flaws(&macho(pie, 7, "@rpath")), ["writable-code"]);
    assert_eq!(flaws(&macho(pie, 5, "lib")), ["insecure-library-path"]);
}

fn look_at(files: &[(&str, &[u8])], config: Value) -> Output {
    let dir = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        fs::write(dir.path().join(path), bytes).unwrap();
    }
    let cancelled = AtomicBool::new(false);
    let cx = Context {
        workspace: dir.path(),
        progress: &|_| {},
        cancelled: &cancelled,
        allowed: &Allowed::default(),
    };
    load(&[]).unwrap().execute(&cx, &config).unwrap()
}

fn reason(output: &Output) -> &str {
    match &output.report.status {
        Status::Completed => "completed",
        Status::Inconclusive { reason } => reason,
    }
}

#[test]
fn a_target_without_programs_is_inconclusive_and_never_clean() {
    let output = look_at(&[("notes.txt", b"nothing")], json!({}));
    assert_eq!(reason(&output), "there is no program in the target");
}

#[test]
fn a_program_that_cannot_be_taken_apart_is_inconclusive_and_the_others_are_looked_at() {
    let broken = &elf(ET_DYN, &GOOD, &[])[..80];
    let output = look_at(&[("broken", broken), ("fixed", &elf(ET_EXEC, &GOOD, &[]))], json!({}));
    assert!(
        reason(&output).starts_with("broken: it looks like ELF"),
        "{}",
        reason(&output)
    );
    let found: Vec<&str> = output
        .report
        .findings
        .iter()
        .map(|f| f.location.path.as_str())
        .collect();
    assert_eq!(found, ["fixed"]);
    assert_eq!(output.summary["programs"], 1);
}

#[test]
fn a_file_that_is_too_large_is_inconclusive_and_a_disabled_rule_does_not_run() {
    let program = elf(ET_EXEC, &GOOD, &[]);
    let output = look_at(&[("a", &program)], json!({"max_file_bytes": 10}));
    assert!(reason(&output).contains("over the limit"), "{}", reason(&output));
    let output = look_at(&[("a", &program)], json!({"disable": ["no-pie"]}));
    assert_eq!((reason(&output), output.report.findings.len()), ("completed", 0));
    assert!(output.report.rules.iter().all(|rule| rule.id != "hardening/no-pie"));
}

/// What the linker really makes: the compiler is there wherever Rust can be linked.
#[cfg(target_os = "linux")]
#[test]
fn programs_that_a_compiler_built_badly_have_flaws_and_hardened_ones_have_none() {
    let dir = tempfile::tempdir().unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/vulnerable-binary/greet.c");
    let built = |name: &str, options: &str| {
        let program = dir.path().join(name);
        let options = options.split(' ');
        let status = std::process::Command::new("cc")
            .args(options)
            .arg("-o")
            .arg(&program)
            .arg(source)
            .status();
        assert!(status.unwrap().success(), "{name} was not built");
        flaws(&fs::read(program).unwrap())
    };
    let badly = built(
        "badly",
        "-O1 -U_FORTIFY_SOURCE -fno-stack-protector -fno-pie -no-pie -Wl,-z,norelro -Wl,-z,execstack \
         -Wl,--disable-new-dtags,-rpath,/tmp/build/lib",
    );
    for id in [
        "no-pie",
        "no-relro",
        "no-stack-protector",
        "no-fortify",
        "executable-stack",
        "insecure-library-path",
        "not-stripped",
    ] {
        assert!(badly.contains(&id), "{id} is not in {badly:?}");
    }
    let well = built(
        "well",
        "-O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE -pie -s \
         -Wl,-z,relro,-z,now,-z,noexecstack -Wl,-rpath,$ORIGIN/../lib",
    );
    assert_eq!(well, Vec::<&str>::new());
    assert!(built("mixed", "-O2 -DMIXES_CODE_AND_DATA").contains(&"writable-code"));
    let late = built(
        "late.so",
        "-O2 -shared -fPIC -Wl,-z,relro,-z,lazy -Wl,-rpath,/home/build/lib",
    );
    assert!(
        late.contains(&"partial-relro") && late.contains(&"foreign-library-path"),
        "{late:?}"
    );
    assert!(!late.contains(&"no-pie"));
}

#[test]
fn the_manifest_describes_the_configuration_that_the_module_takes() {
    let text = include_str!("../../../../toolbox/modules/hardening/module.yaml");
    let manifest: Value = serde_saphyr::from_str(text).unwrap();
    assert_eq!(manifest["config_schema"], schema());
    assert_eq!(manifest["version"], VERSION);
}

fn any_program() -> impl Strategy<Value = Vec<u8>> {
    let whole = prop_oneof![
        Just(elf(
            ET_DYN,
            &[&GOOD[..], &[(PT_DYNAMIC, R)]].concat(),
            &[
                (5, 64),
                (10, 64),
                (6, 64),
                (15, 1),
                (29, 9),
                (23, 64),
                (2, 24),
                (7, 64),
                (8, 48),
                (0, 0)
            ]
        )),
        Just(pe(0x8664, 0, 0x6000_0020)),
        Just(pe(0x14c, 0, 0x6000_0020)),
        Just(macho(0, 7, "lib")),
    ];
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..24);
    (whole, edits, any::<prop::sample::Index>(), any::<bool>()).prop_map(|(mut bytes, edits, end, cut)| {
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cut {
            bytes.truncate(end.index(bytes.len()).max(4));
        }
        bytes
    })
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), mark in 0usize..7) {
        let marks = [&b""[..], b"\x7fELF\x02\x01\x01", b"\x7fELF\x01\x02\x01", b"MZ", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe\0\0\0\x02"];
        let _ = inspect(&[marks[mark], &bytes].concat());
    }

    #[test]
    fn no_broken_program_makes_it_panic_or_lose_its_name(bytes in any_program()) {
        if let Err(reason) = inspect(&bytes) {
            prop_assert!(reason.starts_with("it looks like "), "{}", reason);
        }
    }
}
