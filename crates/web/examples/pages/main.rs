//! Writes all pages, filled with samples, into a folder, with the assets and what each is sent with:
//! `cargo run -p helve-web --example pages -- DIR`. `tests/pages` shows them to a browser.

mod samples;

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use serde_json::{Map, Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = env::args_os().nth(1).ok_or("say into which folder the pages go")?;
    let dir = Path::new(&dir);
    fs::create_dir_all(dir.join("assets"))?;
    let headers: Map<String, Value> = helve_web::HEADERS
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).into()))
        .collect();
    let mut files = Vec::new();
    for page in samples::all(&samples::Text::real()) {
        let file = format!("{}.html", page.name);
        fs::write(dir.join(&file), page.html)?;
        files.push(
            json!({"path": format!("/{}", page.name), "file": file, "type": helve_web::HTML, "headers": headers}),
        );
    }
    for asset in helve_web::assets::all() {
        let file = format!("assets/{}", asset.name);
        fs::write(dir.join(&file), asset.bytes)?;
        files.push(json!({
            "path": format!("/{file}"), "file": file, "type": asset.media_type,
            "headers": {"cache-control": helve_web::assets::CACHE_CONTROL, "x-content-type-options": "nosniff"},
        }));
    }
    fs::write(dir.join("manifest.json"), serde_json::to_string_pretty(&files)?)?;
    Ok(())
}
