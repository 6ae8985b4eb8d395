//! Claims as clients hold them: sealed texts, good for one job in one queue of one namespace.

use std::io::{self, ErrorKind, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;

use crate::error::{Error, Result};
use crate::name::QueueName;

/// Bytes of the seal.
const SEAL: usize = 16;
/// Characters that a claim can have: more are not looked at.
const LONGEST: usize = 4096;

/// Seals claims. Whoever has it can make them; all servers of one engine that shall honour each other's claims share it.
#[derive(Clone)]
pub struct ClaimKey([u8; 32]);

impl ClaimKey {
    /// From bytes that nobody can guess.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// From a file, which is made when it is not there: only its owner can read it.
    pub fn in_file(path: &Path) -> Result<Self> {
        let failed = |source| Error::Key {
            path: path.to_owned(),
            source,
        };
        for _ in 0..2 {
            match std::fs::read(path) {
                Ok(bytes) => {
                    let short = |_| io::Error::new(ErrorKind::InvalidData, "it has not 32 bytes: remove it");
                    return Ok(Self(bytes.try_into().map_err(short).map_err(failed)?));
                }
                Err(error) if error.kind() == ErrorKind::NotFound => make(path).map_err(failed)?,
                Err(error) => return Err(failed(error)),
            }
        }
        Err(failed(ErrorKind::NotFound.into()))
    }
}

/// Whole or not there; whoever comes first makes it.
fn make(path: &Path) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)?;
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    // Temporary files are private from the beginning.
    let mut partial = tempfile::NamedTempFile::new_in(dir)?;
    partial.write_all(&bytes)?;
    partial.as_file().sync_all()?;
    match partial.persist_noclobber(path) {
        Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(error.error),
        _ => Ok(()),
    }
}

impl std::fmt::Debug for ClaimKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClaimKey")
    }
}

/// Who has a job, until the lease ends.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Claim {
    /// The namespace.
    #[prost(string, tag = "1")]
    pub namespace: String,
    /// Name of the queue.
    #[prost(string, tag = "2")]
    pub queue: String,
    /// The job.
    #[prost(string, tag = "3")]
    pub job: String,
    /// The run of it.
    #[prost(string, tag = "4")]
    pub run_id: String,
    /// The engine's own token.
    #[prost(bytes = "vec", tag = "5")]
    pub task_token: Vec<u8>,
    /// Which attempt this is.
    #[prost(int32, tag = "6")]
    pub attempt: i32,
    /// How long the lease lasts from each heartbeat.
    #[prost(int64, tag = "7")]
    pub lease_ms: i64,
}

impl Claim {
    /// As clients get it.
    pub fn seal(&self, key: &ClaimKey) -> String {
        let body = self.encode_to_vec();
        let mut bytes = seal(key, &body).to_vec();
        bytes.extend_from_slice(&body);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// A claim that was handed out for this namespace with this key.
    pub fn open(text: &str, key: &ClaimKey, namespace: &str) -> Result<Self> {
        let wrong = || Error::WrongClaim("server");
        if text.len() > LONGEST {
            return Err(wrong());
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
        let (given, body) = bytes.split_at_checked(SEAL).ok_or_else(wrong)?;
        // Hashes compare in constant time; what is cut off is filled up with what it must be.
        let mut full = *blake3::keyed_hash(&key.0, body).as_bytes();
        let expected = blake3::Hash::from_bytes(full);
        full[..SEAL].copy_from_slice(given);
        if blake3::Hash::from_bytes(full) != expected {
            return Err(wrong());
        }
        let claim = Self::decode(body).map_err(|_| wrong())?;
        match claim.namespace == namespace {
            true => Ok(claim),
            false => Err(Error::WrongClaim("namespace")),
        }
    }

    /// Refuses a claim of another queue.
    pub fn require_queue(&self, queue: &QueueName) -> Result<()> {
        match self.queue == queue.as_str() {
            true => Ok(()),
            false => Err(Error::WrongClaim("queue")),
        }
    }

    /// Refuses a claim of another job.
    pub fn require_job(&self, id: &str) -> Result<()> {
        match self.job == id {
            true => Ok(()),
            false => Err(Error::WrongClaim("job")),
        }
    }
}

fn seal(key: &ClaimKey, body: &[u8]) -> [u8; SEAL] {
    let hash = blake3::keyed_hash(&key.0, body);
    let mut seal = [0; SEAL];
    seal.copy_from_slice(&hash.as_bytes()[..SEAL]);
    seal
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claim() -> Claim {
        Claim {
            namespace: "default".into(),
            queue: "scans".into(),
            job: "job-1".into(),
            run_id: "r".into(),
            task_token: vec![1, 2, 3],
            attempt: 2,
            lease_ms: 30_000,
        }
    }

    #[test]
    fn a_claim_is_good_for_its_namespace_queue_and_job_only() {
        let key = ClaimKey::new([7; 32]);
        let text = claim().seal(&key);
        let opened = Claim::open(&text, &key, "default").unwrap();
        assert_eq!(opened, claim());
        assert!(Claim::open(&text, &key, "team-b").is_err());
        assert!(Claim::open(&text, &ClaimKey::new([8; 32]), "default").is_err());
        assert!(opened.require_queue(&"other".parse().unwrap()).is_err());
        assert!(opened.require_job("job-2").is_err());
        assert!(opened.require_queue(&"scans".parse().unwrap()).is_ok());
    }

    #[test]
    fn the_key_is_made_once_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("sub").join("claims.key");
        let first = ClaimKey::in_file(&file).unwrap();
        let second = ClaimKey::in_file(&file).unwrap();
        assert_eq!(first.0, second.0);
        assert_ne!(first.0, [0; 32]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::write(&file, b"short").unwrap();
        assert!(ClaimKey::in_file(&file).unwrap_err().to_string().contains("32 bytes"));
    }

    proptest! {
        #[test]
        fn no_changed_claim_is_taken(at in 0usize..200, flip in 1u8..255) {
            let key = ClaimKey::new([7; 32]);
            let mut bytes = URL_SAFE_NO_PAD.decode(claim().seal(&key)).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= flip;
            prop_assert!(Claim::open(&URL_SAFE_NO_PAD.encode(bytes), &key, "default").is_err());
        }

        #[test]
        fn what_somebody_made_up_is_refused(text in ".{0,300}") {
            prop_assert!(Claim::open(&text, &ClaimKey::new([7; 32]), "default").is_err());
        }
    }
}
