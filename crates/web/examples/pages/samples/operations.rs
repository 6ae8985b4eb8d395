use helve_web::form::{FieldError, Form};
use helve_web::pages::{
    Audit, AuditRow, KnownTarget, Module, Modules, NewToken, PlanStep, Schedule, Schedules, Settings, Start, StartForm,
    Token, Tool, Vertical, Worker, Workers, Workflow, WorkflowRow, Workflows, audit, modules, schedules, settings,
    start, start_form, workers, workflow, workflows,
};
use helve_web::{Role, RunState, WorkerState};
use serde_json::{Map, Value, json};

use super::{Add, DAY, HOUR, MINUTE, Make, NOW, Text};

fn rows(text: &Text) -> Vec<WorkflowRow> {
    let row = |name: &str, description: &str, vertical: &str, tags: &[&str], problem: Option<&str>| WorkflowRow {
        name: text.t(name),
        version: text.t("1.0.0"),
        description: text.t(description),
        vertical: text.t(vertical),
        tags: text.list(tags),
        problem: problem.map(|problem| text.t(problem)),
    };
    vec![
        row(
            "android-assessment",
            "Looks at Android packages (*.apk) - manifest, code, signature and packers - with apktool, androguard and apkid.",
            "android",
            &["android", "apk"],
            Some("No worker carries the vertical `android`: its runs would wait."),
        ),
        row(
            "assessment",
            "Looks for secrets and for security flaws in source code, both at the same time.",
            "builtin",
            &["secrets", "sast", "source-code", "sarif"],
            None,
        ),
        row(
            "native-fuzz",
            "Builds a harness for libFuzzer with sanitizers and fuzzes it for a bounded time, with libFuzzer or AFL++.",
            "native",
            &["c", "cpp", "fuzzing"],
            None,
        ),
        row(
            "python-assessment",
            "Looks for security flaws in Python with bandit and semgrep, and for secrets.",
            "python",
            &["python", "sast", "secrets"],
            None,
        ),
    ]
}

/// A schema with every kind of parameter. Its texts come from the workflow's author, so they are samples too.
fn schema(text: &Text) -> Value {
    let mut properties = Map::new();
    let mut add = |name: &str, mut property: Value, help: &str| {
        property["description"] = text.t(help).into();
        property["title"] = property["title"]
            .as_str()
            .map_or(Value::Null, |title| text.t(title).into());
        properties.insert(text.t(name), property);
    };
    add(
        "harness",
        json!({"type": "string", "pattern": text.t("[a-z/_.]+"), "maxLength": 200}),
        "The file with LLVMFuzzerTestOneInput.",
    );
    add(
        "engine",
        json!({"type": "string", "enum": text.list(&["libfuzzer", "afl"]), "default": text.t("libfuzzer")}),
        "The fuzzer.",
    );
    add(
        "seconds",
        json!({"type": "integer", "minimum": 1, "maximum": 86_400, "default": 3_600, "title": "Time"}),
        "How long to fuzz, in seconds.",
    );
    add(
        "dictionary_weight",
        json!({"type": "number", "minimum": 0, "maximum": 1, "default": 0.25}),
        "Share of mutations that take a word of the dictionary.",
    );
    add(
        "minimise",
        json!({"type": "boolean", "default": true}),
        "Whether to make the corpus small at the end.",
    );
    add(
        "sanitizers",
        json!({"type": "array", "items": {"enum": text.list(&["address", "undefined", "memory"])}, "default": []}),
        "What is compiled in.",
    );
    add(
        "flags",
        json!({"type": "array", "items": {"type": "string"}, "default": text.list(&["-O1", "-g"])}),
        "Options for the compiler.",
    );
    add(
        "min_severity",
        json!({"type": "string", "enum": text.list(&["critical", "high", "medium", "low", "note", "all"]), "default": text.t("all")}),
        "Crashes below this are not reported.",
    );
    add(
        "registry_token",
        json!({"type": "string", "format": "password"}),
        "For private packages. It is kept apart and never shown.",
    );
    add(
        "options",
        json!({"type": "object", "default": {"rss_limit_mb": 2_048}}),
        "Anything else, as the fuzzer names it.",
    );
    let required: Vec<String> = properties.keys().filter(|name| *name == "harness").cloned().collect();
    json!({"type": "object", "required": required, "properties": properties})
}

pub(crate) fn add(text: &Text, admin: Make<'_>, viewer: Make<'_>, add: Add<'_>) {
    add("start", start(&admin("/start"), &Start { workflows: rows(text) }));
    add("start-none", start(&admin("/start"), &Start { workflows: Vec::new() }));
    let schema = schema(text);
    let form = Form::from_schema(&schema, &Map::new());
    let fresh = StartForm {
        workflow: text.t("native-fuzz"),
        version: text.t("1.0.0"),
        description: text.t("Builds a harness for libFuzzer with sanitizers and fuzzes it for a bounded time."),
        form: form.clone(),
        targets: vec![
            KnownTarget {
                id: text.t("b1946ac9"),
                name: text.t("libparse"),
                size: 4_194_304,
                used: NOW - 5 * HOUR,
            },
            KnownTarget {
                id: text.t("5eb63bbb"),
                name: text.t("payments-api"),
                size: 73_400_320,
                used: NOW - 2 * DAY,
            },
        ],
        chosen: None,
        upload_limit: 2 << 30,
        problems: Vec::new(),
        warning: text.some("No worker carries the vertical `native` now. The run would wait until one does."),
    };
    add("start-form", start_form(&admin("/start/native-fuzz"), &fresh));
    let mut wrong = form.clone();
    let errors = wrong
        .fields
        .iter()
        .map(|field| FieldError {
            field: field.name.clone(),
            message: text.t("must be between 1 and 86400, not `soon`"),
        })
        .take(6)
        .collect();
    wrong.set_errors(errors);
    let refused = StartForm {
        form: wrong,
        problems: text.list(&["There is no target: choose a file, or one that is here already."]),
        warning: None,
        targets: Vec::new(),
        ..fresh
    };
    add("start-refused", start_form(&admin("/start/native-fuzz"), &refused));

    add(
        "workflows",
        workflows(&admin("/workflows"), &Workflows { rows: rows(text) }),
    );
    add(
        "workflows-none",
        workflows(&viewer("/workflows"), &Workflows { rows: Vec::new() }),
    );
    let step = |id: &str, module: &str, condition: Option<&str>| PlanStep {
        id: text.t(id),
        module: text.t(module),
        needs: Vec::new(),
        condition: condition.map(|one| text.t(one)),
    };
    let first = step("libfuzzer", "libfuzzer", Some("params.engine == 'libfuzzer'"));
    let second = step("afl", "afl", Some("params.engine == 'afl'"));
    let last = PlanStep {
        needs: vec![first.id.clone(), second.id.clone()],
        ..step("minimise", "corpus", None)
    };
    let plan = Workflow {
        row: rows(text).swap_remove(2),
        author: text.some("Helve"),
        tools: text.list(&["clang", "afl-fuzz"]),
        limits: vec![(text.t("Memory"), text.t("4Gi")), (text.t("Time"), text.t("26h"))],
        form,
        steps: vec![first, second, last],
        origin: text.t("shipped with Helve"),
        digest: text.t("9ae0ea9e3c9c6e1b9b6252c8395efdc1ae0ea9e3c9c6e1b9b6252c8395efdc10"),
    };
    add("workflow", workflow(&admin("/workflows/native-fuzz"), &plan));
    let code = Workflow {
        steps: Vec::new(),
        form: Form::default(),
        author: None,
        tools: Vec::new(),
        row: rows(text).swap_remove(0),
        ..plan
    };
    add("workflow-code", workflow(&viewer("/workflows/x"), &code));

    let module = |name: &str, kind: &str, description: &str, used: &[&str], problem: Option<&str>| Module {
        name: text.t(name),
        version: text.t("1.2.0"),
        description: text.t(description),
        kind: text.t(kind),
        tags: text.list(&["sast"]),
        used_by: text.list(used),
        problem: problem.map(|one| text.t(one)),
    };
    let list = vec![
        module(
            "bandit",
            "program",
            "Runs bandit on Python sources.",
            &["python-assessment"],
            None,
        ),
        module(
            "sast",
            "built in",
            "Rules on syntax trees of ten languages.",
            &["assessment", "rust-assessment", "web-assessment"],
            None,
        ),
        module(
            "yara",
            "program",
            "Matches YARA rules with YARA-X.",
            &[],
            Some("No worker has `yr`: helve verticals install binary"),
        ),
    ];
    add("modules", modules(&admin("/modules"), &Modules { rows: list }));
    add(
        "modules-none",
        modules(&admin("/modules"), &Modules { rows: Vec::new() }),
    );

    machines(text, admin, viewer, add);
    schedule(text, admin, viewer, add);
    people(text, admin, viewer, add);
}

fn machines(text: &Text, admin: Make<'_>, viewer: Make<'_>, add: Add<'_>) {
    let worker = |id: &str, verticals: &[&str], used: u64, state: WorkerState| Worker {
        id: text.t(id),
        verticals: text.list(verticals),
        slots_used: used,
        slots: 8,
        sandbox: text.t("isolated"),
        state,
    };
    let tool = |name: &str, version: Option<&str>| Tool {
        name: text.t(name),
        version: version.map(|one| text.t(one)),
    };
    let vertical = |name: &str, description: &str, workers: u64, waiting: u64, tools: Vec<Tool>| Vertical {
        name: text.t(name),
        description: text.t(description),
        workers,
        waiting,
        oldest: (waiting > 0).then_some(NOW - 26 * MINUTE),
        tools,
    };
    let all = Workers {
        workers: vec![
            worker("7f3a@build-04", &["builtin", "python"], 6, WorkerState::Ready),
            worker(
                "91bc@build-07",
                &["builtin", "python", "web", "rust", "native"],
                5,
                WorkerState::Draining,
            ),
            worker(
                "a0d4@fuzz-01.a-rather-long-domain.internal.acme.example",
                &["native"],
                0,
                WorkerState::Lost,
            ),
        ],
        verticals: vec![
            vertical(
                "android",
                "Tools for Android packages.",
                0,
                2,
                vec![tool("apktool", None), tool("androguard", None), tool("apkid", None)],
            ),
            vertical(
                "native",
                "Compilers, sanitizers and analysers for C and C++.",
                2,
                0,
                vec![
                    tool("clang", Some("19.1.7")),
                    tool("cppcheck", Some("2.17.1")),
                    tool("afl-fuzz", None),
                ],
            ),
            vertical(
                "python",
                "Tools for Python.",
                2,
                14,
                vec![tool("bandit", Some("1.9.2")), tool("semgrep", Some("1.142.0"))],
            ),
        ],
    };
    add("workers", workers(&admin("/workers"), &all));
    add(
        "workers-none",
        workers(
            &viewer("/workers"),
            &Workers {
                workers: Vec::new(),
                verticals: Vec::new(),
            },
        ),
    );
}

fn schedule(text: &Text, admin: Make<'_>, viewer: Make<'_>, add: Add<'_>) {
    let nightly = Schedule {
        id: text.t("nightly-payments"),
        workflow: text.t("assessment"),
        target: text.some("payments-api"),
        spec: text.t("0 2 * * *  Europe/Zurich"),
        note: text.some("The whole repository, every night."),
        next: Some(NOW + 6 * HOUR),
        last: Some((text.t("assessment-01jd6q"), RunState::Completed, NOW - 17 * HOUR)),
        paused: false,
    };
    let paused = Schedule {
        id: text.t("weekly-fuzz"),
        workflow: text.t("native-fuzz"),
        target: None,
        spec: text.t("@every 168h"),
        note: None,
        next: None,
        last: None,
        paused: true,
    };
    let list = Schedules {
        rows: vec![nightly, paused],
        workflows: text.list(&["assessment", "native-fuzz"]),
        targets: text.list(&["payments-api", "libparse"]),
    };
    add("schedules", schedules(&admin("/schedules"), &list));
    add(
        "schedules-none",
        schedules(
            &viewer("/schedules"),
            &Schedules {
                rows: Vec::new(),
                ..list
            },
        ),
    );
}

fn people(text: &Text, admin: Make<'_>, viewer: Make<'_>, add: Add<'_>) {
    let token = |id: &str, name: &str, role: Role, namespaces: &[&str], expires: Option<i64>, revoked: bool| Token {
        id: text.t(id),
        name: text.t(name),
        role,
        namespaces: text.list(namespaces),
        made: NOW - 20 * DAY,
        expires: expires.map(|ahead| NOW + ahead),
        used: (!revoked).then_some(NOW - 3 * MINUTE),
        revoked,
    };
    let list = Settings {
        tokens: vec![
            token("tk_01jd", "mira@acme.example", Role::Admin, &[], Some(70 * DAY), false),
            token(
                "tk_01jc",
                "CI of the payments team",
                Role::Analyst,
                &["payments"],
                Some(12 * DAY),
                false,
            ),
            token(
                "tk_01jb",
                "fuzz-01",
                Role::Worker,
                &["payments", "storefront", "firmware-and-embedded-devices"],
                None,
                false,
            ),
            token(
                "tk_01ja",
                "old laptop",
                Role::Operator,
                &["storefront"],
                Some(-DAY),
                true,
            ),
        ],
        made: Some(NewToken {
            name: text.t("CI of the storefront team"),
            text: text.t("helve_9XwT3kQ7mB1vZr5LhN8cJd2Yf6Ps0GaE4uKi"),
        }),
    };
    add("settings", settings(&admin("/settings"), &list));
    add(
        "settings-viewer",
        settings(
            &viewer("/settings"),
            &Settings {
                tokens: Vec::new(),
                made: None,
            },
        ),
    );
    let change = |ago: i64, actor: &str, from: &str, action: &str, object: &str, detail: Option<&str>| AuditRow {
        at: NOW - ago,
        actor: text.t(actor),
        from: text.t(from),
        action: text.t(action),
        object: text.t(object),
        detail: detail.map(|one| text.t(one)),
    };
    let log = Audit {
        rows: vec![
            change(
                20_000,
                "mira@acme.example",
                "203.0.113.7, browser",
                "token.create",
                "CI of the storefront team",
                Some("analyst in storefront, for 90 days"),
            ),
            change(
                3 * HOUR,
                "jo@acme.example",
                "203.0.113.9, browser",
                "finding.triage",
                "SQL built from request data",
                Some("open → confirmed: Reproduced on staging with sqlmap."),
            ),
            change(
                9 * HOUR,
                "schedule nightly-payments",
                "the server",
                "run.start",
                "assessment-01jd6q",
                None,
            ),
        ],
        further: true,
        next: text.some("eyJhZnRlciI6M30"),
    };
    add("audit", audit(&admin("/settings/audit"), &log));
    add(
        "audit-none",
        audit(
            &admin("/settings/audit"),
            &Audit {
                rows: Vec::new(),
                further: false,
                next: None,
            },
        ),
    );
}
