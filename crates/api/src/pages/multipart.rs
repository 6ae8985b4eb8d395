//! The form that starts a run: small fields, and a file that goes to the disk as it comes.

use axum::body::Body;
use axum::extract::multipart::{Field, Multipart};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

use super::visit::check;
use crate::door::Caller;
use crate::problem::{Problem, Result};
use crate::routes::targets::TargetInfo;
use crate::routes::uploads::{NewUpload, at_once};
use crate::state::Api;
use crate::targets::Format;

/// Fields of a form at most.
const FIELDS: usize = 1000;
/// Pieces of a file that wait for the disk.
const AHEAD: usize = 4;

/// What was sent.
pub(super) struct Form {
    /// The small fields.
    pub(super) pairs: Vec<(String, String)>,
    /// The file, which is a target now.
    pub(super) target: Option<TargetInfo>,
}

/// Reads all of it. The token that proves where the form comes from must be the first field, so that nothing is taken before it.
pub(super) async fn read(api: &Api, caller: &Caller, wanted: Option<&str>, mut form: Multipart) -> Result<Form> {
    let mut sent = Form {
        pairs: Vec::new(),
        target: None,
    };
    let (mut is_ours, mut bytes) = (false, 0);
    while let Some(field) = form.next_field().await.map_err(broken)? {
        let name = field.name().unwrap_or_default().to_owned();
        if !is_ours {
            let token = match name.as_str() {
                "csrf" => text(field, 1000).await?,
                _ => String::new(),
            };
            check(wanted, &token)?;
            is_ours = true;
            continue;
        }
        if sent.pairs.len() >= FIELDS {
            return Err(Problem::too_large(format!("a form has {FIELDS} fields at most")));
        }
        match field.file_name().map(str::to_owned) {
            // A form without a chosen file sends one without a name.
            Some(file) if name == "target" && !file.is_empty() => {
                sent.target = Some(take(api, caller, &file, field).await?);
            }
            Some(_) => {}
            None => {
                let value = text(field, api.limits.json_bytes - bytes).await?;
                bytes += value.len();
                sent.pairs.push((name, value));
            }
        }
    }
    match is_ours {
        true => Ok(sent),
        false => Err(Problem::bad_request("the form is empty")),
    }
}

async fn text(mut field: Field<'_>, limit: usize) -> Result<String> {
    let mut bytes = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(broken)? {
        if bytes.len() + piece.len() > limit {
            return Err(Problem::too_large("the fields of the form are too large together"));
        }
        bytes.extend_from_slice(&piece);
    }
    String::from_utf8(bytes).map_err(|_| Problem::bad_request("a field of the form is no text"))
}

async fn take(api: &Api, caller: &Caller, file: &str, mut field: Field<'_>) -> Result<TargetInfo> {
    let (name, format) = meant(file);
    let new = NewUpload {
        name,
        format,
        size: None,
        include_ignored: false,
        left_out: None,
    };
    // The field lives as long as the form, and the body of an upload must live longer.
    let (sender, receiver) = mpsc::channel::<Result<Bytes, axum::BoxError>>(AHEAD);
    let body = Body::from_stream(stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    }));
    let feeding = async move {
        while let Some(piece) = field.next().await {
            // Whoever reads it has given up: its answer says why.
            if sender.send(piece.map_err(Into::into)).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(feeding, at_once(api, caller, new, body)).1
}

/// What a target is called and how it is read, by the name of its file.
fn meant(file: &str) -> (String, Format) {
    const ARCHIVES: [(&str, Format); 5] = [
        (".tar", Format::Tar),
        (".tar.gz", Format::TarGz),
        (".tgz", Format::TarGz),
        (".tar.zst", Format::TarZst),
        (".tzst", Format::TarZst),
    ];
    let lower = file.to_ascii_lowercase();
    let archive = ARCHIVES.iter().find(|(end, _)| lower.ends_with(end));
    match archive.map(|(end, format)| (&file[..file.len() - end.len()], *format)) {
        Some((name, format)) if !name.is_empty() => (name.to_owned(), format),
        _ => (file.to_owned(), Format::File),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn broken(error: axum::extract::multipart::MultipartError) -> Problem {
    Problem::bad_request(format!("the form cannot be read: {}", error.body_text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_known_by_its_name_and_is_not_called_by_its_end() {
        assert_eq!(meant("my-app.tar.gz"), ("my-app".to_owned(), Format::TarGz));
        assert_eq!(meant("App.TGZ"), ("App".to_owned(), Format::TarGz));
        assert_eq!(meant("app.apk"), ("app.apk".to_owned(), Format::File));
        assert_eq!(meant(".tar"), (".tar".to_owned(), Format::File));
    }
}
