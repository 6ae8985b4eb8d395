//! The description as a page: made on the server, without scripts, from nothing but what the binary holds.

use std::fmt::Write;

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use serde_json::{Map, Value};

use crate::state::Api;

const STYLE: &str = include_str!("docs.css");
const POLICY: &str =
    "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// Schemas within schemas beyond this are named and not shown.
const DEEPEST: usize = 4;

/// The page and its style.
pub(crate) fn routes() -> Router<Api> {
    let page: &'static str = Box::leak(page(&crate::description()).into_boxed_str());
    let html = move || async move {
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
        ];
        (headers, page).into_response()
    };
    let css = || async { ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response() };
    Router::new()
        .route("/", get(|| async { Redirect::to("/api/v1/docs") }))
        .route("/api/v1/docs", get(html))
        .route("/api/v1/docs.css", get(css))
}

/// Any text, so that it is a text and nothing else.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// An operation with its address.
struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    says: &'a Value,
}

fn page(description: &Value) -> String {
    let title = text(&description["info"]["title"]);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>{title} API</title><link rel=\"stylesheet\" \
         href=\"/api/v1/docs.css\"></head><body><header><h1>{title} API</h1><p><a href=\"/api/v1/openapi.json\">openapi.json\
         </a></p></header>"
    );
    for paragraph in description["info"]["description"]
        .as_str()
        .unwrap_or_default()
        .split("\n\n")
    {
        let _ = write!(html, "<p>{}</p>", prose(paragraph));
    }
    let operations = operations(description);
    let mut tags: Vec<&str> = Vec::new();
    for operation in &operations {
        let tag = tag(operation);
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    html.push_str("<nav aria-label=\"Kinds of resources\"><ul>");
    for tag in &tags {
        let _ = write!(html, "<li><a href=\"#{0}\">{0}</a></li>", escaped(tag));
    }
    html.push_str("</ul></nav><main>");
    for name in tags {
        let _ = write!(html, "<section id=\"{0}\"><h2>{0}</h2>", escaped(name));
        for operation in operations.iter().filter(|operation| tag(operation) == name) {
            html.push_str(&described(operation, description));
        }
        html.push_str("</section>");
    }
    html.push_str("</main></body></html>\n");
    html
}

fn operations(description: &Value) -> Vec<Operation<'_>> {
    let mut all = Vec::new();
    for (path, item) in description["paths"].as_object().into_iter().flatten() {
        for method in ["get", "post", "put", "patch", "delete"] {
            if let Some(says) = item.get(method) {
                all.push(Operation { method, path, says });
            }
        }
    }
    all
}

fn tag<'a>(operation: &Operation<'a>) -> &'a str {
    operation.says["tags"][0].as_str().unwrap_or("Other")
}

fn described(operation: &Operation<'_>, description: &Value) -> String {
    let mut html = format!(
        "<details><summary><code class=\"{0}\">{1}</code> <code>{2}</code> <span>{3}</span></summary>",
        operation.method,
        operation.method.to_uppercase(),
        escaped(operation.path),
        prose(operation.says["summary"].as_str().unwrap_or_default())
    );
    for paragraph in operation.says["description"].as_str().unwrap_or_default().split("\n\n") {
        let _ = write!(html, "<p>{}</p>", prose(paragraph));
    }
    if let Some(parameters) = operation.says["parameters"].as_array().filter(|all| !all.is_empty()) {
        html.push_str("<h3>Parameters</h3><table><thead><tr><th>Name</th><th>In</th><th>Type</th><th>Meaning</th></tr></thead><tbody>");
        for parameter in parameters {
            let needed = if parameter["required"] == true {
                " (required)"
            } else {
                ""
            };
            let _ = write!(
                html,
                "<tr><td><code>{}</code>{needed}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                text(&parameter["name"]),
                text(&parameter["in"]),
                escaped(&kind(&parameter["schema"])),
                prose(parameter["description"].as_str().unwrap_or_default())
            );
        }
        html.push_str("</tbody></table>");
    }
    for (kind, body) in contents(&operation.says["requestBody"]) {
        let _ = write!(
            html,
            "<h3>Body: {}</h3>{}",
            escaped(kind),
            fields(&body["schema"], description, 0)
        );
    }
    let none = Map::new();
    for (status, response) in operation.says["responses"].as_object().unwrap_or(&none) {
        let _ = write!(
            html,
            "<h3>Answer {}</h3><p>{}</p>",
            escaped(status),
            prose(response["description"].as_str().unwrap_or_default())
        );
        for (kind, body) in contents(response).filter(|_| status != "default") {
            let _ = write!(
                html,
                "<p><code>{}</code></p>{}",
                escaped(kind),
                fields(&body["schema"], description, 0)
            );
        }
    }
    html.push_str("</details>");
    html
}

fn contents(of: &Value) -> impl Iterator<Item = (&str, &Value)> {
    of["content"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(kind, body)| (kind.as_str(), body))
}

/// The fields of a schema as a list.
fn fields(schema: &Value, description: &Value, depth: usize) -> String {
    let schema = resolved(schema, description);
    if let Some(items) = schema.get("items") {
        return fields(items, description, depth);
    }
    let alternatives = ["oneOf", "anyOf", "allOf"]
        .iter()
        .find_map(|key| schema[*key].as_array());
    if let Some(alternatives) = alternatives {
        return alternatives.iter().map(|one| fields(one, description, depth)).collect();
    }
    let Some(properties) = schema["properties"].as_object().filter(|_| depth < DEEPEST) else {
        return String::new();
    };
    let mut html = String::from("<ul>");
    for (name, property) in properties {
        let says = property["description"]
            .as_str()
            .or_else(|| resolved(property, description)["description"].as_str());
        let _ = write!(
            html,
            "<li><code>{}</code> <em>{}</em> {}{}</li>",
            escaped(name),
            escaped(&kind(property)),
            prose(says.unwrap_or_default()),
            fields(property, description, depth + 1)
        );
    }
    html.push_str("</ul>");
    html
}

fn resolved<'a>(schema: &'a Value, description: &'a Value) -> &'a Value {
    let name = schema["$ref"]
        .as_str()
        .and_then(|text| text.strip_prefix("#/components/schemas/"));
    name.map_or(schema, |name| &description["components"]["schemas"][name])
}

/// The type of a value in a word.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        return name.rsplit('/').next().unwrap_or_default().to_owned();
    }
    let alternatives = ["oneOf", "anyOf"].iter().find_map(|key| schema[*key].as_array());
    if let Some(alternatives) = alternatives {
        return alternatives.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    let base = match &schema["type"] {
        Value::String(one) => one.clone(),
        Value::Array(several) => several
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(" or "),
        _ => String::new(),
    };
    match schema["format"].as_str() {
        Some("date-time") => format!("{base} (date and time)"),
        _ => base,
    }
}

fn text(value: &Value) -> String {
    escaped(value.as_str().unwrap_or_default())
}

/// Escaped, with `code` as code.
fn prose(text: &str) -> String {
    let mut html = String::new();
    for (n, part) in escaped(text).split('`').enumerate() {
        match n % 2 {
            0 => html.push_str(part),
            _ => {
                let _ = write!(html, "<code>{part}</code>");
            }
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_on_the_page() {
        let description = crate::description();
        let page = page(&description);
        let all = operations(&description);
        assert!(all.len() > 30, "{}", all.len());
        for operation in all {
            assert!(page.contains(&escaped(operation.path)), "{}", operation.path);
            assert!(!text(&operation.says["summary"]).is_empty(), "{}", operation.path);
        }
    }

    #[test]
    fn a_text_is_never_markup() {
        assert_eq!(prose("<b> & `<i>`"), "&lt;b&gt; &amp; <code>&lt;i&gt;</code>");
    }
}
