//! Uploads that become targets. One that broke off goes on where it ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::extract::{FromRequest, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use helve_ledger::Role;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::targets::TargetInfo;
use crate::door::Caller;
use crate::extract::{Json, Path, Query, Reply, created, encoded, idempotency_key};
use crate::guard::is_slow;
use crate::problem::{FieldError, Problem, Result};
use crate::quotas;
use crate::state::Api;
use crate::targets::{Bytes, Format, LeftOut, Upload, UploadError, Uploads, take_in};

/// Characters of a target's name.
const LONGEST_NAME: usize = 200;
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");

/// What is going to be uploaded.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUpload {
    /// What the target is called. The same name is the same target, whatever its content.
    pub(crate) name: String,
    /// How the bytes are to be read.
    pub(crate) format: Format,
    /// Bytes in all, if that is known: then an upload that is too large is refused at once.
    #[serde(default)]
    pub(crate) size: Option<u64>,
    /// Take also what `.gitignore` and other ignore files exclude.
    #[serde(default)]
    pub(crate) include_ignored: bool,
    /// What the client left out when it packed the target, so that reports say where nobody looked.
    #[serde(default)]
    pub(crate) left_out: Option<LeftOut>,
}

/// An upload that is under way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UploadInfo {
    /// Names it.
    id: String,
    /// What the target is called.
    name: String,
    /// How the bytes are to be read.
    format: Format,
    /// Bytes that are there.
    offset: u64,
    /// Bytes in all, if that was said.
    size: Option<u64>,
    /// The target that became of it.
    target: Option<String>,
}

impl UploadInfo {
    fn new(upload: Upload, offset: u64) -> Self {
        Self {
            id: upload.id,
            name: upload.name,
            format: upload.format,
            offset,
            size: upload.size,
            target: upload.target.map(|id| id.to_hex()),
        }
    }
}

/// Begin an upload.
///
/// Then send bytes with `PATCH`, and turn them into a target with `POST .../complete`. With `Idempotency-Key` beginning again
/// finds the upload that was begun.
#[utoipa::path(post, path = "/uploads", tag = "Targets", params(crate::openapi::Namespace, crate::openapi::IdempotencyKey),
    request_body = NewUpload, responses((status = 201, description = "It has begun", body = UploadInfo)))]
pub(crate) async fn begin(
    caller: Caller,
    State(api): State<Api>,
    headers: HeaderMap,
    Json(new): Json<NewUpload>,
) -> Result<Response> {
    caller.require(Role::Operator)?;
    let key = idempotency_key(&headers)?;
    let upload = checked(&api, &caller, new, key).await?;
    caller
        .record("upload.begin", &upload.id, json!({ "name": upload.name }))
        .await?;
    let (upload, offset) = begun(&api, upload).await?;
    let location = format!("/api/v1/uploads/{}?namespace={}", upload.id, encoded(&caller.namespace));
    created(&location, &UploadInfo::new(upload, offset))
}

async fn checked(api: &Api, caller: &Caller, new: NewUpload, key: Option<&str>) -> Result<Upload> {
    check_name("name", &new.name)?;
    let most = api.limits.upload_bytes;
    if new.size.is_some_and(|size| size > most) {
        return Err(Problem::too_large(format!("an upload may have {most} bytes at most")));
    }
    // One that cannot end need not begin. Its bytes are counted when they come.
    if new.size.unwrap_or_default() > quotas::left_on_server(api, None).await? {
        return Err(quotas::uploads_full());
    }
    let id = match key {
        None => uuid::Uuid::new_v4().simple().to_string(),
        Some(key) => {
            let mut hasher = blake3::Hasher::new_derive_key("helve 2026-11-22 idempotency key of an upload");
            for part in [&caller.namespace, &caller.principal.actor.name, key] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part.as_bytes());
            }
            hasher.finalize().to_hex()[..32].to_owned()
        }
    };
    Ok(Upload {
        id,
        namespace: caller.namespace.clone(),
        name: new.name,
        format: new.format,
        size: new.size,
        include_ignored: new.include_ignored,
        left_out: new.left_out.map(LeftOut::bounded),
        at: Timestamp::now(),
        by: caller.principal.actor.name.clone(),
        target: None,
    })
}

/// Writes it down, or finds what was begun under the same key.
async fn begun(api: &Api, upload: Upload) -> Result<(Upload, u64)> {
    // What was begun before has its room already, or has become a target.
    let room = match api.uploads.get(&upload.id).map_err(disk)? {
        Some(_) => None,
        None => Some(quotas::room_for_upload(api, &upload.namespace, Some(&upload.id), upload.size).await?),
    };
    let uploads = api.uploads.clone();
    let work = tokio::task::spawn_blocking(move || {
        let _room = room;
        if uploads.begin(&upload)? {
            return Ok((upload, 0, true));
        }
        let (before, offset) = uploads.get(&upload.id)?.ok_or(std::io::ErrorKind::NotFound)?;
        let is_same = before.name == upload.name
            && (before.format, before.size, before.include_ignored)
                == (upload.format, upload.size, upload.include_ignored);
        Ok((before, offset, is_same))
    });
    let (upload, offset, is_same) = work
        .await
        .map_err(std::io::Error::other)
        .and_then(|done| done)
        .map_err(disk)?;
    match is_same {
        true => Ok((upload, offset)),
        false => Err(Problem::unprocessable(
            "this Idempotency-Key was used for another upload: take a new one for each",
        )),
    }
}

/// Refuses what nobody could read as the name of a target.
pub(crate) fn check_name(field: &str, name: &str) -> Result<()> {
    let wrong = |message: &str| {
        Err(
            Problem::unprocessable("the name of the target is wrong").with_errors([FieldError {
                field: field.to_owned(),
                message: message.to_owned(),
            }]),
        )
    };
    if name.trim().is_empty() {
        return wrong("must not be empty");
    }
    if name.chars().count() > LONGEST_NAME {
        return wrong("has more than 200 characters");
    }
    if name.chars().any(char::is_control) {
        return wrong("holds a control character");
    }
    Ok(())
}

/// An upload of the caller's namespace.
async fn find(api: &Api, caller: &Caller, id: &str) -> Result<(Upload, u64)> {
    let (uploads, wanted) = (api.uploads.clone(), id.to_owned());
    let found = tokio::task::spawn_blocking(move || uploads.get(&wanted)).await;
    let found = found
        .map_err(std::io::Error::other)
        .and_then(|found| found)
        .map_err(disk)?;
    found
        .filter(|(upload, _)| upload.namespace == caller.namespace)
        .ok_or_else(|| Problem::not_found("there is no such upload, or not any more: begin another one"))
}

/// Show how far an upload is.
#[utoipa::path(get, path = "/uploads/{id}", tag = "Targets",
    params(("id" = String, Path, description = "The upload"), crate::openapi::Namespace),
    responses((status = 200, description = "The upload; the header `Upload-Offset` says where it goes on", body = UploadInfo)))]
pub(crate) async fn show(caller: Caller, State(api): State<Api>, Path(id): Path<String>) -> Result<Response> {
    caller.require(Role::Operator)?;
    let (upload, offset) = find(&api, &caller, &id).await?;
    Ok(([(OFFSET, offset)], Reply(UploadInfo::new(upload, offset))).into_response())
}

/// Append bytes to an upload.
///
/// `Upload-Offset` says where they go: at the end of what is there, which `GET` tells. When the answer has come, they are on
/// disk. What came of a body that broke off is kept too.
#[utoipa::path(patch, path = "/uploads/{id}", tag = "Targets",
    params(("id" = String, Path, description = "The upload"), crate::openapi::Namespace,
        ("Upload-Offset" = u64, Header, description = "Bytes that are there already")),
    request_body(content = inline(crate::openapi::Bytes), content_type = "application/octet-stream"),
    responses((status = 204, description = "They are on disk; the header `Upload-Offset` says where it goes on")))]
pub(crate) async fn append(
    caller: Caller,
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Stream(body): Stream,
) -> Result<Response> {
    caller.require(Role::Operator)?;
    let offset = headers
        .get(OFFSET)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let offset = offset.ok_or_else(|| Problem::bad_request("the header Upload-Offset says where the bytes go"))?;
    let (upload, _) = find(&api, &caller, &id).await?;
    if upload.target.is_some() {
        return Err(Problem::conflict("this upload is a target already"));
    }
    let coming = content_length(&headers).unwrap_or_default();
    let length = write(&api, &upload, offset, Bytes { body, coming }).await?;
    Ok((StatusCode::NO_CONTENT, [(OFFSET, length)]).into_response())
}

/// What the head of a request says of its body.
fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn write(api: &Api, upload: &Upload, offset: u64, bytes: Bytes) -> Result<u64> {
    let room = quotas::room_for_upload(api, &upload.namespace, Some(&upload.id), upload.size).await?;
    let limit = upload.size.unwrap_or(u64::MAX).min(room.bytes);
    // The bytes may come slowly: others need not wait for them. Each takes its room when it comes.
    drop(room);
    let more_room = |wanted| quotas::more_room(api, upload, wanted);
    api.uploads
        .append(&upload.id, offset, bytes, limit, more_room)
        .await
        .map_err(refused)
}

/// Turn an upload into a target. Doing it again gives the same answer.
#[utoipa::path(post, path = "/uploads/{id}/complete", tag = "Targets",
    params(("id" = String, Path, description = "The upload"), crate::openapi::Namespace),
    responses((status = 201, description = "The target", body = TargetInfo)))]
pub(crate) async fn complete(caller: Caller, State(api): State<Api>, Path(id): Path<String>) -> Result<Response> {
    caller.require(Role::Operator)?;
    let (upload, length) = find(&api, &caller, &id).await?;
    caller
        .record(
            "target.upload",
            &upload.id,
            json!({ "name": upload.name, "bytes": length }),
        )
        .await?;
    // A client that leaves does not stop it: it comes back and finds the target.
    let target = finish(&api, upload, length, Arc::default()).await?;
    answered(&target, &caller)
}

fn answered(target: &TargetInfo, caller: &Caller) -> Result<Response> {
    let namespace = encoded(&caller.namespace);
    created(&format!("/api/v1/targets/{}?namespace={namespace}", target.id), target)
}

/// Turns it into a target, until `stop` turns true: then it is gone.
async fn finish(api: &Api, upload: Upload, length: u64, stop: Arc<AtomicBool>) -> Result<TargetInfo> {
    if let Some(target) = upload.target {
        let known = api.targets.get(&upload.namespace, &target).map_err(disk)?;
        let known = known.ok_or_else(|| Problem::not_found("the target of this upload was forgotten"))?;
        return Ok(TargetInfo::new(&target, known));
    }
    if let Some(size) = upload.size.filter(|size| *size != length) {
        return Err(Problem::conflict(format!(
            "{length} of {size} bytes are there: send the rest first, from byte {length}"
        )));
    }
    // The namespace may have less room than it had.
    drop(quotas::room_for_upload(api, &upload.namespace, Some(&upload.id), Some(length)).await?);
    let held = api.uploads.hold(&upload.id).map_err(refused)?;
    let permit = api.packing.acquire().await;
    let _permit = permit.map_err(|error| Problem::internal("targets cannot be packed", error))?;
    let (here, wanted) = (api.clone(), upload.clone());
    let work = tokio::task::spawn_blocking(move || {
        let (data, scratch) = (here.uploads.data(&wanted.id), here.uploads.scratch(&wanted.id));
        let intake = take_in(&wanted, &data, &scratch, &here.blobs, &stop).and_then(|intake| {
            here.targets
                .put(&wanted.namespace, &intake.id, &intake.target)
                .and_then(|()| here.uploads.finish(&wanted, intake.id))
                .map_err(disk)?;
            Ok(intake)
        });
        // In this order: whoever says stop either sees that it is held no more, or is seen here.
        drop(held);
        if stop.load(Ordering::SeqCst) {
            let _ = here.uploads.remove(&wanted.id);
        }
        intake
    });
    let intake = work
        .await
        .map_err(|error| Problem::internal("the target cannot be packed", error))??;
    tracing::info!(target = %intake.id, name = upload.name, namespace = upload.namespace, by = upload.by, "target uploaded");
    Ok(TargetInfo::new(&intake.id, intake.target))
}

/// Give an upload up.
#[utoipa::path(delete, path = "/uploads/{id}", tag = "Targets",
    params(("id" = String, Path, description = "The upload"), crate::openapi::Namespace),
    responses((status = 204, description = "It is gone")))]
pub(crate) async fn abandon(caller: Caller, State(api): State<Api>, Path(id): Path<String>) -> Result<StatusCode> {
    caller.require(Role::Operator)?;
    let (upload, _) = find(&api, &caller, &id).await?;
    caller
        .record("upload.abandon", &upload.id, json!({ "name": upload.name }))
        .await?;
    let held = api.uploads.hold(&upload.id).map_err(refused)?;
    let uploads = api.uploads.clone();
    let removed = tokio::task::spawn_blocking(move || {
        let _held = held;
        uploads.remove(&upload.id)
    });
    removed
        .await
        .map_err(std::io::Error::other)
        .and_then(|removed| removed)
        .map_err(disk)?;
    Ok(StatusCode::NO_CONTENT)
}

/// What the body of a one-request upload is.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct WholeUpload {
    /// What the target is called.
    name: String,
    /// How the bytes are to be read: `tar`, `tar-gz`, `tar-zst` or `file`.
    #[param(inline)]
    format: Format,
    /// Take also what ignore files exclude.
    include_ignored: Option<bool>,
}

/// Upload a target in one request. For large ones, `/uploads` can be resumed.
#[utoipa::path(post, path = "/targets", tag = "Targets", params(crate::openapi::Namespace, WholeUpload),
    request_body(content = inline(crate::openapi::Bytes), content_type = "application/octet-stream"),
    responses((status = 201, description = "The target", body = TargetInfo)))]
pub(crate) async fn whole(
    caller: Caller,
    State(api): State<Api>,
    Query(asked): Query<WholeUpload>,
    headers: HeaderMap,
    Stream(body): Stream,
) -> Result<Response> {
    let new = NewUpload {
        name: asked.name,
        format: asked.format,
        size: content_length(&headers),
        include_ignored: asked.include_ignored.unwrap_or(false),
        left_out: None,
    };
    answered(&at_once(&api, &caller, new, body).await?, &caller)
}

/// The target of a body that comes in one piece.
pub(crate) async fn at_once(api: &Api, caller: &Caller, new: NewUpload, body: Body) -> Result<TargetInfo> {
    caller.require(Role::Operator)?;
    let upload = checked(api, caller, new, None).await?;
    let passing = Passing::new(&api.uploads, &upload.id);
    let (upload, _) = begun(api, upload).await?;
    let outcome = match write(api, &upload, 0, Bytes { body, coming: 0 }).await {
        Ok(length) => {
            let detail = json!({ "name": upload.name, "bytes": length });
            match caller.record("target.upload", &upload.id, detail).await {
                Ok(()) => finish(api, upload, length, Arc::clone(&passing.stop)).await,
                Err(problem) => Err(problem),
            }
        }
        Err(problem) => Err(problem),
    };
    passing.end().await;
    outcome
}

/// An upload that nobody but one request knows. It goes with that request, also when its client leaves.
struct Passing {
    uploads: Uploads,
    /// None when it is gone.
    id: Option<String>,
    stop: Arc<AtomicBool>,
}

impl Passing {
    fn new(uploads: &Uploads, id: &str) -> Self {
        Self {
            uploads: uploads.clone(),
            id: Some(id.to_owned()),
            stop: Arc::default(),
        }
    }

    async fn end(mut self) {
        if let Some(id) = self.id.take() {
            let uploads = self.uploads.clone();
            let _ = tokio::task::spawn_blocking(move || uploads.remove(&id)).await;
        }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.stop.store(self.id.is_some(), Ordering::SeqCst);
        let Some(id) = self.id.take() else { return };
        // Without a runtime the server is gone too: what is left is swept in time.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let uploads = self.uploads.clone();
        runtime.spawn_blocking(move || {
            // Who works on it at this moment stops soon, and removes it then.
            if let Ok(_held) = uploads.hold(&id) {
                let _ = uploads.remove(&id);
            }
        });
    }
}

/// A body that is worked on as it comes.
pub(crate) struct Stream(Body);

impl FromRequest<Api> for Stream {
    type Rejection = Problem;

    async fn from_request(request: axum::extract::Request, _api: &Api) -> Result<Self> {
        Ok(Self(request.into_body()))
    }
}

fn refused(error: UploadError) -> Problem {
    match error {
        UploadError::Busy | UploadError::Offset(_) => Problem::conflict(error.to_string()),
        UploadError::TooLarge(_) => Problem::too_large(error.to_string()),
        UploadError::BrokeOff(source) if is_slow(&source) => {
            Problem::timeout("the bytes came too slowly; what came is kept, so go on from where it ended")
        }
        UploadError::BrokeOff(_) => Problem::bad_request("the body broke off; what came of it is kept"),
        UploadError::NoRoom(problem) => problem,
        UploadError::Io(error) => disk(error),
    }
}

fn disk(error: std::io::Error) -> Problem {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            tracing::error!(%error, "an upload does not fit on the disk");
            Problem::unavailable("there is no room for it on the server's disk")
        }
        _ => Problem::internal("the upload cannot be kept", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_upload_in_one_request_goes_with_its_request_and_stops_who_works_on_it() {
        let dir = tempfile::tempdir().unwrap();
        let uploads = Uploads::open(dir.path()).unwrap();
        let begun = |digit: &str| {
            let upload = Upload {
                id: digit.repeat(32),
                namespace: "default".into(),
                name: "app".into(),
                format: Format::Tar,
                size: None,
                include_ignored: false,
                left_out: None,
                at: Timestamp::UNIX_EPOCH,
                by: "ci".into(),
                target: None,
            };
            uploads.begin(&upload).unwrap();
            Passing::new(&uploads, &upload.id)
        };
        let is_there = |digit: &str| uploads.get(&digit.repeat(32)).unwrap().is_some();
        let (left, answered, worked_on) = (begun("a"), begun("b"), begun("c"));
        let held = uploads.hold(&"c".repeat(32)).unwrap();
        let stops = [&left, &answered, &worked_on].map(|passing| Arc::clone(&passing.stop));
        answered.end().await;
        assert!(!is_there("b"));
        drop((worked_on, left));
        while is_there("a") {
            tokio::task::yield_now().await;
        }
        assert!(is_there("c"), "whoever holds it removes it");
        drop(held);
        let stops = stops.map(|stop| stop.load(Ordering::SeqCst));
        assert_eq!(stops, [true, false, true]);
    }
}
