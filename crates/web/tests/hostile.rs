//! Everything that comes from outside is attacked: each text of each model of each page, one after the other and all at once.

#[path = "../examples/pages/samples/mod.rs"]
mod samples;

use std::collections::HashSet;

use html5gum::{Token, Tokenizer};
use samples::{Sample, Text, all};

/// An element as a browser reads it.
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
}

struct Read {
    elements: Vec<Element>,
    /// Text, but for that in fields, which is given back as it was typed.
    text: String,
    problems: Vec<String>,
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Reads a page as a browser does, and says where it is not well made.
fn read(html: &str) -> Read {
    const VOID: [&str; 8] = ["meta", "link", "input", "br", "hr", "img", "col", "source"];
    let mut read = Read {
        elements: Vec::new(),
        text: String::new(),
        problems: Vec::new(),
    };
    let mut open: Vec<String> = Vec::new();
    for token in Tokenizer::new(html) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => {
                let name = lossy(&tag.name);
                let attributes = tag.attributes.iter().map(|(name, value)| (lossy(name), lossy(value)));
                read.elements.push(Element {
                    name: name.clone(),
                    attributes: attributes.collect(),
                });
                if !VOID.contains(&name.as_str()) && !tag.self_closing {
                    open.push(name);
                }
            }
            Token::EndTag(tag) => {
                let name = lossy(&tag.name);
                if open.pop().as_deref() != Some(name.as_str()) {
                    read.problems.push(format!("</{name}> closes something else"));
                }
            }
            Token::String(text) => {
                if !matches!(open.last().map(String::as_str), Some("textarea")) {
                    read.text.push_str(&lossy(&text));
                }
            }
            Token::Comment(text) => read.problems.push(format!("a comment: {}", lossy(&text))),
            Token::Doctype(_) => {}
            // What somebody typed comes back to them as it was, in the attribute `value`; a browser shows such a character as
            // a box.
            Token::Error(error) => match error.value {
                html5gum::Error::UnexpectedNullCharacter | html5gum::Error::ControlCharacterInInputStream => {}
                problem => read.problems.push(format!("{problem:?}")),
            },
        }
    }
    if !open.is_empty() {
        read.problems.push(format!("not closed: {open:?}"));
    }
    read
}

fn element_names(sample: &Sample) -> Vec<String> {
    read(&sample.html)
        .elements
        .into_iter()
        .map(|element| element.name)
        .collect()
}

const PAYLOADS: [&str; 9] = [
    "\"><xss-# onload=alert(#)><script>alert(#)</script>",
    "'><xss-# onload='alert(#)'>",
    "</title></textarea></option></select></svg></code></pre><xss-#>",
    "<!--#--><![CDATA[#]]><?xss #?>",
    "javascript:alert(#)//<xss-#>",
    "//evil.test/xss-#\" onclick=\"x",
    "[xss](javascript:alert(#)) <img src=x onerror=alert(#)> ![x](https://evil.test/#)\n\n<script>#</script>\n",
    "` onx=# {{#}} ${#} &#x3c;xss-#&gt;",
    "a\u{202e}\u{2066}#\u{0}\u{1b}[31m\u{200b}<xss-#>",
];

#[test]
fn no_text_of_any_model_becomes_an_element_or_an_attribute() {
    let harmless: HashSet<String> = all(&Text::real()).iter().flat_map(element_names).collect();
    for payload in PAYLOADS {
        for sample in all(&Text::hostile(payload)) {
            let page = read(&sample.html);
            let place = format!("{} with {payload}", sample.name);
            assert!(page.problems.is_empty(), "{place}: {:?}", page.problems);
            for element in &page.elements {
                // `blockquote` and the like come from Markdown, which these payloads do not write.
                assert!(harmless.contains(&element.name), "{place}: <{}>", element.name);
                for (name, value) in &element.attributes {
                    assert!(
                        !name.starts_with("on") && name != "style" && name != "srcdoc",
                        "{place}: {name}={value}"
                    );
                    assert!(
                        name.chars().all(|c| c.is_ascii_alphanumeric() || "-:".contains(c)),
                        "{place}: {name}"
                    );
                }
            }
        }
    }
}

#[test]
fn every_link_stays_on_this_server_or_says_that_it_leaves() {
    for payload in PAYLOADS
        .into_iter()
        .chain(["https://evil.test/#", "/\\evil.test/#", "data:text/html,#"])
    {
        for sample in all(&Text::hostile(payload)) {
            for element in read(&sample.html).elements {
                let get = |wanted: &str| {
                    element
                        .attributes
                        .iter()
                        .find(|(name, _)| name == wanted)
                        .map(|(_, value)| value.as_str())
                };
                for name in [
                    "href",
                    "src",
                    "action",
                    "formaction",
                    "poster",
                    "data",
                    "xlink:href",
                    "data-events",
                ] {
                    let Some(address) = get(name) else { continue };
                    let place = format!("{} with {payload}: <{} {name}={address}>", sample.name, element.name);
                    let outside = address.starts_with("https://") || address.starts_with("http://");
                    if outside {
                        assert!(
                            element.name == "a" && get("rel").is_some_and(|rel| rel.contains("noopener")),
                            "{place}"
                        );
                    } else {
                        assert!(
                            address.starts_with(['/', '#'])
                                && !address.starts_with("//")
                                && !address.starts_with("/\\"),
                            "{place}"
                        );
                    }
                    assert!(!address.contains(['"', '<', '>', ' ', '\n', '\\']), "{place}");
                    assert!(!address.contains("/../") && !address.ends_with("/.."), "{place}");
                }
            }
        }
    }
}

#[test]
fn an_id_of_dots_does_not_climb() {
    for payload in [".", "..", "../..", "a/../../b"] {
        for sample in all(&Text::hostile(payload)) {
            for element in read(&sample.html).elements {
                for (name, value) in element
                    .attributes
                    .iter()
                    .filter(|(name, _)| name == "href" || name == "action")
                {
                    let path = value.split(['?', '#']).next().unwrap_or_default();
                    assert!(
                        path.split('/').all(|part| part != "." && part != ".."),
                        "{}: {name}={value}",
                        sample.name
                    );
                }
            }
        }
    }
}

#[test]
fn characters_that_disguise_text_are_seen_everywhere() {
    let disguise = "a\u{202e}b\u{2066}c\u{200b}d\u{1b}e#";
    for sample in all(&Text::hostile(disguise)) {
        let page = read(&sample.html);
        for hidden in ['\u{202e}', '\u{2066}', '\u{200b}', '\u{1b}'] {
            assert!(
                !page.text.contains(hidden),
                "{}: U+{:04X} in text",
                sample.name,
                u32::from(hidden)
            );
        }
        for element in &page.elements {
            for (name, value) in &element.attributes {
                let read_aloud = name == "title" || name == "aria-label" || name == "placeholder";
                assert!(
                    !read_aloud || !value.contains('\u{202e}'),
                    "{}: {name}={value:?}",
                    sample.name
                );
            }
        }
    }
}

#[test]
fn pages_without_attack_are_well_made_too() {
    for sample in all(&Text::real()) {
        let page = read(&sample.html);
        assert!(page.problems.is_empty(), "{}: {:?}", sample.name, page.problems);
        let mut ids = HashSet::new();
        for element in &page.elements {
            for (name, value) in &element.attributes {
                assert!(
                    name != "id" || ids.insert(value.clone()),
                    "{}: two elements are #{value}",
                    sample.name
                );
            }
        }
        for element in &page.elements {
            for (name, value) in &element.attributes {
                if matches!(name.as_str(), "for" | "aria-labelledby" | "aria-describedby" | "form") {
                    for id in value.split(' ') {
                        assert!(ids.contains(id), "{}: {name}={value} leads nowhere", sample.name);
                    }
                }
                if let Some(id) = value.strip_prefix('#').filter(|_| name == "href") {
                    assert!(ids.contains(id), "{}: the link to #{id} leads nowhere", sample.name);
                }
            }
        }
    }
}

/// Each form that changes something proves where it came from.
#[test]
fn every_form_that_posts_has_the_proof_of_its_origin() {
    for sample in all(&Text::real()) {
        for form in sample.html.split("<form").skip(1) {
            let form = form.split("</form>").next().unwrap_or_default();
            if form.contains("method=\"post\"") {
                assert!(form.contains("name=\"csrf\""), "{}: {form}", sample.name);
            }
        }
    }
}

/// An attack that is on no page would prove nothing.
#[test]
fn the_attack_reaches_every_page() {
    for sample in all(&Text::hostile("zq#qz")) {
        let numbers: HashSet<&str> = sample
            .html
            .split("zq")
            .skip(1)
            .filter_map(|rest| rest.split_once("qz"))
            .map(|(number, _)| number)
            .filter(|number| number.parse::<u32>().is_ok())
            .collect();
        // It shows nobody's text, and goes on to paths of this server alone.
        let least = if sample.name == "signed-in" { 0 } else { 2 };
        assert!(numbers.len() >= least, "{}: {numbers:?}", sample.name);
    }
}
