//! Character codes that spell a text: `[112, 97, 115]`, `0x70, 0x61`, `chr(112) . chr(97)`.

use std::ops::Range;

use super::decode::{finish, hex_digit, runs, with_context};
use super::prefilter::Hit;
use super::view::{Step, View};

/// Shortest list in bytes of source.
const SHORTEST_LIST: usize = 24;
/// Fewer codes than this hide nothing.
const FEWEST: usize = 8;
/// Longer lists are tables.
const LONGEST: usize = 4096;

const fn list_class() -> [bool; 256] {
    let of = b"0123456789abcdefABCDEFxX, \t\r\n";
    let mut table = [false; 256];
    let mut at = 0;
    while at < of.len() {
        table[of[at] as usize] = true;
        at += 1;
    }
    table
}

static LIST: [bool; 256] = list_class();

/// Shows every list of character codes as the text it spells.
pub(crate) fn lists(view: &View<'_>, emit: &mut dyn FnMut(View<'static>)) {
    let text: &[u8] = &view.text;
    runs(text, &LIST, SHORTEST_LIST, |run| {
        if let Some(codes) = codes(text, run) {
            emit(spell(view, &codes));
        }
    });
}

/// Each code's place and value, if nearly all numbers of the list are codes of readable characters.
fn codes(text: &[u8], run: Range<usize>) -> Option<Vec<(Range<usize>, u8)>> {
    let mut found = Vec::new();
    let mut others = 0;
    let mut at = run.start;
    while at < run.end {
        if matches!(text[at], b',' | b' ' | b'\t' | b'\r' | b'\n') {
            at += 1;
            continue;
        }
        let length = text[at..run.end]
            .iter()
            .take_while(|b| b.is_ascii_alphanumeric())
            .count();
        match number(&text[at..at + length]) {
            Some(code) => found.push((at..at + length, code)),
            None => others += 1,
        }
        at += length;
        // A table of other numbers shows itself at once.
        if others > 4 && others * 4 > found.len() || found.len() > LONGEST {
            return None;
        }
    }
    (found.len() >= FEWEST && others * 8 <= found.len()).then_some(found)
}

/// A decimal or `0x` number that is the code of a readable character.
fn number(digits: &[u8]) -> Option<u8> {
    let value = match digits {
        [b'0', b'x' | b'X', a, b] => u32::from(hex_digit(*a)?) << 4 | u32::from(hex_digit(*b)?),
        [b'1'..=b'9', ..] if digits.len() <= 3 => digits.iter().try_fold(0, |value, &b| {
            b.is_ascii_digit().then(|| value * 10 + u32::from(b - b'0'))
        })?,
        _ => return None,
    };
    u8::try_from(value).ok().filter(|byte| (32..127).contains(byte))
}

fn spell(view: &View<'_>, codes: &[(Range<usize>, u8)]) -> View<'static> {
    let start = codes.first().map_or(0, |(place, _)| place.start);
    let end = codes.last().map_or(start, |(place, _)| place.end);
    let mut builder = with_context(view, start);
    builder.push(b'"', &(start..start + 1));
    builder.begin_fresh();
    codes.iter().for_each(|(place, code)| builder.push(*code, place));
    let length = codes.len();
    builder.push(b'"', &(end - 1..end));
    let mut spelled = finish(builder, &view.text, end, Step::Characters);
    spelled.fresh.end = spelled.fresh.start + length;
    spelled
}

/// Shows the text that `chr(112) . chr(97) ...` spells; returns where the calls end.
pub(crate) fn calls(view: &View<'_>, hit: Hit) -> Option<(View<'static>, usize)> {
    let text: &[u8] = &view.text;
    let call = &text[hit.start..hit.end];
    let mut codes = Vec::new();
    let mut at = hit.start;
    while codes.len() < LONGEST
        && let Some(rest) = text
            .get(at..)
            .filter(|rest| rest.len() > call.len() && rest[..call.len()].eq_ignore_ascii_case(call))
    {
        let length = rest[call.len()..].iter().take(6).position(|&b| b == b')')?;
        let digits = at + call.len()..at + call.len() + length;
        codes.push((at..digits.end + 1, number(text[digits.clone()].trim_ascii())?));
        at = digits.end + 1;
        at += text[at..]
            .iter()
            .take(64)
            .take_while(|b| b.is_ascii_whitespace() || b"+.&,|\\".contains(b))
            .count();
    }
    (codes.len() >= FEWEST).then(|| (spell(view, &codes), at))
}
