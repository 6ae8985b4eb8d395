//! Decoding passes: each finds text that is written in disguise and shows it as a view. Cheap tests come first, since
//! nearly every candidate is none.

use std::ops::Range;

use memchr::memchr2;

use super::prefilter::Hit;
use super::text::{line_end, line_start};
use super::view::{Builder, Step, View};

/// Shortest run of base64 or hexadecimal digits that is looked at.
const SHORTEST_RUN: usize = 16;
/// Shortest run of hexadecimal digits that is looked at.
const SHORTEST_HEX: usize = 24;
/// Longest run that is decoded; longer ones are images and archives.
const LONGEST_RUN: usize = 256 << 10;
/// How much of the text before a disguise is kept, so that the name it is assigned to is seen.
const CONTEXT_BEFORE: usize = 200;
/// How much of the text behind a disguise is kept.
const CONTEXT_AFTER: usize = 32;
/// Fewer escapes than this hide nothing.
const FEWEST_ESCAPES: usize = 3;
/// How far a disguised word is widened on either side.
const WORD_SPAN: usize = 400;

/// Runs all passes that need no keyword.
pub(crate) fn views<'t>(view: &View<'t>, emit: &mut dyn FnMut(View<'static>)) {
    encoded_runs(view, emit);
    escapes(view, emit);
    super::literals::joined(view, emit);
    super::numbers::lists(view, emit);
}

/// Rot13 of one byte.
pub(crate) fn rot13(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => (byte - b'a' + 13) % 26 + b'a',
        b'A'..=b'Z' => (byte - b'A' + 13) % 26 + b'A',
        _ => byte,
    }
}

/// Starts a view with the text before `at`: the rest of its line, or of the line above if that is blank.
pub(crate) fn with_context<'p, 't>(view: &'p View<'t>, at: usize) -> Builder<'p, 't> {
    let text = &view.text;
    let floor = at.saturating_sub(CONTEXT_BEFORE);
    let mut start = line_start(text, at).max(floor);
    for _ in 0..2 {
        if start > floor
            && text[start..at]
                .iter()
                .all(|b| b.is_ascii_whitespace() || b"([{\"'".contains(b))
        {
            start = line_start(text, start - 1).max(floor);
        }
    }
    let mut builder = Builder::new(view);
    builder.copy(start..at);
    builder
}

/// Ends a view with the text behind `at`.
pub(crate) fn finish(mut builder: Builder<'_, '_>, text: &[u8], at: usize, step: Step) -> View<'static> {
    builder.end_fresh();
    builder.copy(at..line_end(text, at).clamp(at, at + CONTEXT_AFTER));
    builder.finish(step)
}

/// Calls `visit` for each run of at least `least` bytes of a class. Looks at every `least`-th byte only until it
/// meets one of the class.
pub(crate) fn runs(text: &[u8], class: &[bool; 256], least: usize, mut visit: impl FnMut(Range<usize>)) {
    let mut done = 0;
    let mut at = least - 1;
    while at < text.len() {
        if !class[text[at] as usize] {
            at += least;
            continue;
        }
        let mut start = at;
        while start > done && class[text[start - 1] as usize] {
            start -= 1;
        }
        let mut end = at + 1;
        while end < text.len() && class[text[end] as usize] {
            end += 1;
        }
        if end - start >= least {
            visit(start..end);
        }
        done = end;
        at = end + least;
    }
}

const fn class(of: &[u8], alphanumeric: bool) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = alphanumeric && (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < of.len() {
        table[of[at] as usize] = true;
        at += 1;
    }
    table
}

static RUN: [bool; 256] = class(b"+/-_", true);

fn encoded_runs<'t>(view: &View<'t>, emit: &mut dyn FnMut(View<'static>)) {
    let text: &[u8] = &view.text;
    runs(text, &RUN, SHORTEST_RUN, |run| {
        if run.len() > LONGEST_RUN {
            return;
        }
        if let Some(digits) = hex_part(text, &run) {
            emit(hex_view(view, digits));
        } else if starts_readable(&text[run.clone()])
            && let Some(child) = base64_view(view, run)
        {
            emit(child);
        }
    });
}

/// The hexadecimal digits of a run, if they spell readable text.
fn hex_part(text: &[u8], run: &Range<usize>) -> Option<Range<usize>> {
    let skip = if text[run.clone()].starts_with(b"0x") { 2 } else { 0 };
    let digits = run.start + skip..run.end;
    let bytes = &text[digits.clone()];
    let readable = |pair: &[u8]| hex_pair(pair).is_some_and(is_readable);
    (bytes.len() >= SHORTEST_HEX && bytes.len().is_multiple_of(2) && bytes.chunks_exact(2).all(readable))
        .then_some(digits)
}

fn hex_view(view: &View<'_>, digits: Range<usize>) -> View<'static> {
    let mut builder = with_context(view, digits.start);
    builder.begin_fresh();
    for at in digits.clone().step_by(2) {
        builder.push(hex_pair(&view.text[at..at + 2]).unwrap_or(b'?'), &(at..at + 2));
    }
    finish(builder, &view.text, digits.end, Step::Hex)
}

pub(crate) fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

fn hex_pair(pair: &[u8]) -> Option<u8> {
    Some(hex_digit(*pair.first()?)? << 4 | hex_digit(*pair.get(1)?)?)
}

fn is_readable(byte: u8) -> bool {
    byte.is_ascii_graphic() || matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

fn sextet(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    }))
}

/// The bytes of up to four base64 digits: how many and which.
fn quantum(digits: &[u8]) -> Option<(usize, [u8; 3])> {
    let mut bits = 0;
    for at in 0..4 {
        bits = bits << 6 | digits.get(at).map_or(Some(0), |&digit| sextet(digit))?;
    }
    let [_, a, b, c] = bits.to_be_bytes();
    Some((digits.len().saturating_sub(1).min(3), [a, b, c]))
}

/// Whether the first twelve digits decode to readable bytes, or to UTF-16 of such: true for one in 10,000 other runs.
fn starts_readable(run: &[u8]) -> bool {
    run.chunks(4).take(3).all(|digits| {
        quantum(digits).is_some_and(|(count, bytes)| bytes[..count].iter().all(|&byte| is_readable(byte) || byte == 0))
    })
}

fn base64_view(view: &View<'_>, run: Range<usize>) -> Option<View<'static>> {
    let text: &[u8] = &view.text;
    let mut builder = with_context(view, run.start);
    builder.begin_fresh();
    let mut at = run.start;
    while at < run.end {
        let end = run.end.min(at + 4);
        let (count, bytes) = quantum(&text[at..end])?;
        for (index, &byte) in bytes[..count].iter().enumerate() {
            // UTF-16, as PowerShell encodes its commands, is read as if it were ASCII.
            if byte != 0 {
                builder.push(byte, &(at + index..at + index + 2));
            }
        }
        at = end;
    }
    let readable = std::str::from_utf8(builder.fresh_text())
        .is_ok_and(|text| text.len() > 7 && text.chars().all(|c| !c.is_control() || c.is_ascii_whitespace()));
    let padding = text[run.end..].iter().take(2).take_while(|&&byte| byte == b'=').count();
    readable.then(|| finish(builder, text, run.end + padding, Step::Base64))
}

/// Words with several `%41`, `\x41`, `\u0041` or `\101` in them.
fn escapes<'t>(view: &View<'t>, emit: &mut dyn FnMut(View<'static>)) {
    let text: &[u8] = &view.text;
    let mut at = 0;
    while let Some(offset) = text.get(at..).and_then(|rest| memchr2(b'%', b'\\', rest)) {
        let hit = at + offset;
        at = hit + 1;
        if escape(text, hit).is_none() {
            // Step over the escaped character: in `\\x41` it is the backslash that is escaped.
            at += usize::from(text[hit] == b'\\');
            continue;
        }
        let word = word_around(text, hit, |byte| {
            byte.is_ascii_whitespace() || b"\"'`<>".contains(&byte)
        });
        at = word.end.max(at);
        if let Some(child) = escapes_view(view, word) {
            emit(child);
        }
    }
}

fn escapes_view(view: &View<'_>, word: Range<usize>) -> Option<View<'static>> {
    let text: &[u8] = &view.text;
    let mut builder = with_context(view, word.start);
    builder.begin_fresh();
    let mut count = 0;
    let mut at = word.start;
    while at < word.end {
        let (byte, length) = escape(text, at).map_or((text[at], 1), |found| {
            count += 1;
            found
        });
        let length = length.min(word.end - at);
        builder.push(byte, &(at..at + length));
        at += length;
    }
    (count >= FEWEST_ESCAPES).then(|| finish(builder, text, word.end, Step::Escapes))
}

/// The readable byte that an escape stands for, and the escape's length.
fn escape(text: &[u8], at: usize) -> Option<(u8, usize)> {
    let rest = &text[at..];
    let (byte, length) = match rest {
        [b'%', digits @ ..] => (hex_pair(digits)?, 3),
        [b'\\', b'x', digits @ ..] => (hex_pair(digits)?, 4),
        [b'\\', b'u', b'0', b'0', digits @ ..] => (hex_pair(digits)?, 6),
        [b'\\', a @ b'0'..=b'1', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
            ((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'), 4)
        }
        _ => return None,
    };
    is_readable(byte).then_some((byte, length))
}

/// The word around a disguised keyword, with the disguise undone.
pub(crate) fn undisguise(view: &View<'_>, hit: Hit, step: Step) -> View<'static> {
    let text: &[u8] = &view.text;
    let word = word_around(text, hit.start, |byte| {
        byte.is_ascii_whitespace() || b"\"'`".contains(&byte)
    });
    let mut builder = with_context(view, word.start);
    builder.begin_fresh();
    match step {
        Step::Reversed => word.clone().rev().for_each(|at| builder.push(text[at], &(at..at + 1))),
        _ => word.clone().for_each(|at| builder.push(rot13(text[at]), &(at..at + 1))),
    }
    finish(builder, text, word.end, step)
}

fn word_around(text: &[u8], at: usize, ends: impl Fn(u8) -> bool) -> Range<usize> {
    let floor = at.saturating_sub(WORD_SPAN);
    let ceiling = text.len().min(at + WORD_SPAN);
    let start = text[floor..at]
        .iter()
        .rposition(|&byte| ends(byte))
        .map_or(floor, |last| floor + last + 1);
    let end = text[at..ceiling]
        .iter()
        .position(|&byte| ends(byte))
        .map_or(ceiling, |first| at + first);
    start..end
}
