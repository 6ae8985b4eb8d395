//! Sample models that look real: what the pages are looked at with, and attacked with.

mod findings;
mod operations;
mod runs;
mod webhooks;

use std::cell::Cell;

use helve_web::{Frame, Millis, Notice, Role, Theme, User};

/// 2026-11-22 18:33:03 UTC.
pub(crate) const NOW: Millis = 1_795_372_383_000;
pub(crate) const MINUTE: Millis = 60_000;
pub(crate) const HOUR: Millis = 60 * MINUTE;
pub(crate) const DAY: Millis = 24 * HOUR;

/// Where all texts of the samples come from, so that a test can put something else in the place of each.
pub(crate) struct Text {
    hostile: Option<String>,
    used: Cell<usize>,
}

impl Text {
    pub(crate) fn real() -> Self {
        Self {
            hostile: None,
            used: Cell::new(0),
        }
    }

    /// Each text is this one, with its number at the place of `#`.
    #[allow(dead_code, reason = "only the tests attack")]
    pub(crate) fn hostile(payload: &str) -> Self {
        Self {
            hostile: Some(payload.to_owned()),
            used: Cell::new(0),
        }
    }

    pub(crate) fn t(&self, text: &str) -> String {
        let number = self.used.get();
        self.used.set(number + 1);
        match &self.hostile {
            Some(payload) => payload.replace('#', &number.to_string()),
            None => text.to_owned(),
        }
    }

    pub(crate) fn some(&self, text: &str) -> Option<String> {
        Some(self.t(text))
    }

    pub(crate) fn list(&self, texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| self.t(text)).collect()
    }
}

/// What is around the pages, for somebody of a role.
pub(crate) fn frame(text: &Text, here: &str, role: Role) -> Frame {
    Frame {
        now: NOW,
        user: Some(User {
            name: text.t("mira@acme.example"),
            role,
        }),
        namespace: text.t("payments"),
        namespaces: text.list(&["payments", "storefront", "firmware-and-embedded-devices"]),
        csrf: text.t("f3c1a9d2b4e86071"),
        theme: Theme::System,
        notice: None,
        here: if here.is_empty() { "/".to_owned() } else { text.t(here) },
        version: text.t("0.1.0"),
    }
}

fn stranger(text: &Text) -> Frame {
    Frame {
        user: None,
        ..frame(text, "/login", Role::Viewer)
    }
}

/// One page with the address it would have.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) html: String,
}

/// All pages, each in the states that look different.
pub(crate) fn all(text: &Text) -> Vec<Sample> {
    let admin = |here: &str| frame(text, here, Role::Admin);
    let viewer = |here: &str| frame(text, here, Role::Viewer);
    let mut samples = Vec::new();
    let mut add = |name: &'static str, html: String| samples.push(Sample { name, html });
    runs::add(text, &admin, &viewer, &mut add);
    findings::add(text, &admin, &viewer, &mut add);
    operations::add(text, &admin, &viewer, &mut add);
    webhooks::add(text, &admin, &viewer, &mut add);

    let stranger = stranger(text);
    let login = helve_web::pages::Login {
        code: None,
        elsewhere: None,
        problem: None,
        next: text.t("/"),
    };
    add("login", helve_web::pages::login(&stranger, &login));
    let refused = helve_web::pages::Login {
        problem: text.some("This token is not known here, or has expired."),
        elsewhere: Some((text.t("/login/elsewhere"), text.t("Acme single sign-on"))),
        ..login.clone()
    };
    add("login-refused", helve_web::pages::login(&stranger, &refused));
    let link = helve_web::pages::Login {
        code: text.some("9b1f5c70e2"),
        ..login
    };
    add("login-link", helve_web::pages::login(&stranger, &link));
    add("signed-in", helve_web::pages::signed_in(&stranger, &text.t("/runs")));
    let lost = helve_web::pages::ErrorPage {
        status: 404,
        detail: None,
        request: None,
    };
    let with_notice = Frame {
        notice: Some(Notice::Problem(
            text.t("The run was over before it could be cancelled."),
        )),
        ..admin("/nowhere")
    };
    add("error-404", helve_web::pages::error(&with_notice, &lost));
    let broken = helve_web::pages::ErrorPage {
        status: 500,
        detail: text.some("The disk of the server is full: nothing more can be stored until somebody makes room."),
        request: text.some("01JD9X3V5Q8Z7"),
    };
    add("error-500", helve_web::pages::error(&stranger, &broken));
    samples
}

type Make<'a> = &'a dyn Fn(&str) -> Frame;
type Add<'a> = &'a mut dyn FnMut(&'static str, String);
