//! Builds the search index of the shop.

use axum::extract::{Path, Query};
use axum::response::Html;
use std::process::Command;

const TABLE: &str = "items";

struct Search {
    term: String,
}

fn delete(conn: &rusqlite::Connection, name: &str) -> rusqlite::Result<usize> {
    conn.execute(&format!("DELETE FROM items WHERE name = '{name}'"), [])
}

fn delete_safe(conn: &rusqlite::Connection, name: &str) -> rusqlite::Result<usize> {
    conn.execute(&format!("DELETE FROM {TABLE} WHERE name = ?1"), [name])
}

fn compress(file: &str) -> std::io::Result<std::process::ExitStatus> {
    Command::new("sh").arg("-c").arg(format!("zstd {file}")).status()
}

fn compress_safe(file: &str) -> std::io::Result<std::process::ExitStatus> {
    Command::new("zstd").arg("--").arg(file).status()
}

async fn document(Path(name): Path<String>) -> Vec<u8> {
    let path = format!("/srv/documents/{name}");
    tokio::fs::read(path).await.unwrap_or_default()
}

async fn page(Path(number): Path<u32>) -> Vec<u8> {
    tokio::fs::read(format!("/srv/pages/first.html")).await.unwrap_or_default()
}

async fn results(Query(search): Query<Search>) -> Html<String> {
    Html(format!("<p>Results for {}</p>", search.term))
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().danger_accept_invalid_certs(true).build().unwrap()
}

fn good_client() -> reqwest::Client {
    reqwest::Client::builder().https_only(true).build().unwrap()
}
