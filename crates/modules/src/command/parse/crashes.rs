//! What sanitizers, libFuzzer, panics of Rust and exceptions of Python say of a crash: a class, a stack, an input.
//!
//! Crashes of one class with the same functions on top of their stacks are one crash. Lines do not count: they move.

use std::sync::LazyLock;

use helve_findings::code_anchor;
use regex::Regex;

use super::classes::{self, Class};
use super::{Parsed, RawFinding, RawPlace};

/// Functions that make a stack.
const TOP: usize = 5;
/// Frames that are kept: recursion makes endless stacks.
const MAX_FRAMES: usize = 64;
/// Crashes that are kept of one text; equal ones are one before this.
const MAX_CRASHES: usize = 1_000;

macro_rules! pattern {
    ($name:ident, $text:literal) => {
        static $name: LazyLock<Regex> = LazyLock::new(|| Regex::new($text).expect("a valid pattern"));
    };
}

pattern!(SANITIZER, r"(?:ERROR|WARNING): (\w+Sanitizer): (.+)$");
pattern!(FUZZER, r"==\d+== ?ERROR: libFuzzer: (.+)$");
pattern!(UNDEFINED, r"^(\S+?):(\d+):(\d+): runtime error: (.+)$");
pattern!(PANIC, r"^thread '[^']*'(?: \(\d+\))? panicked at (.+?):(\d+):(\d+):$");
pattern!(ASSERTION, r"^\S+: (\S+?):(\d+): (.+?): (Assertion .+ failed\.)$");
pattern!(PYTHON, r"^ ?=== Uncaught Python exception: ===$");
pattern!(ACCESS, r"^(READ|WRITE) of size \d+");
pattern!(SIGNAL_ACCESS, r"The signal is caused by a (READ|WRITE) memory access");
pattern!(FRAME, r"^\s*#\d+ (?:0x[0-9a-f]+ )?(?:in )?(.+)$");
pattern!(FRAME_PLACE, r"^(.*?) ?((?:/|\./|\w)[^ ()]*?):(\d+)(?::(\d+))?(?: .*)?$");
pattern!(FRAME_BINARY, r"^(.*?) ?\(([^()]+\+0x[0-9a-f]+)\).*$");
pattern!(PYTHON_FRAME, r#"^  File "(.+)", line (\d+), in (.+)$"#);
pattern!(WRITTEN, r"Test unit written to (.+)$");
pattern!(ADDRESS, r" (?:on|at) (?:unknown )?(?:address )?0x[0-9a-f]+.*$");
pattern!(RUST_HASH, r"::h[0-9a-f]{16}$");

/// Functions that notice a crash and do not cause it: they say nothing of where it comes from.
const MACHINERY: [&str; 27] = [
    "libc.so",
    "libc-",
    "ld-linux",
    "__asan",
    "__ubsan",
    "__msan",
    "__lsan",
    "__tsan",
    "__sanitizer",
    "__interceptor",
    "__assert",
    "fuzzer::",
    "rust_fuzzer",
    "rust_begin_unwind",
    "__rustc::",
    "core::",
    "std::",
    "alloc::",
    "<core::",
    "<std::",
    "<alloc::",
    "libfuzzer_sys",
    "raise",
    "gsignal",
    "abort",
    "pthread_kill",
    "__pthread_kill",
];
/// Functions of the C library that sanitizers take the place of: with them on top, it is their caller that is wrong.
const INTERCEPTED: [&str; 16] = [
    "free",
    "malloc",
    "calloc",
    "realloc",
    "memcpy",
    "memmove",
    "memset",
    "strcpy",
    "strncpy",
    "strcat",
    "strlen",
    "strdup",
    "operator",
    "printf",
    "vsnprintf",
    "memcmp",
];
/// Where the stack of the program under test ends and that of the fuzzer begins.
const BOTTOM: [&str; 5] = [
    "LLVMFuzzerTestOneInput",
    "main",
    "_start",
    "__libc_start",
    "TestOneInput",
];

/// A crash that is being read.
#[derive(Default)]
struct Crash {
    class: Option<Class>,
    message: String,
    place: RawPlace,
    frames: Vec<Frame>,
    /// The first stack is whole; what follows says where memory was allocated and the like.
    stack_ended: bool,
    input: Option<String>,
}

struct Frame {
    function: String,
    place: RawPlace,
}

/// Reads a log. There is always something to read: no report is no crash.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let text = String::from_utf8_lossy(bytes);
    let mut reader = Reader::default();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let line = line.trim_end();
        if PANIC.is_match(line) || PYTHON.is_match(line) {
            let next = lines.peek().map(|next| next.trim()).unwrap_or_default();
            reader.announced(line, next);
        } else {
            reader.line(line);
        }
    }
    reader.finish()
}

#[derive(Default)]
struct Reader {
    open: Option<Crash>,
    parsed: Parsed,
}

impl Reader {
    /// A panic or an exception; what it says is on the next line.
    fn announced(&mut self, line: &str, said: &str) {
        let said = said.to_owned();
        match PANIC.captures(line) {
            Some(groups) => {
                let place = place(&groups[1], &groups[2], groups.get(3).map(|c| c.as_str()));
                self.begin(classes::panic(&said), said, place);
            }
            None => self.begin(classes::exception(), said, RawPlace::default()),
        }
    }

    fn line(&mut self, line: &str) {
        if let Some(groups) = SANITIZER.captures(line) {
            // Addresses differ from run to run.
            let said = ADDRESS.replace(&groups[2], "");
            let (class, vague) = classes::sanitizer(&groups[1], &groups[2]);
            self.begin_unless_explained(class, vague, format!("{}: {}", &groups[1], said));
        } else if let Some(groups) = FUZZER.captures(line) {
            let (class, vague) = classes::fuzzer(&groups[1]);
            self.begin_unless_explained(class, vague, format!("libFuzzer: {}", &groups[1]));
        } else if let Some(groups) = UNDEFINED.captures(line) {
            let place = place(&groups[1], &groups[2], Some(&groups[3]));
            self.begin(classes::undefined(&groups[4]), groups[4].to_owned(), place);
        } else if let Some(groups) = ASSERTION.captures(line) {
            let place = place(&groups[1], &groups[2], None);
            self.begin(classes::assertion(), format!("{}: {}", &groups[3], &groups[4]), place);
        } else if let Some(groups) = WRITTEN.captures(line) {
            if let Some(crash) = &mut self.open {
                crash.input = Some(groups[1].trim().to_owned());
            }
            self.close();
        } else if let Some(crash) = &mut self.open {
            crash.detail(line);
        }
    }

    /// A signal after a panic is the same crash: the report adds the stack.
    fn begin_unless_explained(&mut self, class: Class, vague: bool, message: String) {
        match &self.open {
            Some(open) if vague && open.input.is_none() && open.frames.iter().all(Frame::is_python) => {}
            _ => self.begin(class, message, RawPlace::default()),
        }
    }

    fn begin(&mut self, class: Class, message: String, place: RawPlace) {
        self.close();
        self.open = Some(Crash {
            class: Some(class),
            message,
            place,
            ..Crash::default()
        });
    }

    fn close(&mut self) {
        let Some(crash) = self.open.take() else { return };
        let Some((finding, class)) = crash.finding() else {
            return;
        };
        let Parsed { findings, rules, .. } = &mut self.parsed;
        let same = |other: &&mut RawFinding| other.rule == finding.rule && other.identity == finding.identity;
        if let Some(known) = findings.iter_mut().find(same) {
            known.inputs.extend(finding.inputs);
        } else if findings.len() < MAX_CRASHES {
            if !rules.iter().any(|rule| rule.id == class.id) {
                rules.push(class.rule());
            }
            findings.push(finding);
        }
    }

    fn finish(mut self) -> Parsed {
        self.close();
        self.parsed
    }
}

impl Crash {
    /// A line within a report.
    fn detail(&mut self, line: &str) {
        if let Some(groups) = ACCESS.captures(line).or_else(|| SIGNAL_ACCESS.captures(line)) {
            let write = &groups[1] == "WRITE";
            self.class = self.class.take().map(|class| class.accessing(write));
        } else if line.contains("Hint: address points to the zero page") {
            self.class = self.class.take().map(Class::near_null);
        } else if let Some(groups) = PYTHON_FRAME.captures(line) {
            self.frames.truncate(MAX_FRAMES - 1);
            // Python tells the innermost call last.
            self.frames.insert(
                0,
                Frame {
                    function: groups[3].to_owned(),
                    place: place(&groups[1], &groups[2], None),
                },
            );
        } else if let Some(groups) = FRAME.captures(line) {
            if !self.stack_ended && self.frames.len() < MAX_FRAMES && !self.frames.iter().any(Frame::is_python) {
                self.frames.push(Frame::new(&groups[1]));
            }
        } else if line.trim().is_empty() && !self.frames.is_empty() {
            self.stack_ended = true;
        }
    }

    fn finding(self) -> Option<(RawFinding, Class)> {
        let class = self.class?;
        let own: Vec<&Frame> = self.frames.iter().filter(|frame| !frame.is_machinery()).collect();
        let depth = own
            .iter()
            .position(|frame| frame.is_bottom())
            .map_or(own.len(), |at| at + 1);
        let mut stack = vec![class.id.clone()];
        stack.extend(own[..depth].iter().take(TOP).map(|frame| frame.function.clone()));
        if stack.len() == 1 {
            // Nothing is known but where it was, or what it said.
            stack.push(
                self.place
                    .path
                    .clone()
                    .unwrap_or_else(|| without_numbers(&self.message)),
            );
        }
        let function = own.first().map(|frame| format!(" in `{}`", frame.function));
        let finding = RawFinding {
            rule: Some(class.id.clone()),
            message: format!("{}{}", self.message, function.unwrap_or_default()),
            place: self.place,
            stack: own.iter().map(|frame| frame.place.clone()).collect(),
            identity: Some(code_anchor(&stack.join("\n"))),
            inputs: self.input.into_iter().collect(),
            ..RawFinding::default()
        };
        Some((finding, class))
    }
}

impl Frame {
    /// `name file:line:column`, or `name (binary+offset)`.
    fn new(text: &str) -> Self {
        if let Some(groups) = FRAME_BINARY.captures(text) {
            let name = groups[1].trim();
            let unnamed = groups[2].rsplit('/').next().unwrap_or_default();
            return Self {
                function: bare(if name.is_empty() { unnamed } else { name }),
                place: RawPlace::default(),
            };
        }
        match FRAME_PLACE.captures(text) {
            Some(groups) => Self {
                function: bare(&groups[1]),
                place: place(&groups[2], &groups[3], groups.get(4).map(|c| c.as_str())),
            },
            None => Self {
                function: bare(text),
                place: RawPlace::default(),
            },
        }
    }

    fn is_machinery(&self) -> bool {
        let intercepted = || {
            let name = self.function.split([' ', '(']).next().unwrap_or_default();
            self.place.path.is_none() && INTERCEPTED.contains(&name)
        };
        MACHINERY.iter().any(|name| self.function.starts_with(name)) || intercepted()
    }

    fn is_bottom(&self) -> bool {
        BOTTOM.iter().any(|name| self.function.starts_with(name))
    }

    fn is_python(&self) -> bool {
        self.place.path.as_deref().is_some_and(|path| path.ends_with(".py"))
    }
}

/// The name of a function as every build has it.
fn bare(function: &str) -> String {
    RUST_HASH.replace(function.trim(), "").into_owned()
}

fn without_numbers(message: &str) -> String {
    message.chars().filter(|c| !c.is_ascii_digit()).collect()
}

fn place(path: &str, line: &str, column: Option<&str>) -> RawPlace {
    RawPlace {
        path: Some(path.to_owned()),
        line: line.parse().ok(),
        column: column.and_then(|column| column.parse().ok()),
        ..RawPlace::default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OVERFLOW: &str = "\
INFO: Seed: 1
#2\tINITED cov: 3 ft: 3 corp: 1/1b exec/s: 0 rss: 30Mb
=================================================================
==17==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x602000000018 at pc 0x1 bp 0x2 sp 0x3
WRITE of size 4 at 0x602000000018 thread T0
    #0 0x55 in __asan_memcpy (/w/out/harness+0xd1a) (BuildId: 12)
    #1 0x56 in parse_name /w/src/parse.c:12:9
    #2 0x57 in LLVMFuzzerTestOneInput /w/fuzz.c:5:3
    #3 0x58 in fuzzer::Fuzzer::ExecuteCallback(unsigned char const*, unsigned long) (/w/out/harness+0x1)

0x602000000018 is located 0 bytes to the right of 8-byte region
allocated by thread T0 here:
    #0 0x59 in malloc (/w/out/harness+0x2)
    #1 0x60 in other /w/src/parse.c:3:9

SUMMARY: AddressSanitizer: heap-buffer-overflow /w/src/parse.c:12:9 in parse_name
artifact_prefix='./'; Test unit written to ./crash-abc
";

    fn ids(parsed: &Parsed) -> Vec<&str> {
        parsed
            .findings
            .iter()
            .filter_map(|finding| finding.rule.as_deref())
            .collect()
    }

    #[test]
    fn a_sanitizers_report_is_a_finding_with_class_stack_and_input() {
        let parsed = parse(OVERFLOW.as_bytes());
        let [finding] = parsed.findings.as_slice() else {
            panic!("{:?}", parsed.findings)
        };
        assert_eq!(finding.rule.as_deref(), Some("heap-buffer-overflow-write"));
        assert_eq!(parsed.rules[0].cwe, [122, 787]);
        assert_eq!(finding.inputs, ["./crash-abc"]);
        let own = &finding.stack[0];
        assert_eq!(
            (own.path.as_deref(), own.line, own.column),
            (Some("/w/src/parse.c"), Some(12), Some(9))
        );
        assert!(finding.message.ends_with("in `parse_name`"), "{}", finding.message);
    }

    #[test]
    fn the_same_stack_twice_is_one_crash_and_another_function_is_another() {
        let again = OVERFLOW.replace("crash-abc", "crash-def").replace(":12:9", ":14:9");
        let other = OVERFLOW.replace("parse_name", "parse_age");
        let parsed = parse([OVERFLOW, &again, &other].concat().as_bytes());
        assert_eq!(parsed.findings.len(), 2);
        assert_eq!(parsed.findings[0].inputs, ["./crash-abc", "./crash-def"]);
    }

    #[test]
    fn a_panic_and_the_signal_that_follows_are_one_crash() {
        let log = "\
thread '<unnamed>' (31) panicked at src/lib.rs:9:5:
index out of bounds: the len is 3 but the index is 7
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
==31== ERROR: libFuzzer: deadly signal
    #0 0x1 in __sanitizer_print_stack_trace (/t/parse+0x1)
    #1 0x2 in core::panicking::panic_bounds_check::h0123456789abcdef /rustc/x/library/core/src/panicking.rs:1:2
    #2 0x3 in target::field::h0123456789abcdef /w/src/lib.rs:9:5
NOTE: libFuzzer has rudimentary signal handlers.
artifact_prefix='/o/'; Test unit written to /o/crash-1
";
        let parsed = parse(log.as_bytes());
        assert_eq!(ids(&parsed), ["panic-out-of-bounds"]);
        let finding = &parsed.findings[0];
        assert_eq!(finding.place.path.as_deref(), Some("src/lib.rs"));
        assert!(finding.message.ends_with("in `target::field`"), "{}", finding.message);
        let rebuilt = parse(log.replace("h0123456789abcdef", "hfedcba9876543210").as_bytes());
        assert_eq!(
            rebuilt.findings[0].identity, finding.identity,
            "the compiler's hashes do not count"
        );
    }

    #[test]
    fn an_exception_of_python_is_found_where_it_was_raised() {
        let log = r#"
 === Uncaught Python exception: ===
ValueError: bad length
Traceback (most recent call last):
  File "/w/fuzz.py", line 12, in TestOneInput
    decode(data)
  File "/w/codec.py", line 4, in decode
    raise ValueError("bad length")

==9== ERROR: libFuzzer: fuzz target exited
    #0 0x1 in __sanitizer_print_stack_trace (/x.so+0x1)
artifact_prefix='./'; Test unit written to ./crash-9
"#;
        let parsed = parse(log.as_bytes());
        assert_eq!(ids(&parsed), ["uncaught-exception"]);
        let finding = &parsed.findings[0];
        assert_eq!(
            (finding.stack[0].path.as_deref(), finding.stack[0].line),
            (Some("/w/codec.py"), Some(4))
        );
        assert_eq!(finding.inputs, ["./crash-9"]);
    }

    #[test]
    fn undefined_behaviour_null_and_assertions_have_classes_of_their_own() {
        let parsed = parse(b"src/a.c:3:7: runtime error: signed integer overflow: 1 + 2 cannot be represented\n");
        assert_eq!(ids(&parsed), ["signed-integer-overflow"]);
        let parsed =
            parse(b"h: a.c:7: int f(void): Assertion `x > 0' failed.\n==1== ERROR: libFuzzer: deadly signal\n");
        assert_eq!(ids(&parsed), ["assertion-failed"]);
        let parsed = parse(
            b"==1==ERROR: AddressSanitizer: SEGV on unknown address 0x000000000000 (pc 0x1)\n==1==The signal is caused by a READ memory access.\n==1==Hint: address points to the zero page.\n    #0 0x1 in f /w/a.c:1:2\n",
        );
        assert_eq!(ids(&parsed), ["null-dereference"]);
    }

    #[test]
    fn a_log_without_a_crash_has_none() {
        let log = b"#65536\tpulse  cov: 3 ft: 4 corp: 2/2b exec/s: 32768 rss: 30Mb\nDone 70000 runs in 2 second(s)\n";
        assert!(parse(log).findings.is_empty());
    }

    proptest! {
        #[test]
        fn no_log_makes_it_panic(text in "(?s).{0,400}", cut in 0usize..1500) {
            let log = format!("{}{text}{OVERFLOW}", OVERFLOW.get(..cut).unwrap_or_default());
            prop_assert!(!parse(log.as_bytes()).findings.is_empty());
        }
    }
}
