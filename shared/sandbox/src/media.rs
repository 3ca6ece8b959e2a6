//! The media endpoints of X: files for posts, in one request or in parts, and their descriptions.

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Extension, Path, State},
    http::Uri,
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Endpoint,
    app::App,
    guard::{Caller, guarded},
    post::{Picture, Source},
    problem::Problem,
    query::{Query, id},
    writes::{body, user},
};

const MIB: usize = 1024 * 1024;
/// The longest request that carries a file: 15 MB in Base64, and what is around it.
const LONGEST_REQUEST: usize = 24 * MIB;
/// The most bytes of files kept; the oldest are removed first.
const BYTES_KEPT: usize = 256 * MIB;
/// The most files kept.
const FILES_KEPT: usize = 1_000;
/// After so long X removes a file that no post carries.
const EXPIRES_AFTER_SECS: u64 = 86_400;
/// The longest description of a file, in characters.
const LONGEST_ALT_TEXT: usize = 1_000;
/// The first id, so that an id looks like one of X.
const FIRST_ID: u64 = 1_900_000_000_000_000_000;

/// The media endpoints.
pub(crate) fn routes(app: &App) -> Router {
    Router::new()
        .route(
            "/2/media/upload",
            guarded(app, Endpoint::MediaStatus, get(status)).merge(guarded(app, Endpoint::UploadMedia, post(whole))),
        )
        .route("/2/media/upload/initialize", guarded(app, Endpoint::InitializeMedia, post(initialize)))
        .route("/2/media/upload/{id}/append", guarded(app, Endpoint::AppendMedia, post(append)))
        .route("/2/media/upload/{id}/finalize", guarded(app, Endpoint::FinalizeMedia, post(finalize)))
        .route("/2/media/metadata", guarded(app, Endpoint::MediaMetadata, post(describe)))
        .layer(DefaultBodyLimit::max(LONGEST_REQUEST))
        .with_state(app.clone())
}

/// An uploaded file.
#[derive(Debug, Clone, Default)]
pub(crate) struct UploadedFile {
    owner: u64,
    pub media_type: String,
    pub bytes: Vec<u8>,
    pub alt_text: Option<String>,
    /// The category that it is uploaded under, where it comes in parts.
    category: String,
    /// How many bytes it is to have, where it comes in parts.
    total: usize,
    segments: u64,
    state: FileState,
}

/// How far a file is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum FileState {
    /// Parts are missing.
    #[default]
    Coming,
    /// All of it is there, and it is being made ready.
    Pending,
    Ready,
}

/// The uploaded files, by id.
#[derive(Debug, Default)]
pub(crate) struct Files {
    files: BTreeMap<u64, UploadedFile>,
}

impl Files {
    fn add(&mut self, file: UploadedFile) -> u64 {
        let id = self.files.last_key_value().map_or(FIRST_ID, |(id, _)| id + 1);
        self.files.insert(id, file);
        self.trim();
        id
    }

    fn trim(&mut self) {
        let size = |files: &BTreeMap<u64, UploadedFile>| files.values().map(|file| file.bytes.len()).sum::<usize>();
        while self.files.len() > FILES_KEPT || (self.files.len() > 1 && size(&self.files) > BYTES_KEPT) {
            self.files.pop_first();
        }
    }

    /// A file with this id.
    pub fn get(&self, id: u64) -> Option<&UploadedFile> {
        self.files.get(&id)
    }

    fn of(&mut self, owner: u64, name: &str, value: &str) -> Result<(u64, &mut UploadedFile), Problem> {
        let id = id(name, value)?;
        let file = self.files.get_mut(&id).filter(|file| file.owner == owner);
        file.map(|file| (id, file)).ok_or_else(|| Problem::not_found("media", name, value))
    }

    /// The files of a new post, or why it may not carry them: up to four pictures, or one GIF or video; all ready and of its account.
    pub fn pictures(&self, owner: u64, ids: &[String]) -> Result<Vec<Picture>, Problem> {
        let wrong = |value: &str, why: &str| Problem::invalid("media.media_ids", value, why);
        let mut found = Vec::new();
        for value in ids {
            let id = id("media.media_ids", value)?;
            match self.get(id).filter(|file| file.owner == owner) {
                Some(file) if file.state == FileState::Ready => found.push((id, file)),
                _ => return Err(wrong(value, "Your media IDs are invalid.")),
            }
        }
        let alone = found.iter().any(|(_, file)| !file.is_picture());
        if found.len() > if alone { 1 } else { 4 } {
            return Err(wrong(&ids.join(","), "A post carries up to 4 photos, or 1 animated GIF, or 1 video."));
        }
        let picture = |(id, file): (u64, &UploadedFile)| Picture {
            source: Source::Uploaded(id),
            alt_text: file.alt_text.clone(),
        };
        Ok(found.into_iter().map(picture).collect())
    }
}

impl UploadedFile {
    /// Whether all of it is there, and its media type is the one of its bytes.
    pub fn is_ready(&self) -> bool {
        self.state == FileState::Ready
    }

    /// Whether it is a still picture.
    pub fn is_picture(&self) -> bool {
        self.media_type.starts_with("image/") && self.media_type != "image/gif"
    }

    /// As X names it in a post.
    pub fn kind(&self) -> &'static str {
        match self.media_type.as_str() {
            "image/gif" => "animated_gif",
            "video/mp4" => "video",
            _ => "photo",
        }
    }

    fn view(&self, id: u64) -> Value {
        let mut data = json!({
            "id": id.to_string(), "media_key": media_key(id), "size": self.bytes.len(),
            "expires_after_secs": EXPIRES_AFTER_SECS,
        });
        match self.state {
            FileState::Pending => {
                data["processing_info"] = json!({ "state": "pending", "check_after_secs": 1, "progress_percent": 10 });
            }
            FileState::Ready if !self.is_picture() => {
                data["processing_info"] = json!({ "state": "succeeded", "progress_percent": 100 });
            }
            FileState::Ready | FileState::Coming => {}
        }
        data
    }
}

/// The key of a file in posts.
pub(crate) fn media_key(id: u64) -> String {
    format!("3_{id}")
}

/// The media type of a file by its first bytes, and the most bytes that X takes of it.
fn recognised(bytes: &[u8]) -> Option<(&'static str, usize)> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some(("image/png", 5 * MIB)),
        [0xff, 0xd8, 0xff, ..] => Some(("image/jpeg", 5 * MIB)),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(("image/webp", 5 * MIB)),
        [b'G', b'I', b'F', b'8', ..] => Some(("image/gif", 15 * MIB)),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Some(("video/mp4", 512 * MIB)),
        _ => None,
    }
}

/// The media type of a whole file, which must be one that posts carry and not too long.
fn accepted(bytes: &[u8], category: &str) -> Result<&'static str, Problem> {
    let wrong = |why: String| Problem::invalid("media", category, why);
    let (kind, most) = recognised(bytes).ok_or_else(|| wrong("The media type could not be recognised.".to_owned()))?;
    let expected = match kind {
        "image/gif" => "tweet_gif",
        "video/mp4" => "tweet_video",
        _ => "tweet_image",
    };
    if category != expected {
        return Err(wrong(format!("The media is {kind}, which is not of the category {category}.")));
    }
    if bytes.len() > most {
        return Err(wrong(format!("The media has {} bytes; the most is {most}.", bytes.len())));
    }
    Ok(kind)
}

fn decoded(text: &str) -> Result<Vec<u8>, Problem> {
    STANDARD.decode(text).map_err(|error| Problem::invalid("media", "", format!("media is no Base64: {error}")))
}

#[derive(Deserialize)]
struct Whole {
    media: String,
    media_category: String,
}

async fn whole(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    bytes: Bytes,
) -> Result<Json<Value>, Problem> {
    let owner = user(caller)?.id;
    let new: Whole = body(&bytes)?;
    let bytes = decoded(&new.media)?;
    let media_type = accepted(&bytes, &new.media_category)?;
    let file =
        UploadedFile { owner, media_type: media_type.to_owned(), bytes, state: FileState::Ready, ..Default::default() };
    let mut inner = app.state.lock();
    let view = file.view(inner.files.add(file.clone()));
    Ok(Json(json!({ "data": view })))
}

#[derive(Deserialize)]
struct Start {
    media_type: String,
    media_category: String,
    total_bytes: usize,
}

async fn initialize(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    bytes: Bytes,
) -> Result<Json<Value>, Problem> {
    let owner = user(caller)?.id;
    let new: Start = body(&bytes)?;
    let file = UploadedFile {
        owner,
        media_type: new.media_type,
        category: new.media_category,
        total: new.total_bytes,
        ..Default::default()
    };
    let id = app.state.lock().files.add(file);
    let data = json!({ "id": id.to_string(), "media_key": media_key(id), "expires_after_secs": EXPIRES_AFTER_SECS });
    Ok(Json(json!({ "data": data })))
}

#[derive(Deserialize)]
struct Segment {
    media: String,
    segment_index: u64,
}

async fn append(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(media): Path<String>,
    bytes: Bytes,
) -> Result<Json<Value>, Problem> {
    let owner = user(caller)?.id;
    let segment: Segment = body(&bytes)?;
    let bytes = decoded(&segment.media)?;
    let mut inner = app.state.lock();
    let (_, file) = inner.files.of(owner, "id", &media)?;
    // The same part may come again, when its answer was lost.
    if segment.segment_index == file.segments && file.bytes.len() + bytes.len() <= file.total {
        file.bytes.extend(bytes);
        file.segments += 1;
        inner.files.trim();
    } else if segment.segment_index + 1 != file.segments {
        let index = segment.segment_index.to_string();
        return Err(Problem::invalid("segment_index", &index, "The segment is not the next one, or too long."));
    }
    Ok(Json(json!({ "data": { "expires_at": chrono::Utc::now().timestamp() + 86_400 } })))
}

async fn finalize(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(media): Path<String>,
) -> Result<Json<Value>, Problem> {
    let owner = user(caller)?.id;
    let mut inner = app.state.lock();
    let (id, file) = inner.files.of(owner, "id", &media)?;
    if file.bytes.len() != file.total {
        let message = format!("{} of {} bytes have come.", file.bytes.len(), file.total);
        return Err(Problem::invalid("id", &media, message));
    }
    if accepted(&file.bytes, &file.category)? != file.media_type {
        return Err(Problem::invalid("id", &media, format!("The media is not {}.", file.media_type)));
    }
    file.state = if file.is_picture() { FileState::Ready } else { FileState::Pending };
    Ok(Json(json!({ "data": file.view(id) })))
}

/// The state of a file. One that is being made ready is so when it is asked for again.
async fn status(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    let owner = user(caller)?.id;
    let query = Query::read(&uri, &["media_id", "command"])?;
    let mut inner = app.state.lock();
    let (id, file) = inner.files.of(owner, "media_id", query.get("media_id").unwrap_or_default())?;
    if file.state == FileState::Pending {
        file.state = FileState::Ready;
    }
    Ok(Json(json!({ "data": file.view(id) })))
}

#[derive(Deserialize)]
struct Description {
    id: String,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    alt_text: AltText,
}

#[derive(Deserialize)]
struct AltText {
    text: String,
}

async fn describe(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    bytes: Bytes,
) -> Result<Json<Value>, Problem> {
    let owner = user(caller)?.id;
    let Description { id: media, metadata: Metadata { alt_text } } = body(&bytes)?;
    if alt_text.text.chars().count() > LONGEST_ALT_TEXT {
        return Err(Problem::invalid("metadata.alt_text.text", "", "The alt text has more than 1000 characters."));
    }
    let mut inner = app.state.lock();
    let (id, file) = inner.files.of(owner, "id", &media)?;
    file.alt_text = Some(alt_text.text.clone());
    let associated = json!({ "alt_text": { "text": alt_text.text } });
    Ok(Json(json!({ "data": { "id": id.to_string(), "associated_metadata": associated } })))
}
