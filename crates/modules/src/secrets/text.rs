//! The text of one file and where its bytes are: UTF-16 decoding, binary detection, kinds of files, lines and columns.

use std::borrow::Cow;
use std::ops::Range;

use helve_findings::Region;
use memchr::{memchr, memchr_iter, memrchr};

/// A NUL byte this early means that the file is not text.
const BINARY_HEAD: usize = 8 << 10;

/// What a file's name says about how values are written in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A programming language: values are quoted.
    Code,
    /// One `name = value` per line: a value may be bare and runs to the end of its line.
    Lines,
    /// Markup, logs, notes, anything else: a bare value ends at white space or punctuation.
    Text,
}

/// Bytes as text: UTF-16 is converted; `None` if the file is binary.
pub(crate) fn decode(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    if let Some(text) = decode_utf16(bytes) {
        return Some(Cow::Owned(text.into_bytes()));
    }
    let head = &bytes[..bytes.len().min(BINARY_HEAD)];
    if memchr(0, head).is_some() {
        return None;
    }
    Some(Cow::Borrowed(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)))
}

fn decode_utf16(bytes: &[u8]) -> Option<String> {
    let (rest, unit): (_, fn([u8; 2]) -> u16) = match bytes {
        [0xff, 0xfe, rest @ ..] => (rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => (rest, u16::from_be_bytes),
        _ => return None,
    };
    let units = rest.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let text: String = char::decode_utf16(units)
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    // UTF-32 and plain binary data can begin with the same two bytes.
    (!text.contains('\0')).then_some(text)
}

/// Recognises the kind of a file by its name.
pub(crate) fn kind(path: &str) -> Kind {
    const CODE: &[&str] = &[
        "py", "pyi", "pyx", "js", "mjs", "cjs", "jsx", "ts", "mts", "cts", "tsx", "vue", "svelte", "java", "kt", "kts",
        "go", "rs", "rb", "php", "phtml", "cs", "fs", "vb", "c", "h", "cc", "cpp", "cxx", "hpp", "hh", "m", "mm",
        "swift", "scala", "sc", "groovy", "gradle", "dart", "lua", "pl", "pm", "ex", "exs", "erl", "hs", "ml", "clj",
        "cljs", "r", "jl", "zig", "nim", "v", "sol", "sql", "tf", "tfvars", "hcl", "nix", "ps1", "psm1", "ipynb", "el",
        "coffee", "cr", "d", "pas", "proto", "graphql", "css", "scss", "less", "json", "json5", "jsonc", "toml",
    ];
    const LINES: &[&str] = &[
        "env",
        "ini",
        "cfg",
        "conf",
        "config",
        "cnf",
        "properties",
        "prop",
        "yaml",
        "yml",
        "npmrc",
        "pypirc",
        "envrc",
        "tfbackend",
        "desktop",
        "service",
        "inf",
        "reg",
        "sh",
        "bash",
        "zsh",
        "fish",
        "ksh",
        "bat",
        "cmd",
        "dockerfile",
        "mk",
        "makefile",
    ];
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let extension = name.rsplit('.').next().unwrap_or_default();
    if name == "jenkinsfile" || CODE.contains(&extension) && name.contains('.') {
        return Kind::Code;
    }
    let lines = LINES.contains(&extension)
        || name.starts_with(".env")
        || name.starts_with("dockerfile")
        || name.starts_with('.') && name.ends_with("rc");
    if lines { Kind::Lines } else { Kind::Text }
}

/// Start of the line that holds `at`.
pub(crate) fn line_start(text: &[u8], at: usize) -> usize {
    memrchr(b'\n', &text[..at.min(text.len())]).map_or(0, |newline| newline + 1)
}

/// End of the line that holds `at`, before its line break.
pub(crate) fn line_end(text: &[u8], at: usize) -> usize {
    let at = at.min(text.len());
    let end = memchr(b'\n', &text[at..]).map_or(text.len(), |offset| at + offset);
    if end > at && text[end - 1] == b'\r' {
        end - 1
    } else {
        end
    }
}

/// Lines and columns of growing offsets, without an index of the whole file: findings are few.
pub(crate) struct Positions<'t> {
    text: &'t [u8],
    seen: usize,
    line: u32,
}

impl<'t> Positions<'t> {
    /// Begins at the first byte.
    pub(crate) fn new(text: &'t [u8]) -> Self {
        Self { text, seen: 0, line: 1 }
    }

    /// The region of a byte range; cheapest when ranges come in order.
    pub(crate) fn region(&mut self, range: &Range<usize>) -> Region {
        let (start_line, start_column) = self.position(range.start);
        let (end_line, end_column) = self.position(range.end.max(range.start));
        Region {
            start_line,
            start_column,
            end_line,
            end_column,
        }
    }

    fn position(&mut self, offset: usize) -> (u32, u32) {
        let offset = offset.min(self.text.len());
        if offset < self.seen {
            (self.seen, self.line) = (0, 1);
        }
        self.line += memchr_iter(b'\n', &self.text[self.seen..offset]).count() as u32;
        self.seen = offset;
        let start = line_start(self.text, offset);
        (self.line, code_points(&self.text[start..offset]) + 1)
    }
}

/// Code points, counting each stray byte of broken UTF-8 that begins no character as part of the one before.
fn code_points(bytes: &[u8]) -> u32 {
    bytes.iter().filter(|&&byte| byte & 0xc0 != 0x80).count() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_code_points_and_end_is_exclusive() {
        let text = "ä = 1\nπ日本 = \"x\"\n".as_bytes();
        let at = text.iter().position(|&b| b == b'x').unwrap();
        let region = Positions::new(text).region(&(at..at + 1));
        assert_eq!(
            region,
            Region {
                start_line: 2,
                start_column: 8,
                end_line: 2,
                end_column: 9
            }
        );
    }

    #[test]
    fn positions_may_also_go_backwards() {
        let mut positions = Positions::new(b"a\nb\nc\n");
        assert_eq!(positions.region(&(4..5)).start(), (3, 1));
        assert_eq!(positions.region(&(0..1)).start(), (1, 1));
    }

    #[test]
    fn utf16_with_a_mark_is_text_and_nul_bytes_are_not() {
        let utf16: Vec<u8> = [0xff, 0xfe]
            .into_iter()
            .chain("pässword".encode_utf16().flat_map(u16::to_le_bytes))
            .collect();
        assert_eq!(decode(&utf16).unwrap().as_ref(), "pässword".as_bytes());
        assert!(decode(b"ELF\0\0").is_none());
    }

    #[test]
    fn kinds_follow_the_name() {
        assert_eq!(kind("a/b.py"), Kind::Code);
        assert_eq!(kind("deploy/.env.production"), Kind::Lines);
        assert_eq!(kind("Dockerfile.dev"), Kind::Lines);
        assert_eq!(kind("notes/README.md"), Kind::Text);
        assert_eq!(kind("py"), Kind::Text);
    }
}
