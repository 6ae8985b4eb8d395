//! Text that somebody else wrote: names, paths, code, messages.

use maud::{Markup, PreEscaped, Render, html};

/// Whether a character should not do its work on a page: it changes the direction of text, has no width, or
/// controls a terminal.
fn hidden(c: char) -> bool {
    matches!(c,
        '\u{00}'..='\u{08}' | '\u{0b}' | '\u{0c}' | '\u{0e}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}'
        | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Text for a template, with characters that would make it look like other text shown by their number.
pub(crate) struct Plain<'a>(pub(crate) &'a str);

impl Render for Plain<'_> {
    fn render_to(&self, out: &mut String) {
        let mut rest = self.0;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| hidden(*c)) {
            rest[..at].render_to(out);
            html! {
                span.hidden-char title="A character that cannot be seen" { (format!("U+{:04X}", u32::from(c))) }
            }
            .render_to(out);
            rest = &rest[at + c.len_utf8()..];
        }
        rest.render_to(out);
    }
}

/// A message of a rule or a tool: what stands between backticks is code.
pub(crate) fn message(text: &str) -> Markup {
    let mut parts = text.split('`').peekable();
    let mut inside = false;
    let mut out = String::with_capacity(text.len() + 16);
    while let Some(part) = parts.next() {
        let closed = parts.peek().is_some();
        match (inside, closed) {
            (true, true) => html! { code { (Plain(part)) } }.render_to(&mut out),
            // A backtick without a partner is itself.
            (true, false) => html! { "`" (Plain(part)) }.render_to(&mut out),
            (false, _) => Plain(part).render_to(&mut out),
        }
        inside = !inside;
    }
    PreEscaped(out)
}

/// A name, apart from the direction of the text around it.
pub(crate) fn name(text: &str) -> Markup {
    html! { bdi { (Plain(text)) } }
}

/// At most so many characters, with an ellipsis where something was cut; for places that cannot wrap.
pub(crate) fn short(text: &str, most: usize) -> String {
    let mut out: String = text
        .chars()
        .filter(|c| !hidden(*c) && !matches!(c, '\n' | '\r' | '\t'))
        .collect();
    if let Some((at, _)) = out.char_indices().nth(most) {
        // Room for the ellipsis itself.
        let cut = out[..at].char_indices().next_back().map_or(0, |(last, _)| last);
        out.truncate(cut);
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Plain(text).render().into_string()
    }

    #[test]
    fn characters_that_turn_text_around_are_shown() {
        let turned = shown("if access\u{202e} {");
        assert!(turned.contains("U+202E") && !turned.contains('\u{202e}'), "{turned}");
        assert_eq!(shown("a <b> & 'c'\n\té"), "a &lt;b&gt; &amp; 'c'\n\té");
    }

    #[test]
    fn what_stands_between_backticks_is_code() {
        let shown = |text: &str| message(text).into_string();
        assert_eq!(shown("`a<b` of `c`."), "<code>a&lt;b</code> of <code>c</code>.");
        assert_eq!(shown("a `b` c` d"), "a <code>b</code> c` d");
        assert_eq!(shown("``"), "<code></code>");
        assert_eq!(shown("plain"), "plain");
    }

    #[test]
    fn short_text_is_cut_between_characters() {
        assert_eq!(short("äöü", 3), "äöü");
        assert_eq!(short("äöüß", 3), "äö…");
        assert_eq!(short("", 3), "");
        assert_eq!(short("a\u{202e}b\nc", 9), "abc");
    }
}
