//! The HTTP API: REST under `/api/v1`, described by OpenAPI, errors as `application/problem+json`, live events as Server-Sent
//! Events.
//!
//! It decides nothing about runs or findings: runs go through Temporal's protocol ([`helve_runs`]), what a team must not lose
//! is in the ledger ([`helve_ledger`]), bytes are in the store of blobs. What is here is the door (who comes in), the shape of
//! requests and answers, and uploads until they are targets.
//!
//! [`router`] is the whole surface; [`serve`] gives it connections that are bounded in number and time.

mod docs;
mod door;
mod extract;
mod feeds;
mod figures;
mod guard;
mod ingest;
mod notes;
mod oidc;
mod openapi;
mod page;
mod pages;
mod problem;
mod quotas;
mod routes;
mod serve;
mod state;
mod targets;

pub use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use door::Peer;
pub use notes::Notes;
pub use oidc::{InvalidMap, InvalidOidc, OidcMap, OidcOptions};
pub use serve::serve;
pub use state::{EngineCheck, Hosts, Limits, Mesh, Options};

use problem::Problem;
use routes::{
    audit, catalog, events, findings, health, listed, login, namespaces, results, runs, schedules, start, tokens,
    uploads, workers,
};
use state::Api;

/// How often unfinished uploads are looked at.
const SWEEP_EVERY: std::time::Duration = std::time::Duration::from_secs(60 * 60);

/// The routes, and what they stand on. Needs a runtime with several threads.
///
/// # Errors
///
/// When the directory for uploads cannot be made.
pub fn router(options: Options) -> std::io::Result<Router> {
    let dir = options.dir.clone();
    let api = Api::new(options)?;
    sweep(&api);
    tokio::spawn(ingest::keep_on(api.clone(), dir));
    let (routes, description) = split();
    let description = serde_json::to_string(&description).expect("a description is plain data");
    let description: &'static str = Box::leak(description.into_boxed_str());
    let door = axum::middleware::from_fn_with_state(api.clone(), door::door);
    let inside = routes
        .route(
            "/api/v1/openapi.json",
            get(move || async move { ([(header::CONTENT_TYPE, "application/json")], description) }),
        )
        .merge(docs::routes())
        .route("/metrics", get(routes::metrics::metrics))
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .fallback(|| async { Problem::not_found("there is nothing at this address") })
        .layer(door)
        .layer(axum::middleware::from_fn(figures::name_route));
    Ok(Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .merge(pages::routes(&api))
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .fallback_service(inside.with_state(api.clone()))
        .layer(axum::middleware::from_fn_with_state(api.clone(), guard::guard))
        .layer(axum::middleware::map_response(no_empty_errors))
        .layer(axum::middleware::from_fn_with_state(api.clone(), figures::measure))
        .with_state(api))
}

/// The description alone, as it is served.
pub fn description() -> serde_json::Value {
    serde_json::to_value(split().1).expect("a description is plain data")
}

/// The handlers with their routes, and what they say of themselves: one cannot be there without the other.
fn split() -> (Router<Api>, utoipa::openapi::OpenApi) {
    let v1 = OpenApiRouter::new()
        .routes(routes!(catalog::workflows))
        .routes(routes!(catalog::workflow))
        .routes(routes!(catalog::parameters))
        .routes(routes!(catalog::modules))
        .routes(routes!(catalog::module))
        .routes(routes!(catalog::verticals))
        .routes(routes!(catalog::vertical))
        .routes(routes!(routes::targets::list, uploads::whole))
        .routes(routes!(routes::targets::show, routes::targets::forget))
        .routes(routes!(uploads::begin))
        .routes(routes!(uploads::show, uploads::append, uploads::abandon))
        .routes(routes!(uploads::complete))
        .routes(routes!(runs::list, start::start))
        .routes(routes!(runs::show))
        .routes(routes!(runs::cancel))
        .routes(routes!(runs::terminate))
        .routes(routes!(start::retry))
        .routes(routes!(events::events))
        .routes(routes!(results::show))
        .routes(routes!(results::findings))
        .routes(routes!(results::sarif))
        .routes(routes!(results::export))
        .routes(routes!(results::artifacts))
        .routes(routes!(results::artifact))
        .routes(routes!(results::logs))
        .routes(routes!(results::record))
        .routes(routes!(workers::list))
        .routes(routes!(workers::show))
        .routes(routes!(workers::drain))
        .routes(routes!(workers::queues))
        .routes(routes!(workers::queue))
        .routes(routes!(findings::list))
        .routes(routes!(findings::show))
        .routes(routes!(findings::triage))
        .routes(routes!(findings::triage_many))
        .routes(routes!(findings::overview))
        .routes(routes!(findings::facets))
        .routes(routes!(listed::export))
        .routes(routes!(findings::diff))
        .routes(routes!(findings::baselines, findings::make_baseline))
        .routes(routes!(findings::remove_baseline))
        .routes(routes!(schedules::list, schedules::make))
        .routes(routes!(schedules::show, schedules::remove))
        .routes(routes!(schedules::pause))
        .routes(routes!(schedules::resume))
        .routes(routes!(schedules::trigger))
        .routes(routes!(namespaces::list, namespaces::make))
        .routes(routes!(namespaces::show))
        .routes(routes!(routes::settings::show, routes::settings::set))
        .routes(routes!(tokens::list, tokens::make))
        .routes(routes!(tokens::show, tokens::revoke))
        .routes(routes!(tokens::me))
        .routes(routes!(login::logout))
        .routes(routes!(audit::list))
        // queue
        .routes(routes!(routes::queue::show::queues))
        .routes(routes!(routes::queue::show::stats))
        .routes(routes!(routes::queue::show::list, routes::queue::publish::publish))
        .routes(routes!(routes::queue::show::dead))
        .routes(routes!(routes::queue::show::job, routes::queue::operate::remove))
        .routes(routes!(routes::queue::claims::claim))
        .routes(routes!(routes::queue::claims::heartbeat))
        .routes(routes!(routes::queue::claims::complete))
        .routes(routes!(routes::queue::claims::fail))
        .routes(routes!(routes::queue::claims::heartbeats))
        .routes(routes!(routes::queue::claims::completions))
        .routes(routes!(routes::queue::claims::failures))
        .routes(routes!(routes::queue::operate::requeue))
        .routes(routes!(routes::queue::operate::requeue_dead))
        .routes(routes!(routes::queue::operate::cancel))
        .routes(routes!(routes::queue::operate::purge))
        // Mesh.
        .routes(routes!(routes::mesh::show))
        .routes(routes!(routes::mesh::tickets, routes::mesh::make))
        .routes(routes!(routes::mesh::revoke_ticket))
        .routes(routes!(routes::mesh::endpoints))
        .routes(routes!(routes::mesh::approve))
        .routes(routes!(routes::mesh::revoke))
        // Webhooks.
        .routes(routes!(routes::webhooks::list, routes::webhooks::make))
        .routes(routes!(
            routes::webhooks::show,
            routes::webhooks::change,
            routes::webhooks::remove
        ))
        .routes(routes!(routes::webhooks::rotate))
        .routes(routes!(routes::webhooks::test))
        .routes(routes!(routes::webhooks::deliveries))
        .routes(routes!(routes::webhooks::again));
    let (router, description) = OpenApiRouter::with_openapi(openapi::Base::openapi())
        .nest("/api/v1", v1)
        .split_for_parts();
    (router, openapi::finished(description))
}

/// Answers of the libraries below have no body that a client could read.
async fn no_empty_errors(response: Response) -> Response {
    let is_problem = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind == "application/problem+json");
    match response.status() {
        StatusCode::METHOD_NOT_ALLOWED if !is_problem => {
            let allow = response.headers().get(header::ALLOW).cloned();
            let mut answer = Problem::method_not_allowed().into_response();
            if let Some(allow) = allow {
                answer.headers_mut().insert(header::ALLOW, allow);
            }
            answer
        }
        _ => response,
    }
}

fn sweep(api: &Api) {
    let (uploads, idle) = (api.uploads.clone(), api.limits.upload_idle);
    let inner = std::sync::Arc::downgrade(api.shared());
    tokio::spawn(async move {
        while inner.strong_count() > 0 {
            let uploads = uploads.clone();
            if let Ok(Err(error)) = tokio::task::spawn_blocking(move || uploads.sweep(idle)).await {
                tracing::warn!(%error, "old uploads cannot be removed");
            }
            tokio::time::sleep(SWEEP_EVERY).await;
        }
    });
}
