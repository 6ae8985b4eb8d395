//! Nothing that the rules find goes through the mask, and nothing else is lost on the way.

use std::fs;
use std::sync::LazyLock;
use std::time::Instant;

use helve_findings::{
    Decision, Location, NotificationLevel, Region, Severity, Suppression, SuppressionKind, code_anchor, finish,
};
use serde_json::json;

use super::*;
use crate::secrets::tests::{example, files};

static MASKER: LazyLock<Masker> = LazyLock::new(|| Masker::load(&files()).unwrap());

/// Put together here, so that no scanner finds them in this file.
fn github_token() -> String {
    format!("ghp_{}", "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5")
}

fn aws_key() -> String {
    format!("AKIA{}", "QYLPMN5HFZ3XG6WJ")
}

fn rule() -> Rule {
    Rule {
        id: "tool/x".into(),
        name: "X".into(),
        description: String::new(),
        severity: Severity::High,
        confidence: Confidence::High,
        cwe: vec![78],
        tags: vec![],
        remediation: String::new(),
        references: vec![],
    }
}

fn finding(path: &str, line: u32, message: &str, snippet: &str) -> Finding {
    let region = Region {
        start_line: line,
        start_column: 1,
        end_line: line,
        end_column: 1 + snippet.chars().count() as u32,
    };
    let mut location = Location::region(path, region);
    location.snippet = Some(snippet.to_owned());
    Finding::new(&rule(), "tool", message, location, code_anchor(snippet))
}

fn report(findings: Vec<Finding>) -> ModuleReport {
    ModuleReport {
        rules: vec![rule()],
        findings,
        ..ModuleReport::new("tool", "1")
    }
}

#[test]
fn what_the_rules_find_is_masked_and_to_mask_again_changes_nothing() {
    for file in files() {
        for spec in rules::parse(&file).unwrap().rules {
            for (path, text) in spec.examples.positive.iter().map(example) {
                let kind = text::kind(&path);
                let found = MASKER.find(&path, kind, &text);
                assert!(!found.is_empty(), "{}: {text}", spec.id);
                let once = MASKER.mask(&path, kind, &text).into_owned();
                for secret in &found {
                    assert!(!once.contains(&text[secret.range.clone()]), "{}: {once}", spec.id);
                }
                assert_eq!(once.matches('\n').count(), text.matches('\n').count(), "{}", spec.id);
                assert_eq!(MASKER.mask(&path, kind, &once), once, "{}", spec.id);
            }
        }
    }
}

#[test]
fn a_secret_looks_as_in_the_findings_of_the_secrets_module() {
    let key = aws_key();
    assert_eq!(
        MASKER.text(&format!("eval({key:?})")),
        format!("eval(\"AKIA{MASK}{}\")", &key[18..])
    );
}

#[test]
fn credentials_are_masked_where_programs_take_them() {
    let token = github_token();
    for (text, shown) in [
        ("https://bot:hunter@acme.net/x", "https://bot:********@acme.net/x"),
        (
            "smtp://me@acme.net:p@ss@acme.net",
            "smtp://me@acme.net:********@acme.net",
        ),
        ("redis://:x1@cache:6379/0", "redis://:********@cache:6379/0"),
        (
            "-H 'Authorization: Bearer Zx81opaque'",
            "-H 'Authorization: Bearer ********'",
        ),
        (
            "-H \"authorization: Basic bTpw\"",
            "-H \"authorization: Basic ********\"",
        ),
        (
            "{'Authorization': f'token Zx81'}",
            "{'Authorization': f'token ********'}",
        ),
        ("tool --password hunter x", "tool --password ******** x"),
        ("tool --db-password=hunter x", "tool --db-password=******** x"),
        (
            "[\"tool\", \"--token\", \"hunter\"]",
            "[\"tool\", \"--token\", \"********\"]",
        ),
        ("mysqldump -u root -pS3cr3t…", "mysqldump -u root -p********…"),
        ("[\"mysql\", \"-phunter\"]", "[\"mysql\", \"-p********\"]"),
        ("sshpass -p hunter ssh a", "sshpass -p ******** ssh a"),
    ] {
        assert_eq!(MASKER.text(text), shown);
        assert_eq!(MASKER.text(shown), shown);
    }
    let header = format!("os.system(\"curl -H 'Authorization: token {token}'\")");
    let shown = format!("os.system(\"curl -H 'Authorization: token ghp_{MASK}A5'\")");
    assert_eq!(MASKER.text(&header), shown);
    let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC".repeat(2);
    let key = format!("-----BEGIN {} KEY-----\\n{body}\\n{body}", "RSA PRIVATE");
    assert!(!MASKER.text(&key).contains(&body), "a key without its end");
}

#[test]
fn what_is_no_secret_stays_readable() {
    for text in [
        "checksum = \"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\"",
        "\"integrity\": \"sha512-9NNcyJOzPQH4ZXlyrgYnBN0pFk4h2B0mqNoBFSL1jYLuGZxXc1dJzvLPm0gUlNT9aGkDNqLFZGn0u9Xs1WmJ2g==\"",
        "id: 11ce041b-3256-48ed-a45b-032e3a5a4e16",
        "let averyLongIdentifierThatGoesOnAndOn2 = another_very_long_identifier(true, 42);",
        "commit 49f1235a827df29e201ebb73846ceadae85b8aa",
        "https://user@acme.net:8443/path?at=a@b",
        "http://localhost:8080/@scope/pkg",
        "https://${USER}:${PASS}@host/",
        "git@github.com:acme/x.git",
        "Send `Authorization: Bearer <token>`, not `Authorization: Basic authentication`.",
        "headers = {\"Authorization\": \"Bearer \" + token}",
        "headers = {\"Authorization\": f\"Bearer {token}\"}",
        "Use --password-stdin; a --password on the command line is seen by others, --token is too.",
        "run(f\"--password={args.password}\")",
        "tool --token=$TOKEN --password \"$PASSWORD\"",
        "docker run -p8080:80 -p 22 x",
        "mysql -h db -u root -p app",
        "password = get_password()",
        "-----BEGIN RSA PRIVATE KEY----- is how one begins",
    ] {
        assert_eq!(MASKER.text(text), text);
        assert_eq!(MASKER.mask("a.py", Kind::Code, text), text);
        assert_eq!(MASKER.mask("Cargo.lock", text::kind("Cargo.lock"), text), text);
    }
}

#[test]
fn every_text_of_a_report_is_masked_and_its_identity_stays() {
    let token = github_token();
    let mut whole = finding("a.py", 3, &format!("runs `{token}`"), &format!("f('{token}')"));
    whole.remediation = Some(format!("revoke {token}"));
    let steps = json!({"flow": [{"line": 1, "text": format!("x = '{token}'")}], "bits": 3.5});
    whole.properties.insert("source".into(), steps);
    whole.suppressions.push(Suppression {
        kind: SuppressionKind::InSource,
        decision: Decision::FalsePositive,
        reason: Some(format!("{token} was revoked")),
        by: None,
        place: None,
        expires: None,
    });
    whole.duplicates.push(finding("a.py", 3, &token, &token));
    let mut before = report(vec![whole, finding("a.py", 9, "m", "eval(x)")]);
    before.rules[0].description = format!("such as {token}");
    before.notifications.push(Notification {
        level: NotificationLevel::Error,
        message: format!("it said {token}"),
        path: Some("b.py".into()),
    });
    before.status = Status::Inconclusive {
        reason: format!("it ended with {token}"),
    };
    let mut after = before.clone();
    MASKER.report(&mut after, None);
    let text = serde_json::to_string(&after).unwrap();
    assert!(!text.contains(&token[4..34]), "{text}");
    assert_eq!(text.matches("ghp_********A5").count(), 10, "{text}");
    let mut again = after.clone();
    MASKER.report(&mut again, None);
    assert_eq!(again, after);

    finish(&mut before.findings, &before.rules);
    finish(&mut after.findings, &after.rules);
    for (before, after) in before.findings.iter().zip(&after.findings) {
        assert_eq!(before.fingerprint, after.fingerprint);
        assert_eq!(
            (&before.location.path, before.location.region),
            (&after.location.path, after.location.region)
        );
    }
}

#[test]
fn what_is_secret_in_a_file_is_secret_in_all_that_is_said_about_it() {
    let dir = tempfile::tempdir().unwrap();
    let (token, password) = (github_token(), format!("vT7{}", "#kqZ2!mPx"));
    let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7x4nL2pQ9rTzV".to_owned();
    let key = format!(
        "-----BEGIN {0} KEY-----\n{body}\n{body}\n-----END {0} KEY-----",
        "PRIVATE"
    );
    let code = format!("db_password = \"{password}\"\nos.system('curl {token}')\nKEY = '''{key}'''\n");
    fs::write(dir.path().join("a.py"), code).unwrap();
    let cut = |secret: &str| format!("`curl {}…` runs", &secret[..9]);
    let mut masked = report(vec![
        finding("a.py", 2, &cut(&token), "x"),
        finding(
            "a.py",
            1,
            &format!("connects with {password}"),
            &format!("f({password:?})"),
        ),
        finding("a.py", 4, "m", &body),
        finding("../a.py", 1, "no file of the target", "x"),
    ]);
    MASKER.report(&mut masked, Some(dir.path()));
    let text = serde_json::to_string(&masked).unwrap();
    for secret in [&token[..9], &password, &body] {
        assert!(!text.contains(secret), "{text}");
    }
    assert_eq!(masked.findings[0].message, "`curl ********…` runs");
    let mut again = masked.clone();
    MASKER.report(&mut again, Some(dir.path()));
    assert_eq!(again, masked);
}

#[test]
fn a_snippet_keeps_its_lines() {
    let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7x4nL2pQ9rTzV\n".repeat(3);
    let snippet = format!(
        "a = 1\n-----BEGIN {0} KEY-----\n{body}-----END {0} KEY-----\nb = 2",
        "PRIVATE"
    );
    let masked = MASKER.mask("a.py", Kind::Code, &snippet);
    assert_eq!(masked.lines().count(), snippet.lines().count());
    assert!(masked.ends_with("\nb = 2") && !masked.contains("MIIEvQ"), "{masked}");
}

/// What it costs is printed, not judged: machines differ.
#[test]
fn ten_thousand_findings_are_masked() {
    let token = github_token();
    let message = "The shell runs `subprocess.run(f\"convert {name} out.png\", shell=True)`, which holds outside data.";
    let findings = (0..10_000).map(|number| match number % 10 {
        0 => finding(
            "a.py",
            number,
            message,
            &format!("os.system('curl -H \"Authorization: token {token}\"')"),
        ),
        _ => finding(
            "b.py",
            number,
            message,
            "    subprocess.run(f\"convert {name} out.png\", shell=True)",
        ),
    });
    let mut masked = report(findings.collect());
    LazyLock::force(&MASKER);
    let started = Instant::now();
    MASKER.report(&mut masked, None);
    println!("10,000 findings: {:?}", started.elapsed());
    let shown = |finding: &&Finding| {
        finding
            .location
            .snippet
            .as_ref()
            .is_some_and(|s| s.contains("ghp_********A5"))
    };
    assert_eq!(masked.findings.iter().filter(shown).count(), 1_000);
}
