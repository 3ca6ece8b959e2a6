//! Uploading files for posts, and describing them.

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;
use perch_jobs::AccountId;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use tokio::time::Instant;

use super::{
    MediaFile, XClient, XError,
    call::{Call, Caller},
    read::is_id,
};
use crate::EffectPermit;

/// The part of a file that one request carries. X takes up to 5 MB; less fits into `x.timeout` on a slow line.
const SEGMENT: usize = 1024 * 1024;
/// The longest description of a file, in characters, by X's description of its API.
pub const LONGEST_ALT_TEXT: usize = 1_000;
/// How long X may take to make a GIF or video ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// The pauses between two questions whether it is ready.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The id of an uploaded file: 1 to 19 digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct MediaId(String);

impl MediaId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MediaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MediaId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        if is_id(&text) { Ok(Self(text)) } else { Err(serde::de::Error::custom("the id of a file is 1 to 19 digits")) }
    }
}

/// What X says about a file that it has.
#[derive(Debug, Clone, Deserialize)]
struct Uploaded {
    id: MediaId,
    processing_info: Option<Processing>,
}

#[derive(Debug, Clone, Deserialize)]
struct Processing {
    #[serde(default)]
    state: ProcessingState,
    check_after_secs: Option<u64>,
    error: Option<ProcessingError>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ProcessingState {
    Failed,
    Succeeded,
    /// `pending`, `in_progress`, and what this version does not know.
    #[default]
    #[serde(other)]
    Underway,
}

/// Why a file was not made ready; the description of the API does not list it.
#[derive(Debug, Clone, Deserialize)]
struct ProcessingError {
    message: Option<String>,
    name: Option<String>,
}

/// The answer to a part of a file, of which nothing is used.
#[derive(Deserialize)]
struct Appended {}

#[derive(Deserialize)]
struct Described {
    id: MediaId,
}

impl XClient {
    /// Uploads a file for a post of `account`, and waits until X has made it ready. Nobody sees it until a post carries it, X removes it
    /// after a day, and it may be uploaded again: an upload is no effect of its own. The permit is that of the post.
    ///
    /// A picture goes in one request, a GIF or video in parts.
    pub async fn upload_media<P: EffectPermit + 'static>(
        &self,
        permit: P,
        account: &AccountId,
        file: &MediaFile,
    ) -> Result<MediaId, XError> {
        let upload = Upload { x: self, permit: Arc::new(permit), account, file };
        let id = if file.kind().is_picture() { upload.whole().await? } else { upload.in_parts().await? };
        tracing::debug!(%account, media = %id, bytes = file.bytes().len(), kind = %file.kind(), "uploaded");
        Ok(id)
    }

    /// Describes an uploaded file for those who do not see it, before a post carries it. A second description takes the place of the first.
    pub async fn describe_media<P: EffectPermit + 'static>(
        &self,
        permit: P,
        account: &AccountId,
        media: &MediaId,
        alt_text: &str,
    ) -> Result<(), XError> {
        let body = json!({ "id": media, "metadata": { "alt_text": { "text": alt_text } } });
        let call = Call::post("media_metadata", &["2", "media", "metadata"], account, &body, Arc::new(permit));
        let characters = alt_text.chars().count();
        if alt_text.trim().is_empty() || characters > LONGEST_ALT_TEXT {
            return Err(
                call.invalid(format!("an alt text has 1 to {LONGEST_ALT_TEXT} characters, this one {characters}"))
            );
        }
        let (envelope, status) = self.call::<Described>(&call).await?;
        let described = call.single(envelope, status)?;
        if described.id == *media {
            return Ok(());
        }
        Err(XError::Decode { call: call.name(), reason: format!("it is about {}, not {media}", described.id) })
    }
}

/// One upload.
struct Upload<'a> {
    x: &'a XClient,
    permit: Arc<dyn EffectPermit>,
    account: &'a AccountId,
    file: &'a MediaFile,
}

impl Upload<'_> {
    async fn whole(&self) -> Result<MediaId, XError> {
        let body =
            json!({ "media": STANDARD.encode(self.file.bytes()), "media_category": self.file.kind().category() });
        let path = ["2", "media", "upload"];
        let call = Call::post("media_upload", &path, self.account, &body, self.permit.clone());
        let (envelope, status) = self.x.call::<Uploaded>(&call).await?;
        self.ready(call.single(envelope, status)?).await
    }

    async fn in_parts(&self) -> Result<MediaId, XError> {
        let id = self.begin().await?;
        for (index, segment) in self.file.bytes().chunks(SEGMENT).enumerate() {
            self.append(&id, index, segment).await?;
        }
        self.ready(self.finish(&id).await?).await
    }

    async fn begin(&self) -> Result<MediaId, XError> {
        let kind = self.file.kind();
        let body = json!({
            "media_type": kind.media_type(), "media_category": kind.category(), "total_bytes": self.file.bytes().len(),
        });
        let path = ["2", "media", "upload", "initialize"];
        let call = Call::post("media_upload_initialize", &path, self.account, &body, self.permit.clone());
        let (envelope, status) = self.x.call::<Uploaded>(&call).await?;
        Ok(call.single(envelope, status)?.id)
    }

    async fn append(&self, id: &MediaId, index: usize, segment: &[u8]) -> Result<(), XError> {
        let body = json!({ "media": STANDARD.encode(segment), "segment_index": index });
        let path = ["2", "media", "upload", id.as_str(), "append"];
        let call = Call::post("media_upload_append", &path, self.account, &body, self.permit.clone());
        let (envelope, status) = self.x.call::<Appended>(&call).await?;
        // The answer to a part that was taken may be empty.
        if envelope.errors.items.is_empty() { Ok(()) } else { Err(call.refused_whole(envelope.errors.items, status)) }
    }

    async fn finish(&self, id: &MediaId) -> Result<Uploaded, XError> {
        let path = ["2", "media", "upload", id.as_str(), "finalize"];
        let call = Call::bare("media_upload_finalize", Method::POST, &path, self.account, self.permit.clone());
        let (envelope, status) = self.x.call::<Uploaded>(&call).await?;
        call.single(envelope, status)
    }

    /// Waits until X has made the file ready.
    async fn ready(&self, mut uploaded: Uploaded) -> Result<MediaId, XError> {
        let deadline = Instant::now() + READY_WITHIN;
        while let Some(processing) = uploaded.processing_info {
            match processing.state {
                ProcessingState::Succeeded => break,
                ProcessingState::Failed => return Err(self.failed(processing.error)),
                ProcessingState::Underway => {}
            }
            let pause =
                Duration::from_secs(processing.check_after_secs.unwrap_or(1)).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
            if Instant::now() + pause > deadline {
                return Err(XError::MediaPending { call: self.name(), waited: READY_WITHIN });
            }
            tokio::time::sleep(pause).await;
            uploaded = self.status(&uploaded.id).await?;
        }
        Ok(uploaded.id)
    }

    async fn status(&self, id: &MediaId) -> Result<Uploaded, XError> {
        let mut call = Call::get("media_upload_status", &["2", "media", "upload"], Caller::Account(self.account));
        call.query = vec![("media_id", id.to_string()), ("command", "STATUS".into())];
        let (envelope, status) = self.x.call::<Uploaded>(&call).await?;
        call.single(envelope, status)
    }

    fn failed(&self, error: Option<ProcessingError>) -> XError {
        let reason =
            error.and_then(|error| error.message.or(error.name)).unwrap_or_else(|| "no reason given".to_owned());
        XError::MediaRefused { call: self.name(), reason: self.x.transport.presentable(&reason) }
    }

    fn name(&self) -> String {
        format!("upload of {} as {}", self.file.kind(), self.account)
    }
}
