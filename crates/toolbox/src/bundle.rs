//! A module's files as one value, addressed by what is in it: what a run pins, and what a worker loads the module from.

use std::collections::BTreeMap;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// All files of a module's folder. Equal files give equal bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// Text by path within the folder, with forward slashes; `module.yaml` among them.
    pub files: BTreeMap<String, String>,
    /// The component of a module of kind `wasm`: the one file that is not text.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "as_text")]
    pub component: Option<Arc<[u8]>>,
}

/// Bytes in JSON, as base64.
mod as_text {
    use super::*;

    pub(super) fn serialize<S: serde::Serializer>(bytes: &Option<Arc<[u8]>>, to: S) -> Result<S::Ok, S::Error> {
        bytes.as_ref().map(|bytes| STANDARD.encode(bytes)).serialize(to)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Arc<[u8]>>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        let bytes = text.map(|text| STANDARD.decode(text).map_err(serde::de::Error::custom));
        Ok(bytes.transpose()?.map(Arc::from))
    }
}

impl Bundle {
    /// Media type of a stored bundle.
    pub const MEDIA_TYPE: &'static str = "application/vnd.helve.module+json";

    /// As it is stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        // A BTreeMap writes its keys in order.
        serde_json::to_vec(self).expect("texts are JSON")
    }

    /// Reads what [`Self::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// BLAKE3 of the bytes, in hex: the version that runs pin, and the id of the blob.
    pub fn digest(&self) -> String {
        blake3::hash(&self.to_bytes()).to_hex().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_survives_storage_and_any_change_gives_another_digest() {
        let files = [("module.yaml", "name: m\n"), ("rules/a.yaml", "- \"é\"\n")];
        let mut bundle = Bundle {
            files: files.map(|(path, text)| (path.to_owned(), text.to_owned())).into(),
            component: None,
        };
        assert_eq!(Bundle::from_bytes(&bundle.to_bytes()).unwrap(), bundle);
        let before = bundle.digest();
        bundle.files.insert("rules/a.yaml".to_owned(), "- \"e\"\n".to_owned());
        assert_ne!(bundle.digest(), before);
        let before = bundle.digest();
        bundle.component = Some(Arc::from(&b"\0asm\xff"[..]));
        assert_ne!(bundle.digest(), before);
        assert_eq!(Bundle::from_bytes(&bundle.to_bytes()).unwrap(), bundle);
    }
}
