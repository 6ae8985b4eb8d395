//! String literals that are put together: `"a" + "b"`, `'a' 'b'`, `"a" .. "b"`, `['a', 'b'].join('')`, `['p', 'a', 's']`.

use std::ops::Range;

use memchr::memchr3;

use super::decode::{finish, with_context};
use super::values::literal_end;
use super::view::{Step, View};

/// Fewer single characters than this hide nothing.
const FEWEST_CHARACTERS: usize = 8;
/// Shortest joined text worth a look.
const SHORTEST: usize = 6;
/// White space between two pieces.
const GAP: usize = 200;
/// Pieces of one text.
const MOST_PIECES: usize = 4096;
/// Methods that put their argument behind what is there.
const APPENDING: &[&[u8]] = &[
    b"append",
    b"concat",
    b"push_str",
    b"write",
    b"add",
    b"push",
    b"put",
    b"write_str",
];

/// Calls that join a list.
const JOINING: &[&[u8]] = &[b"join", b"implode", b"concat", b"paste0"];

/// How two literals are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joiner {
    Operator,
    Adjacent,
    Comma,
    Call,
}

/// Shows every text that is joined from literals.
pub(crate) fn joined(view: &View<'_>, emit: &mut dyn FnMut(View<'static>)) {
    let text: &[u8] = &view.text;
    let mut pieces: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while let Some(offset) = memchr3(b'"', b'\'', b'`', &text[at..]) {
        let quote = at + offset;
        at = quote + 1;
        let Some(first) = literal(text, quote) else { continue };
        at = first.end + 1;
        let Some((joiner, next)) = next_piece(text, at) else {
            continue;
        };
        pieces.clear();
        at = next.end + 1;
        pieces.extend([first, next]);
        while pieces.len() < MOST_PIECES
            && let Some((_, next)) = next_piece(text, at).filter(|(other, _)| *other == joiner)
        {
            at = next.end + 1;
            pieces.push(next);
        }
        if let Some(step) = worth_joining(text, &pieces, joiner) {
            emit(join(view, &pieces, step));
        }
    }
}

/// The inside of the literal that opens at `quote`.
fn literal(text: &[u8], quote: usize) -> Option<Range<usize>> {
    let mark = text[quote];
    // An apostrophe in a word, unless the word is a prefix as in b'...'.
    if mark == b'\'' && quote > 0 && text[quote - 1].is_ascii_alphanumeric() {
        let prefix_only = quote < 2 || !text[quote - 2].is_ascii_alphanumeric();
        if !prefix_only || !b"bBrRuUfFL".contains(&text[quote - 1]) {
            return None;
        }
    }
    let triple = text[quote..].starts_with(&[mark; 3]);
    if triple {
        return None;
    }
    literal_end(text, quote + 1, mark, false, false).map(|end| quote + 1..end)
}

fn skip_white(text: &[u8], mut at: usize) -> usize {
    let limit = text.len().min(at + GAP);
    while at < limit && (text[at].is_ascii_whitespace() || text[at] == b'\\') {
        at += 1;
    }
    at
}

/// The literal that is joined to the one that closed before `at`.
fn next_piece(text: &[u8], at: usize) -> Option<(Joiner, Range<usize>)> {
    let mut next = skip_white(text, at);
    let joiner = match *text.get(next)? {
        b'"' | b'\'' | b'`' => Joiner::Adjacent,
        b',' => {
            next += 1;
            Joiner::Comma
        }
        b'+' | b'.' | b'&' | b'~' | b'|' | b'<' => {
            let operator = text[next..]
                .iter()
                .take(3)
                .take_while(|b| b"+.&~|<>".contains(b))
                .count();
            next += operator;
            Joiner::Operator
        }
        b')' => {
            next = appending_call(text, next + 1)?;
            Joiner::Call
        }
        _ => return None,
    };
    next = skip_white(text, next);
    while text.get(next).is_some_and(|b| b"bBrRuUfFL@".contains(b))
        && text.get(next + 1).is_some_and(|b| b"\"'".contains(b))
    {
        next += 1;
    }
    let quote = *text.get(next)?;
    matches!(quote, b'"' | b'\'' | b'`')
        .then(|| literal(text, next))
        .flatten()
        .map(|piece| (joiner, piece))
}

/// `.append(`: returns the place behind the parenthesis.
fn appending_call(text: &[u8], at: usize) -> Option<usize> {
    let dot = skip_white(text, at);
    if text.get(dot) != Some(&b'.') {
        return None;
    }
    let start = skip_white(text, dot + 1);
    let length = text[start..]
        .iter()
        .take(12)
        .position(|b| !b.is_ascii_alphabetic() && *b != b'_')?;
    let method = text[start..start + length].to_ascii_lowercase();
    let open = start + length;
    (APPENDING.contains(&method.as_slice()) && text[open] == b'(').then_some(open + 1)
}

fn worth_joining(text: &[u8], pieces: &[Range<usize>], joiner: Joiner) -> Option<Step> {
    let length: usize = pieces.iter().map(Range::len).sum();
    if joiner != Joiner::Comma {
        return (length >= SHORTEST).then_some(Step::Joined);
    }
    if pieces.len() >= FEWEST_CHARACTERS && pieces.iter().all(|piece| piece.len() <= 2) {
        return Some(Step::Characters);
    }
    let (first, last) = (pieces.first()?, pieces.last()?);
    let close = skip_white(text, last.end + 1);
    // Nearly all lists are no arguments of a join: see that before looking for its name.
    if length < SHORTEST || !matches!(text.get(close), Some(b']' | b')' | b'}')) {
        return None;
    }
    let before = &text[first.start.saturating_sub(48)..first.start];
    let after = &text[close..text.len().min(close + 24)];
    let joined = JOINING
        .iter()
        .any(|word| has_word(before, word) || has_word(after, word));
    joined.then_some(Step::Joined)
}

fn has_word(text: &[u8], word: &[u8]) -> bool {
    let first = word[0] | 0x20;
    text.windows(word.len())
        .any(|window| window[0] | 0x20 == first && window.eq_ignore_ascii_case(word))
}

fn join(view: &View<'_>, pieces: &[Range<usize>], step: Step) -> View<'static> {
    let first = pieces.first().map_or(0, |piece| piece.start);
    let last = pieces.last().map_or(0, |piece| piece.end);
    let mut builder = with_context(view, first);
    builder.begin_fresh();
    pieces.iter().for_each(|piece| builder.copy(piece.clone()));
    builder.end_fresh();
    // The opening quote came with the context; the closing one may be of another kind.
    builder.push(view.text[first - 1], &(last..last + 1));
    let fresh = finish(builder, &view.text, last + 1, step);
    trim_fresh(fresh, pieces)
}

/// The closing quote and what follows is context.
fn trim_fresh(mut view: View<'static>, pieces: &[Range<usize>]) -> View<'static> {
    let length: usize = pieces.iter().map(Range::len).sum();
    view.fresh.end = view.fresh.start + length;
    view
}
