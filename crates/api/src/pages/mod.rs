//! The pages of browsers: what [`helve_web`] draws, filled with what the API knows, behind a session and with a token in every
//! form.
//!
//! A handler answers with a page or a [`Problem`]; [`shell`] makes a page of the latter.

mod catalog;
mod findings;
mod home;
mod login;
mod machines;
mod multipart;
mod oidc;
mod runs;
mod settings;
mod shell;
mod start;
mod visit;
mod webhooks;
mod words;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use helve_web::routes::{self, actions, pages};

pub(crate) use visit::ChosenNamespace;

use crate::problem::{Problem, Result};
use crate::state::Api;

/// All pages, the assets, and what the forms do.
pub(crate) fn routes(api: &Api) -> Router<Api> {
    let inside = Router::new()
        .route(pages::OVERVIEW, get(home::overview))
        .route(pages::RUNS, get(runs::list))
        .route(pages::RUN, get(runs::show))
        .route(pages::START, get(start::offer))
        .route(pages::START_WORKFLOW, get(start::form).post(start::start))
        .route(pages::FINDINGS, get(findings::list))
        .route(pages::FINDING, get(findings::show))
        .route(pages::WORKFLOWS, get(catalog::workflows))
        .route(pages::WORKFLOW, get(catalog::workflow))
        .route(pages::MODULES, get(catalog::modules))
        .route(pages::WORKERS, get(machines::workers))
        .route(pages::SCHEDULES, get(machines::schedules).post(machines::make_schedule))
        .route(pages::SETTINGS, get(settings::tokens))
        .route(pages::AUDIT, get(settings::audit))
        .route(pages::WEBHOOKS, get(webhooks::list).post(webhooks::make))
        .route(pages::WEBHOOK, get(webhooks::show).post(webhooks::act))
        .route(actions::LOGOUT, post(login::logout))
        .route(actions::NAMESPACE, post(login::namespace))
        .route(actions::CANCEL, post(runs::cancel))
        .route(actions::TERMINATE, post(runs::terminate))
        .route(actions::RETRY, post(runs::retry))
        .route(actions::TRIAGE_MANY, post(findings::triage_many))
        .route(actions::TRIAGE, post(findings::triage))
        .route(actions::SCHEDULE, post(machines::change_schedule))
        .route(actions::DRAIN, post(machines::drain))
        .route(actions::TOKEN_NEW, post(settings::make_token))
        .route(actions::TOKEN_REVOKE, post(settings::revoke_token))
        // Uploads have bounds of their own, and so have forms.
        .layer(DefaultBodyLimit::disable())
        .layer(axum::middleware::from_fn_with_state(api.clone(), shell::inside));
    let outside = Router::new()
        .route(pages::LOGIN, get(login::show).post(login::login))
        .route(pages::LOGIN_ELSEWHERE, get(oidc::begin))
        .route(crate::oidc::CALLBACK, get(oidc::end))
        .layer(axum::middleware::from_fn_with_state(api.clone(), shell::outside));
    Router::new()
        .merge(inside)
        .merge(outside)
        .route(routes::ASSETS, get(asset))
}

async fn asset(crate::extract::Path(name): crate::extract::Path<String>) -> Result<Response> {
    let asset = helve_web::assets::find(&name).ok_or_else(|| Problem::not_found("there is no such asset"))?;
    let headers = [
        (header::CONTENT_TYPE, asset.media_type),
        (header::CACHE_CONTROL, helve_web::assets::CACHE_CONTROL),
    ];
    Ok((headers, asset.bytes).into_response())
}

/// A page.
fn html(text: String) -> Response {
    let mut response = ([(header::CONTENT_TYPE, helve_web::HTML)], text).into_response();
    shell::add_headers(&mut response);
    response
}

/// Where a form leads.
fn to(address: &str) -> Response {
    Redirect::to(address).into_response()
}
