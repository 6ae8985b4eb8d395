//! What is kept between two starts: the account, and the certificate with its key. Readable by the owner only.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use instant_acme::AccountCredentials;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::pair::read;

pub(super) struct Kept {
    dir: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct KeptAccount {
    /// Whose account it is.
    directory: String,
    credentials: AccountCredentials,
}

impl Kept {
    /// Makes the directory when needed.
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(dir).map_err(|error| Error::Read {
            path: dir.to_owned(),
            error,
        })?;
        Ok(Self { dir: dir.to_owned() })
    }

    fn certificate_file(&self) -> PathBuf {
        self.dir.join("certificate.pem")
    }

    fn account_file(&self) -> PathBuf {
        self.dir.join("account.json")
    }

    /// Key and chain in one file, so that one is never there without the other.
    pub(super) fn certificate(&self) -> Result<Option<Vec<u8>>, Error> {
        match read(&self.certificate_file()) {
            Ok(text) => Ok(Some(text)),
            Err(Error::Read { error, .. }) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn keep_certificate(&self, text: String) -> Result<(), String> {
        write(self.certificate_file(), text.into_bytes()).await
    }

    /// The account at this authority.
    pub(super) async fn account(&self, directory: &str) -> Result<Option<AccountCredentials>, String> {
        let file = self.account_file();
        let text = tokio::task::spawn_blocking(move || read(&file)).await;
        let text = match text.map_err(|error| error.to_string())? {
            Ok(text) => text,
            Err(Error::Read { error, .. }) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        match serde_json::from_slice::<KeptAccount>(&text) {
            Ok(kept) => Ok((kept.directory == directory).then_some(kept.credentials)),
            Err(error) => {
                // A new account does no harm.
                tracing::warn!("{} cannot be used: {error}", self.account_file().display());
                Ok(None)
            }
        }
    }

    pub(super) async fn keep_account(&self, directory: &str, credentials: AccountCredentials) -> Result<(), String> {
        let kept = KeptAccount {
            directory: directory.to_owned(),
            credentials,
        };
        let text = serde_json::to_vec(&kept).map_err(|error| error.to_string())?;
        write(self.account_file(), text).await
    }
}

/// Whole or not there, and nobody else's to read.
async fn write(file: PathBuf, text: Vec<u8>) -> Result<(), String> {
    let (shown, dir) = (
        file.display().to_string(),
        file.parent().unwrap_or(Path::new(".")).to_owned(),
    );
    let written = tokio::task::spawn_blocking(move || {
        // Temporary files are private from the beginning.
        let mut partial = tempfile::NamedTempFile::new_in(dir)?;
        partial.write_all(&text)?;
        partial.as_file().sync_all()?;
        partial.persist(&file).map(drop).map_err(|error| error.error)
    });
    match written.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("cannot write {shown}: {error}")),
        Err(error) => Err(format!("cannot write {shown}: {error}")),
    }
}
