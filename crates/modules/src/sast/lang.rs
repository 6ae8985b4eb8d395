//! Which language a file is written in, and how rules name languages.

use ast_grep_language::SupportLang;

/// The languages of the module, in the order in which rule tests and listings use them.
pub(super) const ALL: &[SupportLang] = &[
    SupportLang::Python,
    SupportLang::JavaScript,
    SupportLang::TypeScript,
    SupportLang::Tsx,
    SupportLang::Java,
    SupportLang::Go,
    SupportLang::Php,
    SupportLang::Ruby,
    SupportLang::Rust,
    SupportLang::C,
    SupportLang::Cpp,
];

/// The names that rules and configuration use, with the grammars each of them stands for in a rule.
///
/// A rule for `javascript` holds in TypeScript too, and one for `c` in C++: the APIs are the same.
const FAMILIES: &[(&str, &[SupportLang])] = &[
    ("python", &[SupportLang::Python]),
    (
        "javascript",
        &[SupportLang::JavaScript, SupportLang::TypeScript, SupportLang::Tsx],
    ),
    ("typescript", &[SupportLang::TypeScript, SupportLang::Tsx]),
    ("java", &[SupportLang::Java]),
    ("go", &[SupportLang::Go]),
    ("php", &[SupportLang::Php]),
    ("ruby", &[SupportLang::Ruby]),
    ("rust", &[SupportLang::Rust]),
    ("c", &[SupportLang::C, SupportLang::Cpp]),
    ("cpp", &[SupportLang::Cpp]),
];

/// The grammars that a language name in a rule stands for.
pub(super) fn family(name: &str) -> Option<&'static [SupportLang]> {
    FAMILIES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, langs)| *langs)
}

/// All language names, for error messages.
pub(super) fn family_names() -> String {
    FAMILIES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// The name under which configuration selects files of this grammar.
pub(super) fn name(lang: SupportLang) -> &'static str {
    match lang {
        SupportLang::Python => "python",
        SupportLang::JavaScript => "javascript",
        SupportLang::TypeScript | SupportLang::Tsx => "typescript",
        SupportLang::Java => "java",
        SupportLang::Go => "go",
        SupportLang::Php => "php",
        SupportLang::Ruby => "ruby",
        SupportLang::Rust => "rust",
        SupportLang::C => "c",
        _ => "cpp",
    }
}

/// Position of the grammar in [`ALL`].
pub(super) fn index(lang: SupportLang) -> usize {
    ALL.iter().position(|known| *known == lang).unwrap_or(0)
}

/// Guesses by file name alone; `None` leaves it to [`by_shebang`].
pub(super) fn by_name(path: &str) -> Option<SupportLang> {
    let file = path.rsplit('/').next().unwrap_or(path);
    match file {
        "Rakefile" | "Gemfile" | "Capfile" | "Guardfile" | "Vagrantfile" => return Some(SupportLang::Ruby),
        "SConstruct" | "SConscript" | "wscript" => return Some(SupportLang::Python),
        _ => {}
    }
    let (_, extension) = file.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "py" | "pyw" | "py3" => SupportLang::Python,
        "js" | "mjs" | "cjs" | "jsx" => SupportLang::JavaScript,
        "ts" | "mts" | "cts" => SupportLang::TypeScript,
        "tsx" => SupportLang::Tsx,
        "java" => SupportLang::Java,
        "go" => SupportLang::Go,
        "php" | "phtml" | "php3" | "php4" | "php5" | "php7" | "php8" | "inc" => SupportLang::Php,
        "rb" | "rake" | "gemspec" | "ru" | "rbw" => SupportLang::Ruby,
        "rs" => SupportLang::Rust,
        "c" | "h" => SupportLang::C,
        "cc" | "cpp" | "cxx" | "c++" | "hh" | "hpp" | "hxx" | "h++" | "ipp" | "tpp" | "ino" => SupportLang::Cpp,
        _ => return None,
    })
}

/// Whether a file without a telling name could still be a script: worth reading its first line.
pub(super) fn may_be_script(path: &str) -> bool {
    !path.rsplit('/').next().unwrap_or(path).contains('.')
}

/// The language that a `#!` line asks for.
pub(super) fn by_shebang(text: &str) -> Option<SupportLang> {
    let line = text.strip_prefix("#!")?.lines().next()?;
    let mut words = line
        .split_whitespace()
        .map(|word| word.rsplit('/').next().unwrap_or(word));
    let program = words.find(|word| *word != "env" && !word.starts_with('-'))?;
    let program = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    Some(match program {
        "python" | "pypy" => SupportLang::Python,
        "node" | "nodejs" | "bun" => SupportLang::JavaScript,
        "deno" | "ts-node" | "tsx" => SupportLang::TypeScript,
        "php" => SupportLang::Php,
        "ruby" => SupportLang::Ruby,
        _ => return None,
    })
}

/// What the content says about a guess made by name: C++ in a `.h`, `.inc` without PHP, and the like.
pub(super) fn refine(guess: SupportLang, path: &str, text: &str) -> Option<SupportLang> {
    if guess == SupportLang::Php && !text.contains("<?") {
        return None;
    }
    let header = guess == SupportLang::C && path.rsplit('.').next().is_some_and(|e| e.eq_ignore_ascii_case("h"));
    if header && text.lines().any(looks_like_cpp) {
        return Some(SupportLang::Cpp);
    }
    Some(guess)
}

fn looks_like_cpp(line: &str) -> bool {
    const STARTS: &[&str] = &[
        "namespace ",
        "class ",
        "template<",
        "template <",
        "using ",
        "public:",
        "private:",
    ];
    let line = line.trim_start();
    STARTS.iter().any(|start| line.starts_with(start)) || line.contains("std::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_cpp_only_when_it_says_so() {
        let c = "struct point { int x; };\n";
        let cpp = "#pragma once\nnamespace shop {\nclass Cart;\n}\n";
        assert_eq!(refine(SupportLang::C, "a/point.h", c), Some(SupportLang::C));
        assert_eq!(refine(SupportLang::C, "a/cart.h", cpp), Some(SupportLang::Cpp));
    }

    #[test]
    fn scripts_without_an_extension_are_known_by_their_first_line() {
        assert_eq!(
            by_shebang("#!/usr/bin/env python3\nprint(1)"),
            Some(SupportLang::Python)
        );
        assert_eq!(by_shebang("#!/usr/bin/env -S node\n"), Some(SupportLang::JavaScript));
        assert_eq!(by_shebang("#!/bin/sh\n"), None);
    }

    #[test]
    fn typescript_and_tsx_are_told_apart() {
        assert_eq!(by_name("web/App.tsx"), Some(SupportLang::Tsx));
        assert_eq!(by_name("web/server.ts"), Some(SupportLang::TypeScript));
        assert_eq!(by_name("notes.txt"), None);
    }
}
