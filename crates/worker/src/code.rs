//! The code of workflows: what runs pin, and where a worker has it from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use helve_blobs::{BlobId, BlobStore};
use helve_runtime::code::{CodeSource, Codes, GuestLimits};
use helve_runtime::{ReplayError, Verdict};
use helve_toolbox::run::PinnedPlan;
use helve_toolbox::{Shelf, Toolbox};
use temporalio_protos::temporal::api::history::v1::History;

use crate::StepError;

/// Code from the toolbox as it stands, or from the blobs of what runs have pinned.
struct Sources {
    shelf: Shelf,
    blobs: BlobStore,
    /// Other code, and its digest.
    other: Option<(String, Arc<[u8]>)>,
}

/// Where workflow code is found and kept.
pub struct Code {
    /// Workflows as they stand.
    pub toolbox: Shelf,
    /// What runs have pinned.
    pub blobs: BlobStore,
    /// Folder for compiled code, as in [`crate::WorkerOptions::compiled`].
    pub compiled: Option<PathBuf>,
    /// A component to replay with, instead of what the run pinned.
    pub instead: Option<Vec<u8>>,
}

impl Code {
    /// Ready to run, and the digest of what runs instead.
    pub(crate) fn codes(self) -> (Codes, Option<String>) {
        let other = self
            .instead
            .map(|code| (blake3::hash(&code).to_hex().to_string(), Arc::from(code)));
        let instead = other.as_ref().map(|(digest, _)| digest.clone());
        let sources = Sources {
            shelf: self.toolbox,
            blobs: self.blobs,
            other,
        };
        (Codes::new(GuestLimits::default(), self.compiled, sources), instead)
    }
}

/// Whether it is the code of a workflow; an error says for people why not. Compiled code is kept in `compiled`, so that
/// the first run does not wait for it. Blocking.
pub fn check_code(code: &[u8], compiled: Option<&Path>) -> Result<(), String> {
    struct Only(Vec<u8>);
    impl CodeSource for Only {
        fn source(&self, _digest: &str) -> Result<Vec<u8>, String> {
            Ok(self.0.clone())
        }
    }
    let digest = blake3::hash(code).to_hex().to_string();
    let codes = Codes::new(
        GuestLimits::default(),
        compiled.map(Path::to_owned),
        Only(code.to_vec()),
    );
    codes.get(&digest).map(drop)
}

/// Whether a recorded run could have been made by this code: see [`helve_runtime::replay`].
pub async fn replay(run_id: &str, history: History, code: Code) -> Result<Verdict, ReplayError> {
    let (codes, instead) = code.codes();
    helve_runtime::replay(run_id, history, codes, instead).await
}

impl CodeSource for Sources {
    fn source(&self, digest: &str) -> Result<Vec<u8>, String> {
        if let Some((_, code)) = self.other.as_ref().filter(|(other, _)| other == digest) {
            return Ok(code.to_vec());
        }
        if let Some(code) = self.shelf.current().code(digest) {
            return Ok(code.to_vec());
        }
        let id = digest.parse().map_err(|_| format!("{digest:?} is not a digest"))?;
        vouched(&self.blobs, &id, "the code of the workflow").map_err(|error| error.to_string())?;
        self.blobs.get(&id).map_err(|error| error.to_string())
    }
}

/// Stores what a run has pinned, the modules it may use and its code, so that every worker can load these versions, and
/// later too. Blocking.
pub fn store_pinned(toolbox: &Toolbox, plan: &PinnedPlan, blobs: &BlobStore) -> Result<(), StepError> {
    for module in toolbox.used_by(plan) {
        store(&module.digest, || module.bundle.to_bytes(), blobs)?;
    }
    if let Some(digest) = &plan.code
        && let Some(code) = toolbox.code(digest)
    {
        store(digest, || code.to_vec(), blobs)?;
    }
    Ok(())
}

fn store(digest: &str, bytes: impl FnOnce() -> Vec<u8>, blobs: &BlobStore) -> Result<(), StepError> {
    let id = digest.parse()?;
    if !blobs.touch(&id)? {
        blobs.put_bytes(&bytes())?;
    }
    Ok(blobs.vouch(&id)?)
}

/// Refuses to run what only looks as if it came from a toolbox. A run's input comes from whoever started the run, and the store
/// holds what anybody uploaded.
pub(crate) fn vouched(blobs: &BlobStore, id: &BlobId, what: &str) -> Result<(), StepError> {
    // What is not there may be on its way, and is somebody else's trouble.
    match blobs.is_vouched(id)? || !blobs.contains(id)? {
        true => Ok(()),
        false => Err(StepError::NotOfToolbox {
            what: what.to_owned(),
            digest: id.to_hex(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use helve_toolbox::Layer;
    use helve_toolbox::run::PlanInput;

    use super::*;

    const METADATA: &str = "name: w\nversion: '1'\ndescription: d\n";

    fn toolbox(code: &[u8]) -> Toolbox {
        let files = [("workflows/w/metadata.yaml".to_owned(), METADATA.to_owned())];
        let layer = Layer::memory("box", files).with_code("w", code);
        let loaded = Toolbox::load(&[Layer::embedded(), layer]);
        assert_eq!(loaded.problems, []);
        loaded.toolbox
    }

    #[test]
    fn a_run_finds_the_code_that_it_began_with_although_the_toolbox_has_other_code_by_now() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(dir.path()).unwrap();
        let before = toolbox(b"\0asm old");
        let input = PlanInput {
            workflow: "w".to_owned(),
            parameters: Default::default(),
        };
        let plan = before.pin(&input).unwrap().plan;
        assert!(plan.modules.contains_key("secrets"), "code may call any module");
        store_pinned(&before, &plan, &blobs).unwrap();
        let sources = Sources {
            shelf: Shelf::from(Arc::new(toolbox(b"\0asm new"))),
            blobs,
            other: None,
        };
        let pinned = plan.code.unwrap();
        assert_eq!(sources.source(&pinned).unwrap(), b"\0asm old");
        assert!(sources.source(&"0".repeat(64)).is_err());
        let uploaded = sources.blobs.put_bytes(b"\0asm made up").unwrap();
        let refused = sources.source(&uploaded.id.to_hex()).unwrap_err();
        assert!(refused.contains("from no toolbox"), "{refused}");
        assert!(sources.source("x").unwrap_err().contains("not a digest"));
    }
}
