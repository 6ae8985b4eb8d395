//! Classes of crashes: how the reports call them, how bad they are, and which weakness each is.

use helve_findings::{Confidence, Severity};

use super::RawRule;

/// What kind of crash it is; its id is the rule's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) id: String,
    name: &'static str,
    severity: Severity,
    cwe: &'static [u32],
}

/// Id, title, severity, weaknesses. Ids are the sanitizers' own words where they have one.
type Row = (&'static str, &'static str, Severity, &'static [u32]);

const OVERFLOW_READ: Row = (
    "buffer-overflow-read",
    "Read outside of a buffer",
    Severity::High,
    &[125],
);
const OVERFLOW_WRITE: Row = (
    "buffer-overflow-write",
    "Write outside of a buffer",
    Severity::Critical,
    &[787],
);
const NULL: Row = ("null-dereference", "Null pointer dereference", Severity::Medium, &[476]);
const SEGV: Row = (
    "invalid-access",
    "Access to memory that is not there",
    Severity::High,
    &[119],
);
const CRASH: Row = ("crash", "Crash", Severity::High, &[]);
const PANIC: Row = ("panic", "Panic on crafted input", Severity::Medium, &[248]);

/// Classes by the first words of AddressSanitizer and its relatives.
const SANITIZERS: [Row; 22] = [
    (
        "heap-buffer-overflow",
        "Access outside of memory from the heap",
        Severity::High,
        &[122],
    ),
    (
        "stack-buffer-overflow",
        "Access outside of a buffer on the stack",
        Severity::High,
        &[121],
    ),
    (
        "stack-buffer-underflow",
        "Access before a buffer on the stack",
        Severity::High,
        &[124],
    ),
    (
        "dynamic-stack-buffer-overflow",
        "Access outside of a buffer on the stack",
        Severity::High,
        &[121],
    ),
    (
        "global-buffer-overflow",
        "Access outside of a global variable",
        Severity::High,
        &[119],
    ),
    (
        "container-overflow",
        "Access outside of a container",
        Severity::High,
        &[119],
    ),
    (
        "use-after-poison",
        "Use of memory that was given back",
        Severity::Critical,
        &[416],
    ),
    ("heap-use-after-free", "Use after free", Severity::Critical, &[416]),
    (
        "stack-use-after-return",
        "Use of a local variable after its function",
        Severity::High,
        &[562],
    ),
    (
        "stack-use-after-scope",
        "Use of a local variable after its block",
        Severity::High,
        &[562],
    ),
    ("double-free", "Double free", Severity::Critical, &[415]),
    ("attempting double-free", "Double free", Severity::Critical, &[415]),
    (
        "attempting free",
        "Free of memory that is not from the heap",
        Severity::High,
        &[590],
    ),
    (
        "alloc-dealloc-mismatch",
        "Memory given back to another allocator",
        Severity::Medium,
        &[762],
    ),
    (
        "memcpy-param-overlap",
        "Copy between overlapping buffers",
        Severity::Medium,
        &[475],
    ),
    (
        "negative-size-param",
        "Copy of a negative length",
        Severity::High,
        &[195],
    ),
    ("stack-overflow", "Endless recursion", Severity::Medium, &[674]),
    ("FPE", "Division by zero", Severity::Medium, &[369]),
    (
        "allocation-size-too-big",
        "Allocation of a length from the input",
        Severity::Medium,
        &[789],
    ),
    ("detected memory leaks", "Memory leak", Severity::Low, &[401]),
    (
        "use-of-uninitialized-value",
        "Use of uninitialised memory",
        Severity::High,
        &[908],
    ),
    ("data race", "Data race", Severity::High, &[362]),
];

/// Classes by the words of UndefinedBehaviorSanitizer.
const UNDEFINED: [Row; 9] = [
    (
        "signed integer overflow",
        "Signed integer overflow",
        Severity::Medium,
        &[190],
    ),
    (
        "unsigned integer overflow",
        "Unsigned integer overflow",
        Severity::Low,
        &[190],
    ),
    ("division by zero", "Division by zero", Severity::Medium, &[369]),
    ("out of bounds", "Index out of bounds", Severity::High, &[129]),
    ("null pointer", "Null pointer dereference", Severity::Medium, &[476]),
    ("shift", "Shift by a wrong amount", Severity::Low, &[1335]),
    (
        "misaligned address",
        "Access through a misaligned pointer",
        Severity::Low,
        &[704],
    ),
    (
        "outside the range of representable",
        "Conversion that loses the value",
        Severity::Low,
        &[681],
    ),
    (
        "not a valid value",
        "Value that its type does not have",
        Severity::Medium,
        &[704],
    ),
];

/// Classes by the words of a panic of Rust.
const PANICS: [Row; 5] = [
    ("out of bounds", "Index out of bounds", Severity::Medium, &[129]),
    ("out of range", "Index out of bounds", Severity::Medium, &[129]),
    ("index starts at", "Index out of bounds", Severity::Medium, &[129]),
    ("with overflow", "Integer overflow", Severity::Medium, &[190]),
    ("by zero", "Division by zero", Severity::Medium, &[369]),
];

impl Class {
    fn row((id, name, severity, cwe): Row) -> Self {
        Self {
            id: id.replace(' ', "-"),
            name,
            severity,
            cwe,
        }
    }

    /// Once the report says whether it was a read or a write.
    pub(super) fn accessing(self, write: bool) -> Self {
        let overflow = self.id.ends_with("overflow") || self.id.ends_with("underflow");
        if !overflow || self.id == "stack-overflow" {
            return self;
        }
        let cwe: &[u32] = match (self.id.as_str(), write) {
            ("heap-buffer-overflow", true) => &[122, 787],
            ("stack-buffer-overflow" | "dynamic-stack-buffer-overflow", true) => &[121, 787],
            (_, true) => OVERFLOW_WRITE.3,
            (_, false) => OVERFLOW_READ.3,
        };
        Self {
            id: format!("{}-{}", self.id, if write { "write" } else { "read" }),
            severity: if write { OVERFLOW_WRITE.2 } else { OVERFLOW_READ.2 },
            cwe,
            ..self
        }
    }

    /// Once the report says that the address is almost zero.
    pub(super) fn near_null(self) -> Self {
        if self.id == SEGV.0 { Self::row(NULL) } else { self }
    }

    pub(super) fn rule(&self) -> RawRule {
        RawRule {
            id: self.id.clone(),
            name: self.name.to_owned(),
            description: format!(
                "{}: an input that the fuzzer made, kept as an artifact, shows it.",
                self.name
            ),
            severity: Some(self.severity),
            // It did happen.
            confidence: Some(Confidence::High),
            cwe: self.cwe.to_vec(),
            tags: vec!["fuzzing".to_owned()],
            ..RawRule::default()
        }
    }
}

/// What a sanitizer reports, and whether that is so vague that anything said before explains it better.
pub(super) fn sanitizer(name: &str, said: &str) -> (Class, bool) {
    if let Some(row) = SANITIZERS.into_iter().find(|row| said.starts_with(row.0)) {
        let mut class = Class::row(row);
        class.id = match row.0 {
            "attempting double-free" => "double-free".to_owned(),
            "attempting free" => "bad-free".to_owned(),
            "FPE" => "division-by-zero".to_owned(),
            "detected memory leaks" => "memory-leak".to_owned(),
            _ => class.id,
        };
        return (class, false);
    }
    match said.split_whitespace().next() {
        // UBSan's own handler for signals says no more than that there was one.
        Some("SEGV" | "BUS") => (Class::row(SEGV), name == "UndefinedBehaviorSanitizer"),
        Some("ABRT") => (Class::row(("abort", "Abort", Severity::Medium, &[617])), true),
        _ => (Class::row(CRASH), true),
    }
}

/// What libFuzzer reports, and whether anything said before explains it better.
pub(super) fn fuzzer(said: &str) -> (Class, bool) {
    if said.starts_with("timeout") {
        (
            Class::row(("timeout", "Input that takes too long", Severity::Medium, &[400])),
            false,
        )
    } else if said.starts_with("out-of-memory") || said.starts_with("malloc") {
        (
            Class::row((
                "out-of-memory",
                "Input that takes too much memory",
                Severity::Medium,
                &[770],
            )),
            false,
        )
    } else if said.contains("exited") {
        (
            Class::row(("exit", "Input that ends the process", Severity::Medium, &[382])),
            true,
        )
    } else {
        (Class::row(CRASH), true)
    }
}

pub(super) fn undefined(said: &str) -> Class {
    let known = UNDEFINED.into_iter().find(|row| said.contains(row.0));
    let mut class = Class::row(known.unwrap_or(("", "Undefined behaviour", Severity::Medium, &[758])));
    class.id = match class.id.as_str() {
        "" => "undefined-behaviour".to_owned(),
        "shift" => "bad-shift".to_owned(),
        "out-of-bounds" => "index-out-of-bounds".to_owned(),
        "null-pointer" => NULL.0.to_owned(),
        "misaligned-address" => "misaligned-access".to_owned(),
        "outside-the-range-of-representable" => "lossy-conversion".to_owned(),
        "not-a-valid-value" => "invalid-value".to_owned(),
        other => other.to_owned(),
    };
    class
}

pub(super) fn panic(said: &str) -> Class {
    let Some(row) = PANICS.into_iter().find(|row| said.contains(row.0)) else {
        return Class::row(PANIC);
    };
    let mut class = Class::row(row);
    class.id = match row.3 {
        [129] => "panic-out-of-bounds".to_owned(),
        [190] => "panic-overflow".to_owned(),
        _ => "panic-division-by-zero".to_owned(),
    };
    class
}

pub(super) fn exception() -> Class {
    Class::row((
        "uncaught-exception",
        "Uncaught exception on crafted input",
        Severity::Medium,
        &[248],
    ))
}

pub(super) fn assertion() -> Class {
    Class::row((
        "assertion-failed",
        "Failed assertion on crafted input",
        Severity::Medium,
        &[617],
    ))
}
