use helve_web::pages::{
    Decision, Facet, Finding, FindingRow, Findings, FlowStep, Mark, Reference, Snippet, Twin, finding, findings,
};
use helve_web::{Confidence, FindingFilter, Order, Presence, RunState, Severity, Triage};

use super::runs::{counts, recent, run_row};
use super::{Add, DAY, HOUR, Make, NOW, Text};

type Row = (
    Severity,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    u32,
    Presence,
    Triage,
);

const ROWS: [Row; 9] = [
    (
        Severity::Critical,
        "Live AWS access key",
        "secrets/aws-access-key-id",
        "An access key of AWS (AKIA…7Q2F) lies in a file of the repository, and its secret two lines below.",
        "deploy/terraform/environments/production/terraform.tfvars",
        14,
        Presence::New,
        Triage::Open,
    ),
    (
        Severity::High,
        "SQL built from request data",
        "sast/java-sql-injection",
        "The parameter `account` of the request becomes part of a SQL statement.",
        "src/main/java/com/acme/payments/settlement/SettlementRepository.java",
        88,
        Presence::New,
        Triage::Confirmed,
    ),
    (
        Severity::High,
        "Deserialisation of untrusted data",
        "sast/java-deserialization",
        "`ObjectInputStream.readObject` reads a body of a request.",
        "src/main/java/com/acme/payments/web/ImportController.java",
        41,
        Presence::Reopened,
        Triage::Open,
    ),
    (
        Severity::Medium,
        "Certificate checks are switched off",
        "sast/java-trust-all",
        "This trust manager accepts every certificate.",
        "src/test/java/com/acme/payments/TestClient.java",
        23,
        Presence::Present,
        Triage::FalsePositive,
    ),
    (
        Severity::Medium,
        "Weak hash",
        "sast/java-weak-hash",
        "MD5 is used where collisions matter.",
        "src/main/java/com/acme/payments/util/Digests.java",
        12,
        Presence::Present,
        Triage::AcceptedRisk,
    ),
    (
        Severity::Low,
        "Cookie without the attribute Secure",
        "semgrep/cookie-secure",
        "The session cookie is also sent without TLS.",
        "src/main/java/com/acme/payments/web/SessionFilter.java",
        67,
        Presence::Fixed,
        Triage::Fixed,
    ),
    (
        Severity::Note,
        "Debug endpoint",
        "sast/spring-actuator",
        "All actuator endpoints are exposed.",
        "src/main/resources/application.yml",
        5,
        Presence::Present,
        Triage::Open,
    ),
    (
        Severity::Critical,
        "Heap buffer overflow (write)",
        "libfuzzer/heap-buffer-overflow",
        "AddressSanitizer: heap-buffer-overflow in parse_header, WRITE of size 4.",
        "src/parse.c",
        212,
        Presence::New,
        Triage::Open,
    ),
    (
        Severity::Critical,
        "Use after free",
        "libfuzzer/heap-use-after-free",
        "AddressSanitizer: heap-use-after-free in node_release.",
        "src/tree.c",
        77,
        Presence::New,
        Triage::Open,
    ),
];

pub(crate) fn row(text: &Text, n: usize) -> FindingRow {
    let (severity, title, rule, message, path, line, presence, triage) = ROWS[n % ROWS.len()];
    FindingRow {
        id: text.t(&format!("f-{n:08x}")),
        severity,
        title: text.t(title),
        rule: text.t(rule),
        message: text.t(message),
        path: text.t(path),
        line: (n != 6).then_some(line),
        target: text.t(if n.is_multiple_of(3) {
            "storefront/checkout-service"
        } else {
            "payments-api"
        }),
        presence,
        triage,
        owner: (n.is_multiple_of(2)).then(|| text.t("@acme/payments-core")),
        first_seen: NOW - HOUR * (5 + 31 * i64::try_from(n).unwrap_or(0)),
    }
}

fn facets(text: &Text, list: &[(&str, u64)]) -> Vec<Facet> {
    list.iter()
        .map(|(value, count)| Facet {
            value: text.t(value),
            count: *count,
        })
        .collect()
}

pub(crate) fn add(text: &Text, admin: Make<'_>, viewer: Make<'_>, add: Add<'_>) {
    let many = Findings {
        filter: FindingFilter::to_do(),
        any: true,
        counts: Some(counts(3, 412, 4_790, 3_180, 1_742)),
        rows: (0..25).map(|n| row(text, n)).collect(),
        targets: facets(text, &[("payments-api", 6_210), ("storefront/checkout-service", 3_917)]),
        rules: facets(
            text,
            &[("sast/java-sql-injection", 41), ("secrets/aws-access-key-id", 2)],
        ),
        modules: facets(text, &[("sast", 7_210), ("semgrep", 2_901), ("secrets", 16)]),
        owners: facets(text, &[("@acme/payments-core", 4_100), ("@acme/web", 900)]),
        further: true,
        next: text.some("eyJhZnRlciI6MjV9"),
    };
    add("findings", findings(&admin("/findings"), &many));
    add(
        "findings-viewer",
        findings(
            &viewer("/findings"),
            &Findings {
                rows: many.rows[..3].to_vec(),
                further: false,
                next: None,
                ..many.clone()
            },
        ),
    );
    let narrow = FindingFilter {
        text: text.t("terraform & \"quotes\""),
        severities: vec![Severity::Critical, Severity::High],
        target: text.t("a-target-that-is-gone"),
        rule: text.t("sast/java-sql-injection"),
        module: text.t("sast"),
        owner: text.t("@acme/web"),
        order: Order::Newest,
        ..FindingFilter::default()
    };
    add(
        "findings-none",
        findings(
            &admin("/findings"),
            &Findings {
                filter: narrow,
                rows: Vec::new(),
                next: None,
                ..many.clone()
            },
        ),
    );
    let fresh = Findings {
        any: false,
        counts: None,
        rows: Vec::new(),
        next: None,
        further: false,
        filter: FindingFilter::default(),
        ..many
    };
    add("findings-fresh", findings(&admin("/findings"), &fresh));

    add("finding", finding(&admin("/findings/f-1"), &injection(text)));
    add("finding-plain", finding(&viewer("/findings/f-2"), &plain(text)));
}

fn injection(text: &Text) -> Finding {
    let code = [
        "    public List<Settlement> byAccount(String account, Range range) {",
        "        // TODO: page this, the big merchants time out",
        "        var sql = \"select * from settlement where account = '\" + account + \"'\"",
        "                + \" and booked_at between \" + range.from() + \" and \" + range.to();",
        "        try (var statement = connection.createStatement()) {",
        "            var rows = statement.executeQuery(sql);",
        "            return Settlements.read(rows);",
        "        }",
        "    }",
    ];
    let step = |path: &str, line: u32, message: &str, code: Option<&str>| FlowStep {
        path: text.t(path),
        line: Some(line),
        message: text.t(message),
        code: code.map(|code| text.t(code)),
    };
    Finding {
        id: text.t("f-00000001"),
        severity: Severity::High,
        confidence: Confidence::High,
        title: text.t("SQL built from request data"),
        rule: text.t("sast/java-sql-injection"),
        module: text.t("sast"),
        message: text.t("The parameter `account` of the request becomes part of a SQL statement. Whoever can send requests to /settlements can read and change every row that the service can."),
        target: text.t("payments-api"),
        path: text.t("src/main/java/com/acme/payments/settlement/SettlementRepository.java"),
        line: Some(88),
        snippet: Some(Snippet {
            first: 86,
            lines: code.iter().map(|line| text.t(line)).collect(),
            mark: Some(Mark { start_line: 88, start_column: 19, end_line: 89, end_column: 84 }),
        }),
        flow: vec![
            step("src/main/java/com/acme/payments/web/SettlementController.java", 34, "The request parameter `account` comes in", Some("@GetMapping(\"/settlements\") List<Settlement> list(@RequestParam String account, Range range) {")),
            step("src/main/java/com/acme/payments/settlement/SettlementService.java", 52, "It is passed on unchanged", None),
            step("src/main/java/com/acme/payments/settlement/SettlementRepository.java", 88, "It becomes part of the statement", Some("var sql = \"select * from settlement where account = '\" + account + \"'\"")),
        ],
        about: text.t("A statement that is put together from text can be **changed by that text**: `' or 1=1 --` makes the condition always true.\n\nThe rule follows data from requests to `Statement.execute*`."),
        remediation: text.t("Use a prepared statement, and give the values as parameters:\n\n```java\nvar statement = connection.prepareStatement(\n    \"select * from settlement where account = ? and booked_at between ? and ?\");\nstatement.setString(1, account);\n```\n\n- Do not quote by hand.\n- See the [guide](https://cheatsheetseries.owasp.org/cheatsheets/Query_Parameterization_Cheat_Sheet.html)."),
        cwe: vec![(89, text.t("Improper Neutralization of Special Elements used in an SQL Command")), (20, text.t("Improper Input Validation"))],
        references: vec![Reference { address: text.t("https://owasp.org/www-community/attacks/SQL_Injection") }],
        tags: text.list(&["java", "injection", "owasp-a03"]),
        properties: vec![(text.t("sink"), text.t("java.sql.Statement.executeQuery")), (text.t("source"), text.t("org.springframework.web.bind.annotation.RequestParam"))],
        twins: vec![Twin { rule: text.t("java.lang.security.audit.sqli.jdbc-sqli"), module: text.t("semgrep"), message: text.t("Detected a formatted string in a SQL statement.") }],
        presence: Presence::New,
        triage: Triage::Confirmed,
        accepted_until: None,
        suppressed: None,
        owner: text.some("@acme/payments-core"),
        first_seen: NOW - 36 * HOUR,
        last_seen: NOW - 2 * HOUR,
        fingerprint: text.t("5c1d0e7fb2a94e0c8a8f6f0d1b7e3a92"),
        history: vec![
            Decision { at: NOW - 3 * HOUR, by: text.t("jo@acme.example"), what: text.t("Open → Confirmed"), comment: text.some("Reproduced on staging with sqlmap.\nTicket PAY-2210.") },
            Decision { at: NOW - 36 * HOUR, by: text.t("assessment-01jd9x"), what: text.t("Found for the first time"), comment: None },
        ],
        runs: recent(text).split_off(4),
    }
}

fn plain(text: &Text) -> Finding {
    Finding {
        severity: Severity::Note,
        confidence: Confidence::Low,
        title: text.t("A package-lock.json without the field integrity for 1,204 of its packages, which makes their content unverifiable at install time"),
        message: text.t("Nothing says what these packages must contain."),
        path: text.t("frontend/apps/administration-console/package-lock.json"),
        line: None,
        snippet: None,
        flow: Vec::new(),
        remediation: String::new(),
        about: text.t("Without a hash, a registry can answer with anything."),
        cwe: Vec::new(),
        references: Vec::new(),
        twins: Vec::new(),
        properties: Vec::new(),
        presence: Presence::Present,
        triage: Triage::AcceptedRisk,
        accepted_until: Some(NOW + 40 * DAY),
        suppressed: text.some(".helve/suppressions.yaml, line 12"),
        owner: None,
        history: Vec::new(),
        runs: vec![run_row(text, "web-assessment-01", "web-assessment", "x", RunState::Completed, DAY, Some(4_000))],
        ..injection(text)
    }
}
