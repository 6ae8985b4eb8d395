//! Markdown of rules and modules, as a small and safe part of HTML: no raw HTML, no images, links only to the web.

use maud::{Markup, PreEscaped, Render, html};
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::routes;
use crate::text::Plain;

/// What a rule says, as paragraphs, lists and code.
pub(crate) fn block(source: &str) -> Markup {
    let mut out = String::with_capacity(source.len() * 3 / 2);
    // Whether each open link became one.
    let mut links = Vec::new();
    for event in Parser::new_ext(source, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
        match event {
            Event::Start(Tag::Link { dest_url, .. }) => {
                let address = routes::outside(&dest_url);
                if let Some(address) = address {
                    out.push_str("<a rel=\"noopener noreferrer nofollow\" target=\"_blank\" href=\"");
                    address.render_to(&mut out);
                    out.push_str("\">");
                }
                links.push(address.is_some());
            }
            Event::End(TagEnd::Link) => {
                let is_link = links.pop().unwrap_or(false);
                out.push_str(if is_link { "</a>" } else { "" });
            }
            Event::Start(tag) => out.push_str(opening(&tag)),
            Event::End(tag) => out.push_str(closing(tag)),
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => Plain(&text).render_to(&mut out),
            Event::Code(text) => html! { code { (Plain(&text)) } }.render_to(&mut out),
            Event::SoftBreak => out.push('\n'),
            Event::HardBreak => out.push_str("<br>"),
            Event::Rule => out.push_str("<hr>"),
            _ => {}
        }
    }
    html! { div.prose { (PreEscaped(out)) } }
}

// A rule's headings are not those of the page: they become strong lines.
fn opening(tag: &Tag<'_>) -> &'static str {
    match tag {
        Tag::Paragraph | Tag::HtmlBlock => "<p>",
        Tag::Heading { .. } => "<p><strong>",
        Tag::BlockQuote(_) => "<blockquote>",
        Tag::CodeBlock(CodeBlockKind::Fenced(_) | CodeBlockKind::Indented) => "<pre tabindex=\"0\"><code>",
        Tag::List(None) => "<ul>",
        Tag::List(Some(_)) => "<ol>",
        Tag::Item => "<li>",
        Tag::Table(_) => "<table>",
        Tag::TableHead | Tag::TableRow => "<tr>",
        Tag::TableCell => "<td>",
        Tag::Emphasis => "<em>",
        Tag::Strong => "<strong>",
        Tag::Strikethrough => "<s>",
        _ => "",
    }
}

fn closing(tag: TagEnd) -> &'static str {
    match tag {
        TagEnd::Paragraph | TagEnd::HtmlBlock => "</p>",
        TagEnd::Heading(_) => "</strong></p>",
        TagEnd::BlockQuote(_) => "</blockquote>",
        TagEnd::CodeBlock => "</code></pre>",
        TagEnd::List(false) => "</ul>",
        TagEnd::List(true) => "</ol>",
        TagEnd::Item => "</li>",
        TagEnd::Table => "</table>",
        TagEnd::TableHead | TagEnd::TableRow => "</tr>",
        TagEnd::TableCell => "</td>",
        TagEnd::Emphasis => "</em>",
        TagEnd::Strong => "</strong>",
        TagEnd::Strikethrough => "</s>",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(source: &str) -> String {
        block(source).into_string()
    }

    #[test]
    fn what_a_rule_says_becomes_paragraphs_lists_and_code() {
        let html = written("# Why\n\nUse `argv`, **not** a shell.\n\n- one\n- two\n\n```py\na < b\n```");
        for part in [
            "<p><strong>Why</strong></p>",
            "<code>argv</code>",
            "<li>one</li>",
            "<code>a &lt; b\n</code>",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
    }

    #[test]
    fn raw_html_images_and_addresses_of_scripts_do_not_come_through() {
        let html = written(
            "<script>alert(1)</script> x <img src=x onerror=alert(1)>\n\n![a](https://evil.test/p.png) \
             [b](javascript:alert(1)) [c](https://ok.test/\"onx=\")\n\n<div onclick=x>\n",
        );
        for raw in ["<script", "<img", "<div on", "javascript:", "\"onx", "evil.test"] {
            assert!(!html.contains(raw), "{raw} in {html}");
        }
        assert!(html.contains("href=\"https://ok.test/&quot;onx=&quot;\""), "{html}");
    }
}
