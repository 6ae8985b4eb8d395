//! What is looked for in programs.

use helve_findings::{Confidence, Rule, Severity};

use super::NAME;

/// A protection that is missing, or a part of a program that undoes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Check {
    NoPie,
    NoRelro,
    PartialRelro,
    NoStackProtector,
    NoFortify,
    ExecutableStack,
    WritableCode,
    TextRelocations,
    InsecureLibraryPath,
    ForeignLibraryPath,
    NotStripped,
    NoAslr,
    NoHighEntropyAslr,
    NoDep,
    NoCfg,
    NoSafeSeh,
}

impl Check {
    pub(super) const ALL: [Self; 16] = [
        Self::NoPie,
        Self::NoRelro,
        Self::PartialRelro,
        Self::NoStackProtector,
        Self::NoFortify,
        Self::ExecutableStack,
        Self::WritableCode,
        Self::TextRelocations,
        Self::InsecureLibraryPath,
        Self::ForeignLibraryPath,
        Self::NotStripped,
        Self::NoAslr,
        Self::NoHighEntropyAslr,
        Self::NoDep,
        Self::NoCfg,
        Self::NoSafeSeh,
    ];

    /// The name after `hardening/`.
    pub(super) const fn id(self) -> &'static str {
        match self {
            Self::NoPie => "no-pie",
            Self::NoRelro => "no-relro",
            Self::PartialRelro => "partial-relro",
            Self::NoStackProtector => "no-stack-protector",
            Self::NoFortify => "no-fortify",
            Self::ExecutableStack => "executable-stack",
            Self::WritableCode => "writable-code",
            Self::TextRelocations => "text-relocations",
            Self::InsecureLibraryPath => "insecure-library-path",
            Self::ForeignLibraryPath => "foreign-library-path",
            Self::NotStripped => "not-stripped",
            Self::NoAslr => "no-aslr",
            Self::NoHighEntropyAslr => "no-high-entropy-aslr",
            Self::NoDep => "no-dep",
            Self::NoCfg => "no-cfg",
            Self::NoSafeSeh => "no-safeseh",
        }
    }

    /// The rule, for reports.
    pub(super) fn rule(self) -> Rule {
        let Told {
            name,
            why,
            fix,
            severity,
            cwe,
        } = self.told();
        Rule {
            id: format!("{NAME}/{}", self.id()),
            name: name.to_owned(),
            description: why.to_owned(),
            severity,
            confidence: Confidence::High,
            cwe: cwe.to_vec(),
            tags: vec!["binary".to_owned(), "hardening".to_owned()],
            remediation: fix.to_owned(),
            references: Vec::new(),
        }
    }

    fn told(self) -> Told {
        use Severity::{High, Low, Medium, Note};
        let told = |severity, cwe, name, why, fix| Told {
            name,
            why,
            fix,
            severity,
            cwe,
        };
        match self {
            Self::NoPie => told(
                Medium,
                &[693],
                "Program at a fixed address",
                "The program is not position-independent, so its code lies at addresses that an attacker knows.",
                "Compile with `-fPIE` and link with `-pie`.",
            ),
            Self::NoRelro => told(
                Medium,
                &[693],
                "Relocation tables stay writable",
                "Without RELRO, tables of function addresses can be overwritten to divert the program.",
                "Link with `-Wl,-z,relro,-z,now`.",
            ),
            Self::PartialRelro => told(
                Low,
                &[693],
                "Function addresses stay writable",
                "With partial RELRO, addresses of functions are filled in late and their table stays writable.",
                "Link with `-Wl,-z,now`.",
            ),
            Self::NoStackProtector => told(
                Medium,
                &[693, 121],
                "No stack protector",
                "Nothing notices that a buffer on the stack overflowed before the function returns.",
                "Compile with `-fstack-protector-strong` (Windows: `/GS`).",
            ),
            Self::NoFortify => told(
                Low,
                &[693, 120],
                "Library calls without bounds checks",
                "The program calls functions of the C library that copy, and none of their checked variants.",
                "Compile with `-O2 -D_FORTIFY_SOURCE=2` or 3.",
            ),
            Self::ExecutableStack => told(
                High,
                &[693],
                "Executable stack",
                "What is written to the stack can be executed as code.",
                "Link with `-Wl,-z,noexecstack`; mark assembly files with `.note.GNU-stack`.",
            ),
            Self::WritableCode => told(
                High,
                &[693],
                "Memory that is writable and executable",
                "A part of the program can be written to and executed, so a write becomes code.",
                "Keep code and data in separate segments: no `-Wl,-N`, no self-modifying sections.",
            ),
            Self::TextRelocations => told(
                Medium,
                &[693],
                "Code is changed when it is loaded",
                "Text relocations make the loader write to code, which must be writable then.",
                "Compile everything with `-fPIC` or `-fPIE`.",
            ),
            Self::InsecureLibraryPath => told(
                High,
                &[426],
                "Libraries from a place that anybody may write to",
                "The search path for libraries holds a relative, empty or world-writable folder: whoever writes there \
                 chooses the code that runs.",
                "Remove the path, or make it relative to `$ORIGIN`.",
            ),
            Self::ForeignLibraryPath => told(
                Low,
                &[426],
                "Libraries from an unusual folder",
                "The search path for libraries holds an absolute folder that is none of the system's, often left over \
                 from the build: whoever can create it chooses the code that runs.",
                "Remove the path, or make it relative to `$ORIGIN`.",
            ),
            Self::NotStripped => told(
                Note,
                &[215],
                "Symbols left in",
                "The program holds its symbol table: names of internal functions help whoever takes it apart.",
                "Strip what is shipped and keep the symbols elsewhere.",
            ),
            Self::NoAslr => told(
                Medium,
                &[693],
                "Program at a fixed address",
                "The program does not allow Windows to load it at a random address.",
                "Link with `/DYNAMICBASE` and do not strip relocations.",
            ),
            Self::NoHighEntropyAslr => told(
                Low,
                &[693],
                "Little randomness in addresses",
                "A 64-bit program that does not declare `HIGHENTROPYVA` gets addresses that can be guessed.",
                "Link with `/HIGHENTROPYVA`.",
            ),
            Self::NoDep => told(
                High,
                &[693],
                "Data can be executed",
                "The program does not declare that it can do with data execution prevention.",
                "Link with `/NXCOMPAT`.",
            ),
            Self::NoCfg => told(
                Low,
                &[693],
                "No control flow guard",
                "Indirect calls are not checked, so an overwritten pointer to a function leads anywhere.",
                "Compile and link with `/guard:cf`.",
            ),
            Self::NoSafeSeh => told(
                Medium,
                &[693],
                "Exception handlers are not checked",
                "An overwritten handler on the stack is called without a look at a list of valid ones.",
                "Link with `/SAFESEH`.",
            ),
        }
    }
}

struct Told {
    name: &'static str,
    why: &'static str,
    fix: &'static str,
    severity: Severity,
    cwe: &'static [u32],
}
