//! Style sheet, scripts and icon, embedded. Their addresses carry a hash of their content, so they can be kept for ever.

use std::sync::LazyLock;

/// A file that pages refer to.
#[derive(Debug)]
pub struct Asset {
    /// What it is called under [`routes::ASSETS`](crate::routes::ASSETS), with the hash of its content.
    pub name: String,
    /// Its media type.
    pub media_type: &'static str,
    /// Its bytes.
    pub bytes: &'static [u8],
}

/// What to send with an asset: its name changes with its content.
pub const CACHE_CONTROL: &str = "public, max-age=31536000, immutable";

impl Asset {
    fn new(stem: &str, extension: &str, media_type: &'static str, text: &'static str) -> Self {
        let hash = blake3::hash(text.as_bytes()).to_hex();
        Self {
            name: format!("{stem}.{}.{extension}", &hash[..16]),
            media_type,
            bytes: text.as_bytes(),
        }
    }

    /// Its address.
    pub(crate) fn href(&self) -> String {
        format!("/assets/{}", self.name)
    }
}

/// The assets by what they are for.
pub(crate) struct Assets {
    pub(crate) style: Asset,
    pub(crate) icon: Asset,
    /// What every page has: theme, keys, tables.
    pub(crate) app: Asset,
    /// Pages that follow something.
    pub(crate) live: Asset,
    /// The form that uploads.
    pub(crate) upload: Asset,
}

pub(crate) static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    let script = "text/javascript; charset=utf-8";
    let style = concat!(
        include_str!("../assets/theme.css"),
        include_str!("../assets/frame.css"),
        include_str!("../assets/parts.css"),
        include_str!("../assets/pages.css"),
    );
    Assets {
        style: Asset::new("helve", "css", "text/css; charset=utf-8", style),
        icon: Asset::new("icon", "svg", "image/svg+xml", include_str!("../assets/icon.svg")),
        app: Asset::new("app", "js", script, include_str!("../assets/app.js")),
        live: Asset::new("live", "js", script, include_str!("../assets/live.js")),
        upload: Asset::new("upload", "js", script, include_str!("../assets/upload.js")),
    }
});

/// All assets, to be served at [`routes::ASSETS`](crate::routes::ASSETS) with [`CACHE_CONTROL`] and without a login.
pub fn all() -> impl Iterator<Item = &'static Asset> {
    let assets = &*ASSETS;
    [&assets.style, &assets.icon, &assets.app, &assets.live, &assets.upload].into_iter()
}

/// The asset of that name.
pub fn find(name: &str) -> Option<&'static Asset> {
    all().find(|asset| asset.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asset_is_found_by_its_whole_name_only() {
        for asset in all() {
            assert_eq!(find(&asset.name).map(|found| found.bytes), Some(asset.bytes));
            assert!(!asset.bytes.is_empty(), "{}", asset.name);
        }
        assert!(find("app.js").is_none() && find("../app.js").is_none());
    }

    #[test]
    fn nothing_in_an_asset_asks_another_server() {
        for asset in all() {
            let text = str::from_utf8(asset.bytes).expect("assets are text");
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("://"), "{}", asset.name);
        }
    }
}
