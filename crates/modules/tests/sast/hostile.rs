//! Whatever bytes a file holds: no panic, no overflow, an answer in bounded time.

use proptest::prelude::*;
use serde_json::Value;

use crate::support::{places, scan_files};

const EXTENSIONS: &[&str] = &[
    "py", "js", "ts", "tsx", "java", "go", "php", "rb", "rs", "c", "h", "cpp",
];

/// Pieces of code of all languages: random text rarely gets past the prefilter.
const PIECES: &[&str] = &[
    "eval(",
    "exec(x)",
    "cursor.execute(",
    "f'{a}",
    "`${b}`",
    "\"",
    "'",
    "'''",
    "request.args",
    "req.query",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "<?php ",
    "?>",
    "<?= ",
    "$_GET['a']",
    "system(",
    "#{params[:a]}",
    "params",
    "format!(\"{x}\")",
    "fn f(x: &str) {",
    "def f(x):\n  ",
    "function f(x) {",
    "x = ",
    "x += ",
    " + ",
    " . ",
    "\n",
    ";",
    "// helve:ignore",
    "# nosec",
    "é",
    "🦀",
    "\u{feff}",
    "SELECT ",
    "sprintf(b, \"%s\", a)",
    "strcpy(a, b);",
    "pickle.loads(x)",
    "<<~SQL\n",
    "template<class T> ",
    "class A {",
    "=> ",
    "import ",
    "a.b.c",
    "a[b]",
    "? 1 : ",
    "/*",
    "*/",
    "\\",
    "%",
    "\r\n",
];

fn scan_everywhere(content: &[u8]) {
    let names: Vec<String> = EXTENSIONS.iter().map(|extension| format!("a.{extension}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), content)).collect();
    let output = scan_files(&files, &Value::Null);
    for finding in &output.report.findings {
        let region = finding.location.region.expect("a region");
        assert!(region.start_line >= 1 && region.start_column >= 1 && region.end_line >= region.start_line);
        assert!(
            finding
                .location
                .snippet
                .as_ref()
                .is_some_and(|snippet| snippet.chars().count() <= 300)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_scanned_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        scan_everywhere(&bytes);
    }

    #[test]
    fn any_heap_of_code_is_scanned_without_panic(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..80)) {
        scan_everywhere(pieces.concat().as_bytes());
    }
}

#[test]
fn nesting_of_a_hundred_thousand_levels_is_refused_with_a_note() {
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("eval(", ")"),
        ("{", "}"),
        ("!", ""),
        ("f(x)(", ")"),
    ] {
        let deep = format!("eval(x);\nx = {}1{}\n", open.repeat(100_000), close.repeat(100_000));
        let names: Vec<String> = EXTENSIONS.iter().map(|extension| format!("a.{extension}")).collect();
        let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), deep.as_bytes())).collect();
        // Long lines would be taken for minified code: break them.
        let broken = deep.replace(open, &format!("{open}\n"));
        let mut files = files;
        files.iter_mut().for_each(|file| file.1 = broken.as_bytes());
        let output = scan_files(&files, &Value::Null);
        assert!(!output.report.notifications.is_empty(), "{open}");
    }
}

#[test]
fn a_long_chain_of_assignments_and_a_cycle_come_to_an_end() {
    let mut code = String::from("def f(cursor, x0):\n");
    for i in 0..3_000 {
        code += &format!("    x{} = x{} + x{}\n", i + 1, i, i);
    }
    code += "    a = b\n    b = a\n    a = a + b\n    cursor.execute(x3000 + a)\n";
    let output = scan_files(&[("a.py", code.as_bytes())], &Value::Null);
    assert!(
        output.report.notifications.is_empty() && places(&output).len() <= 1,
        "{:?}",
        places(&output)
    );
}

#[test]
fn thousands_of_findings_in_one_file_are_capped_with_a_note() {
    let code = "def f(x):\n".to_owned() + &"    eval(x)\n".repeat(5_000);
    let output = scan_files(&[("a.py", code.as_bytes())], &Value::Null);
    assert_eq!(output.report.findings.len(), 100);
    assert!(
        output.report.notifications[0].message.contains("first 100"),
        "{:?}",
        output.report.notifications
    );
}

#[test]
fn latin1_and_windows_line_ends_keep_exact_columns() {
    let output = scan_files(
        &[("a.py", b"n = 'Zo\xeb'; eval(n + x)\r\ny = 'Zo\xeb'; eval(y + x)\r\n")],
        &Value::Null,
    );
    let region = output.report.findings[1].location.region.unwrap();
    assert_eq!((region.start_line, region.start_column, region.end_column), (2, 12, 23));
}
