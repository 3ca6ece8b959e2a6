//! The files of a post. They are read and uploaded after the gate and before the claim: an upload may be repeated, the post is the effect.

use std::{sync::OnceLock, time::Duration};

use perch_base::{Classified as _, Disposition};
use perch_clients::{
    EffectPermit, XError,
    sources::file::Files,
    x::{MediaFile, MediaId, check_together},
};
use perch_core::x_failed;
use perch_jobs::{AccountId, Media};
use perch_queue::{Fail, worker::JobContext};

use crate::Publisher;

/// The largest file that is read: the largest that X takes is a video.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// How long reading one file may take.
const READING: Duration = Duration::from_secs(30);

/// What was uploaded for a post in this attempt.
pub(super) struct Uploads {
    permit: Option<UploadPermit>,
    ids: OnceLock<Vec<MediaId>>,
}

/// The permit of an upload: it holds while the attempt holds its lease. Nobody sees an upload, so it needs none of the ledger.
#[derive(Clone)]
struct UploadPermit {
    key: String,
    cx: JobContext,
}

impl EffectPermit for UploadPermit {
    fn effect_key(&self) -> &str {
        &self.key
    }

    fn holds(&self) -> bool {
        self.cx.holds_lease()
    }
}

impl Uploads {
    /// Nothing yet, in this attempt at the effect.
    pub(super) fn new(key: &str, cx: &JobContext) -> Self {
        Self { permit: Some(UploadPermit { key: key.to_owned(), cx: cx.clone() }), ids: OnceLock::new() }
    }

    /// Nothing, for an act that is only recorded.
    pub(super) fn none() -> Self {
        Self { permit: None, ids: OnceLock::new() }
    }

    /// Reads the files and uploads them, with their descriptions.
    pub(super) async fn upload(&self, publisher: &Publisher, account: &AccountId, media: &[Media]) -> Result<(), Fail> {
        let Some(permit) = self.permit.as_ref().filter(|_| !media.is_empty() && self.ids.get().is_none()) else {
            return Ok(());
        };
        let files = read(publisher, media).await?;
        let mut ids = Vec::with_capacity(files.len());
        for (file, media) in files.iter().zip(media) {
            let x = &publisher.clients.x;
            let id = x.upload_media(permit.clone(), account, file).await.map_err(x_failed)?;
            if let Some(alt_text) = media.alt_text.as_deref().filter(|text| !text.trim().is_empty()) {
                x.describe_media(permit.clone(), account, &id, alt_text).await.map_err(x_failed)?;
            }
            ids.push(id);
        }
        let _ = self.ids.set(ids);
        Ok(())
    }

    /// What was uploaded for these files. An attempt that takes over another one has uploaded nothing, and the next one does.
    pub(super) fn of(&self, media: &[Media]) -> Result<Vec<MediaId>, XError> {
        if media.is_empty() {
            return Ok(Vec::new());
        }
        let missing = || XError::MediaPending { call: "upload for a post".into(), waited: Duration::ZERO };
        self.ids.get().cloned().ok_or_else(missing)
    }
}

/// The files as X takes them: their kinds are told by their bytes.
async fn read(publisher: &Publisher, media: &[Media]) -> Result<Vec<MediaFile>, Fail> {
    let own = &publisher.settings.x.base_url;
    let reader = Files::new(MOST_BYTES, READING, Some(own)).map_err(|error| Fail::Dead(error.to_string()))?;
    let mut files = Vec::with_capacity(media.len());
    for (at, media) in media.iter().enumerate() {
        let bytes = reader.read(&media.url).await.map_err(|error| match error.disposition() {
            Disposition::RetryAfter(wait) => Fail::RetryAfter(wait, error.to_string()),
            Disposition::Wait(wait) => Fail::Snooze(wait, error.to_string()),
            Disposition::Retry => Fail::Retry(error.to_string()),
            Disposition::Never => Fail::Dead(format!("media[{at}]: {error}")),
        })?;
        files.push(MediaFile::of(bytes).map_err(|error| Fail::Dead(format!("media[{at}]: {error}")))?);
    }
    let kinds: Vec<_> = files.iter().map(MediaFile::kind).collect();
    check_together(&kinds).map_err(|error| Fail::Dead(format!("media: {error}")))?;
    Ok(files)
}
