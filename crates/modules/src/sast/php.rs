//! PHP inside HTML: the grammar wants pure PHP, so everything else becomes blanks of the same size.
//!
//! Every byte keeps its offset and every line its number. `?> ... <?=` becomes `; ... echo`, which is what it means.

/// What the scanner stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Html,
    Code,
    /// A string, up to this quote.
    Quoted(u8),
    LineComment,
    BlockComment,
}

/// Blanks out what is not PHP.
pub(super) fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let (mut state, mut at) = (State::Html, 0);
    // Where the current HTML stretch began: the place for a statement's end and an `echo`.
    let mut html = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        if state == State::Html {
            let Some((length, echoes)) = opening_tag(rest) else {
                out.push(blank(bytes[at]));
                at += 1;
                continue;
            };
            out.extend(std::iter::repeat_n(b' ', length));
            at += length;
            if echoes {
                write_echo(&mut out, html);
            }
            state = State::Code;
            continue;
        }
        let length = step(rest, &mut state);
        if state == State::Html {
            html = out.len();
            out.extend_from_slice(b"; ");
        } else {
            out.extend_from_slice(&rest[..length]);
        }
        at += length;
    }
    // Only whole bytes of ASCII were written over, and non-ASCII bytes outside of code were blanked one by one.
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

/// Blanks keep line ends.
fn blank(byte: u8) -> u8 {
    if matches!(byte, b'\n' | b'\r') { byte } else { b' ' }
}

/// Length of an opening tag, and whether it is `<?=`.
fn opening_tag(rest: &[u8]) -> Option<(usize, bool)> {
    if rest.starts_with(b"<?=") {
        return Some((3, true));
    }
    if rest.len() >= 5 && rest[..5].eq_ignore_ascii_case(b"<?php") {
        return Some((5, false));
    }
    let short = rest.starts_with(b"<?") && rest.get(2).is_none_or(u8::is_ascii_whitespace);
    short.then_some((2, false))
}

/// Puts `echo` into the blanks before a `<?=`, as late as a line has room for it.
fn write_echo(out: &mut [u8], html: usize) {
    let floor = if out.get(html) == Some(&b';') { html + 1 } else { html };
    let room = (floor..(out.len() + 1).saturating_sub(4))
        .rev()
        .find(|at| out[*at..at + 4] == *b"    ");
    if let Some(at) = room {
        out[at..at + 4].copy_from_slice(b"echo");
    }
}

/// Moves over one piece of PHP code and says how long it is.
fn step(rest: &[u8], state: &mut State) -> usize {
    match *state {
        State::Quoted(quote) => match rest[0] {
            b'\\' => rest.len().min(2),
            byte => {
                if byte == quote {
                    *state = State::Code;
                }
                1
            }
        },
        State::BlockComment => {
            if rest.starts_with(b"*/") {
                *state = State::Code;
                return 2;
            }
            1
        }
        State::LineComment | State::Code if rest.starts_with(b"?>") => {
            *state = State::Html;
            2
        }
        State::LineComment => {
            if rest[0] == b'\n' {
                *state = State::Code;
            }
            1
        }
        _ => {
            *state = match rest {
                [b'/', b'/', ..] => State::LineComment,
                [b'#', next, ..] if *next != b'[' => State::LineComment,
                [b'/', b'*', ..] => State::BlockComment,
                [quote @ (b'\'' | b'"' | b'`'), ..] => State::Quoted(*quote),
                _ => State::Code,
            };
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_becomes_blanks_and_every_offset_stays() {
        let text = "<p>é</p>\n<?php $a = '?>'; // c ?>\n<b><?= $a ?></b>\n";
        let masked = mask(text);
        assert_eq!(masked.len(), text.len());
        assert_eq!(masked.matches('\n').count(), text.matches('\n').count());
        assert_eq!(masked.find("$a = '?>'"), text.find("$a = '?>'"));
        assert!(masked.contains("echo $a ;"), "{masked}");
    }

    #[test]
    fn an_xml_declaration_is_not_php() {
        assert_eq!(mask("<?xml version='1.0'?>").trim(), "");
    }
}
