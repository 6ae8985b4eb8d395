//! Files of this machine that an assistant wants scanned.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use helve_blobs::{BlobStore, Control, PackOptions, Packed, pack};
use helve_client::{Client, target_name};

use crate::Allowed;
use crate::answer::Failure;

/// Packs what lies there and brings it to the server, unless the server has it. Returns its id and its name.
pub(crate) async fn upload(client: &Client, allowed: &Allowed, path: &Path) -> Result<(String, String), Failure> {
    let path = permitted(allowed, path)?;
    let scratch = tempfile::Builder::new().prefix("helve-mcp-").tempdir();
    let scratch = scratch.map_err(|error| Failure::new(format!("there is no room to pack it: {error}")))?;
    let blobs = BlobStore::open(scratch.path()).map_err(|error| Failure::new(error.to_string()))?;
    let store = blobs.clone();
    let packing = tokio::task::spawn_blocking(move || {
        let (progress, stop) = (|_: helve_blobs::Progress| {}, AtomicBool::new(false));
        pack(&path, &PackOptions::default(), &store, &Control::new(&progress, &stop))
    });
    let packed: Packed = packing
        .await
        .map_err(|error| Failure::new(format!("packing failed: {error}")))?
        .map_err(|error| Failure::new(error.to_string()))?;
    let id = match client.knows(&packed).await? {
        true => packed.id.to_hex(),
        false => client.push(&packed, &blobs, &|_| {}).await?,
    };
    Ok((id, target_name(&packed)))
}

/// The real place of a path, if it lies in a folder that the user has allowed. What lies elsewhere is not even looked at
/// in the answer: whether it exists is nobody's business.
fn permitted(allowed: &Allowed, path: &Path) -> Result<PathBuf, Failure> {
    let refused = || {
        let folders: Vec<String> = allowed.scan.iter().map(|dir| dir.display().to_string()).collect();
        let failure = Failure::new(format!("{} may not be scanned", path.display()));
        match folders.as_slice() {
            [] => failure.help("the user allows folders with `helve mcp --allow-scan DIR`; use a `target` instead"),
            folders => failure.help(format!("allowed is what lies in {}", folders.join(", "))),
        }
    };
    let found = match (path.is_absolute(), allowed.scan.first()) {
        (true, _) => path.to_owned(),
        (false, Some(first)) => first.join(path),
        (false, None) => return Err(refused()),
    };
    // Links are followed first: what they lead to counts.
    let real = std::fs::canonicalize(found).map_err(|_| refused())?;
    match allowed.scan.iter().any(|dir| real.starts_with(dir)) {
        true => Ok(real),
        false => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_in_an_allowed_folder_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(dir.path()).unwrap();
        let (inside, outside) = (root.join("in"), root.join("out"));
        std::fs::create_dir_all(inside.join("app")).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        let allowed = Allowed {
            scan: vec![inside.clone()],
            ..Allowed::default()
        };
        let take = |path: &Path| permitted(&allowed, path);
        assert_eq!(take(&inside.join("app")).unwrap(), inside.join("app"));
        assert_eq!(take(Path::new("app")).unwrap(), inside.join("app"));
        for wrong in ["../out", "..", "app/../../out", "gone"] {
            assert!(take(Path::new(wrong)).is_err(), "{wrong}");
        }
        assert!(take(&outside).is_err());
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
            assert!(take(Path::new("link")).is_err());
        }
        // Whether a place that is not allowed exists cannot be learnt.
        let message = |path: &Path| take(path).unwrap_err().text().replace(&path.display().to_string(), "");
        assert_eq!(message(&outside), message(&root.join("gone")));
        assert!(permitted(&Allowed::default(), &inside).is_err());
    }
}
