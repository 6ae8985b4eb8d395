//! The description of the API, made from the types and the handlers.

use serde::Serialize;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Description, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoParams, Modify, OpenApi, ToSchema};

use crate::problem::Problem;

/// The namespace that a request is about.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes what `door::Caller` reads")]
pub(crate) struct Namespace {
    /// The namespace; `default`, or the only one of the token, when nothing is said.
    namespace: Option<String>,
}

/// What makes a request safe to send again.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes what `extract::idempotency_key` reads")]
pub(crate) struct IdempotencyKey {
    /// Chosen by the client, new for each request: the same request with the same key is done once.
    #[param(rename = "Idempotency-Key")]
    idempotency_key: Option<String>,
}

/// Some items of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct Listing {
    /// May be fewer than asked for, even none, while there is a `next_cursor`.
    items: Vec<serde_json::Value>,
    /// Where the next page begins; null: this was the last one.
    next_cursor: Option<String>,
}

/// Bytes as they are.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "it describes the bodies of uploads")]
pub(crate) struct Bytes(Vec<u8>);

/// `data` of an event.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunEvent {
    /// When it happened, as far as that is known.
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<String>,
    /// What happened: by `type`, which is also the name of the event.
    #[serde(flatten)]
    kind: helve_runs::RunEventKind,
}

/// What does not come from a handler.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Helve",
        description = "Durable security testing: targets in, findings out, and nothing is lost.\n\nEvery request but \
            `/healthz` and `/readyz` presents a token: `Authorization: Bearer TOKEN`. Errors are problems (RFC 9457, \
            `application/problem+json`). Lists come in pages: `next_cursor` of one is `cursor` of the next. Answers to `GET` \
            have entity tags: with `If-None-Match` they are not sent again. Times are RFC 3339 in UTC.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    components(schemas(Problem)),
    security(("token" = []), ("session" = [])),
    modifiers(&Everywhere)
)]
pub(crate) struct Base;

/// What every operation has.
struct Everywhere;

impl Modify for Everywhere {
    fn modify(&self, description: &mut Description) {
        let components = description.components.get_or_insert_default();
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "`admin.token` in the data directory of the server has the first one",
            ))
            .build();
        components.add_security_scheme("token", SecurityScheme::Http(token));
        let session =
            ApiKeyValue::with_description(crate::door::SESSION_COOKIE, "Of a browser that followed a login link");
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(session)));
    }
}

/// The description with what every operation can answer.
pub(crate) fn finished(mut description: Description) -> Description {
    let problem = || {
        let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
        ResponseBuilder::new()
            .description("What went wrong")
            .content(
                "application/problem+json",
                ContentBuilder::new().schema(Some(schema)).build(),
            )
            .build()
    };
    for item in description.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.post,
            &mut item.put,
            &mut item.patch,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
            operation
                .responses
                .responses
                .insert("default".to_owned(), RefOr::T(problem()));
        }
    }
    description
}
