//! The page is well formed, complete, and inert whatever a scanned target contains.

mod common;

use std::collections::BTreeSet;

use base64::Engine as _;
use common::{any_reports, finding, lines, report, rule};
use helve_findings::export::{About, Format, write};
use helve_findings::{
    Decision, Finding, Location, ModuleReport, Notification, NotificationLevel, Report, Rule, Status, Suppression,
    SuppressionKind, merge,
};
use html5gum::{Token, Tokenizer};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

/// A start tag: its name and attributes.
type Tag = (String, Vec<(String, String)>);

/// The page as a browser's parser reads it: its tags, and the text between them.
fn parsed(page: &str) -> (Vec<Tag>, Vec<String>) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (mut tags, mut texts) = (Vec::new(), Vec::new());
    for token in Tokenizer::new(page) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => {
                let attributes = tag
                    .attributes
                    .iter()
                    .map(|(name, value)| (text(name), text(&value.value)));
                tags.push((text(&tag.name), attributes.collect()));
            }
            Token::String(string) => texts.push(text(&string.value)),
            Token::Comment(comment) => panic!("a comment: {comment:?}"),
            Token::Error(error) => panic!("not well formed: {error:?}\n{page}"),
            Token::EndTag(_) | Token::Doctype(_) => {}
        }
    }
    (tags, texts)
}

fn page(report: &Report, about: &About) -> String {
    write(report, Format::Html, about)
}

/// Every text that a target, a rule or a person could choose, all the same.
fn everywhere(text: &str) -> (Report, About) {
    let all = text.to_owned();
    let bad = Rule {
        id: format!("sast/{all}"),
        name: all.clone(),
        description: all.clone(),
        remediation: all.clone(),
        references: vec![all.clone(), format!("javascript:{all}")],
        tags: vec![all.clone()],
        ..rule("sast/eval", &[95])
    };
    let mut found = Finding::new(
        &bad,
        format!("sast{all}"),
        &all,
        Location::region(&all, lines(1, 2)),
        "x",
    );
    found.location.snippet = Some(all.clone());
    found.remediation = Some(all.clone());
    found.owners = vec![all.clone()];
    found.suppressions = vec![Suppression {
        kind: SuppressionKind::InSource,
        decision: Decision::AcceptedRisk,
        reason: Some(all.clone()),
        by: Some(all.clone()),
        place: Some(Location::file(&all)),
        expires: None,
    }];
    let open = Finding {
        suppressions: Vec::new(),
        anchor: "y".into(),
        location: Location::region(&all, lines(5, 5)),
        ..found.clone()
    };
    let notice = Notification {
        level: NotificationLevel::Warning,
        message: all.clone(),
        path: Some(all.clone()),
    };
    let module = ModuleReport {
        module: format!("sast{all}"),
        version: all.clone(),
        status: Status::Inconclusive { reason: all.clone() },
        rules: vec![bad],
        findings: vec![found, open],
        notifications: vec![notice.clone()],
    };
    let about = About {
        run_id: all.clone(),
        workflow: all.clone(),
        workflow_version: all.clone(),
        status: all.clone(),
        target: Some(all.clone()),
        finished_at: Some(all),
    };
    (merge([module]).with_notifications([notice]), about)
}

/// The tags and the names of their attributes: what a page *is*, whatever it says.
fn skeleton(page: &str) -> Vec<(String, Vec<String>)> {
    let (tags, _) = parsed(page);
    tags.into_iter()
        .map(|(name, attributes)| (name, attributes.into_iter().map(|(name, _)| name).collect()))
        .collect()
}

#[test]
fn nothing_that_a_target_chooses_becomes_markup() {
    let (report, about) = everywhere("plain");
    let plain = skeleton(&page(&report, &about));
    for attack in [
        "<script>alert(1)</script>",
        "</script><script>alert(1)</script>",
        "</title></style></textarea><img src=x onerror=alert(1)>",
        "\" onmouseover=\"alert(1)",
        "' onmouseover='alert(1)",
        "\"><svg/onload=alert(1)>",
        "--><img src=x onerror=alert(1)><!--",
        "javascript:alert(1)",
        "]]><script>alert(1)</script>",
        "&lt;script&gt;alert(1)&lt;/script&gt;&#x3c;",
        "`-alert(1)-`${alert(1)}",
        "<a href=\"data:text/html,x\">x</a>",
        "<iframe srcdoc='<script>alert(1)</script>'>",
    ] {
        let (report, about) = everywhere(attack);
        let page = page(&report, &about);
        assert_eq!(skeleton(&page), plain, "{attack}");
        let (tags, texts) = parsed(&page);
        for (_, attributes) in &tags {
            for (name, value) in attributes.iter().filter(|(name, _)| name == "href" || name == "src") {
                assert!(
                    value.starts_with("https://cwe.mitre.org/") || value == "#findings",
                    "{name}={value}"
                );
            }
        }
        assert!(
            texts.iter().any(|text| text.contains(attack)),
            "{attack} is shown as it is"
        );
    }
}

#[test]
fn a_text_cannot_look_like_another_one() {
    let (report, about) = everywhere("a\u{202e}txt.exe\u{0}\u{1b}[31m\u{200b}");
    let page = page(&report, &about);
    assert!(!page.contains(['\u{202e}', '\u{0}', '\u{1b}', '\u{200b}']));
    assert!(page.contains("a⟨U+202E⟩txt.exe⟨U+0000⟩⟨U+001B⟩[31m⟨U+200B⟩"));
}

#[test]
fn the_policy_allows_the_pages_own_style_and_script_and_nothing_else() {
    let (report, about) = everywhere("x");
    let page = page(&report, &about);
    let (tags, _) = parsed(&page);
    let policy = tags
        .iter()
        .find(|(name, attributes)| {
            name == "meta" && attributes.iter().any(|(_, value)| value == "Content-Security-Policy")
        })
        .and_then(|(_, attributes)| attributes.iter().find(|(name, _)| name == "content"))
        .map(|(_, value)| value.clone())
        .unwrap();
    let hash = |tag: &str| {
        let (start, end) = (format!("<{tag}>"), format!("</{tag}>"));
        assert_eq!(page.matches(&start).count(), 1);
        let content = page.split(&start).nth(1).unwrap().split(&end).next().unwrap();
        base64::engine::general_purpose::STANDARD.encode(Sha256::digest(content))
    };
    assert_eq!(
        policy,
        format!(
            "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
            hash("style"),
            hash("script")
        )
    );
}

#[test]
fn nothing_is_loaded_and_nothing_has_a_handler_or_a_style_of_its_own() {
    let (report, about) = everywhere("x");
    let (tags, _) = parsed(&page(&report, &about));
    for (name, attributes) in &tags {
        assert!(
            !["link", "img", "iframe", "object", "embed", "base"].contains(&name.as_str()),
            "{name}"
        );
        for (attribute, _) in attributes {
            assert!(
                attribute != "src" && attribute != "style" && !attribute.starts_with("on"),
                "{name} {attribute}"
            );
        }
    }
}

#[test]
fn what_names_something_else_on_the_page_finds_it() {
    let (report, about) = everywhere("x");
    let (tags, _) = parsed(&page(&report, &about));
    let values = |wanted: &str| -> Vec<String> {
        let attributes = tags.iter().flat_map(|(_, attributes)| attributes);
        attributes
            .filter(|(name, _)| name == wanted)
            .map(|(_, value)| value.clone())
            .collect()
    };
    let ids: BTreeSet<String> = values("id").into_iter().collect();
    assert_eq!(ids.len(), values("id").len(), "ids differ");
    for label in values("aria-labelledby").iter().flat_map(|value| value.split(' ')) {
        assert!(ids.contains(label), "{label}");
    }
}

#[test]
fn a_page_without_findings_is_not_called_clean_when_a_module_could_not_look() {
    let text = |report: &Report| parsed(&page(report, &About::default())).1.concat();
    assert!(text(&merge([ModuleReport::new("sast", "1")])).contains("No findings."));
    let gap = ModuleReport {
        status: Status::Inconclusive {
            reason: "out of memory".into(),
        },
        ..ModuleReport::new("sast", "1")
    };
    let text = text(&merge([gap]));
    assert!(
        text.contains("Not everything was looked at") && text.contains("sast: out of memory"),
        "{text}"
    );
    assert!(text.contains("No findings, but not everything was looked at."));
}

#[test]
fn only_plain_web_addresses_become_links() {
    let linked = Rule {
        references: vec![
            "https://example.org/a".into(),
            "javascript:alert(1)".into(),
            "http://a\"b".into(),
        ],
        ..rule("sast/eval", &[])
    };
    let found = finding(&linked, "a.py", lines(1, 1), "x");
    let (tags, _) = parsed(&page(
        &merge([report("sast", [linked], vec![found])]),
        &About::default(),
    ));
    let links: Vec<&String> = tags
        .iter()
        .filter(|(name, _)| name == "a")
        .flat_map(|(_, attributes)| {
            attributes
                .iter()
                .filter(|(name, _)| name == "href")
                .map(|(_, value)| value)
        })
        .collect();
    assert_eq!(links, ["#findings", "https://example.org/a"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_report_gives_a_well_formed_page_with_all_its_findings(reports in any_reports()) {
        let report = merge(reports);
        let page = page(&report, &About::default());
        let (tags, _) = parsed(&page);
        let shown = tags.iter().filter(|(_, attributes)| attributes.iter().any(|(_, value)| value == "finding")).count();
        prop_assert_eq!(shown as u64, report.total());
    }
}
