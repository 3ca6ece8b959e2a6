//! The pictures of a post, for models that look at them.

use perch_base::{Classified as _, Disposition};
use perch_clients::pictures::PictureError;
use perch_jobs::{Media, Post};

use crate::Picks;

/// The pictures of a post that could be fetched.
#[derive(Debug, Default)]
pub(super) struct PostPictures {
    /// The pictures as `data:` URLs.
    pub urls: Vec<String>,
    /// How many could not be fetched now; the post is read without them.
    pub missing: u32,
}

/// The media of a post that are shown to a model.
pub(super) fn shown<'p>(bot: &Picks, post: &'p Post) -> &'p [Media] {
    let most = if bot.clients.look_at_pictures(&bot.settings.providers) { bot.settings.pictures.most } else { 0 };
    post.media.get(..most).unwrap_or(&post.media)
}

/// Fetches the pictures of a post. A picture that can never be fetched is left out. A temporary failure fails the attempt, since the
/// post may say nothing without the picture, unless the attempt `goes_without`. If this process is short of a resource, the error is
/// returned in any case, and the job waits.
pub(super) async fn pictures(bot: &Picks, post: &Post, goes_without: bool) -> Result<PostPictures, PictureError> {
    let mut found = PostPictures::default();
    for media in shown(bot, post) {
        match bot.pictures.data_url(&media.url).await {
            Ok(picture) => {
                count("sent");
                found.urls.push(picture);
            }
            Err(error) => match error.for_job() {
                Disposition::Never => {
                    tracing::info!(post = %post.id, %error, "the picture cannot be used and is left out");
                    count("left_out");
                }
                Disposition::Retry | Disposition::RetryAfter(_) if goes_without => {
                    tracing::warn!(post = %post.id, %error, "the post is read without the picture");
                    count("missing");
                    found.missing += 1;
                }
                _ => return Err(error),
            },
        }
    }
    Ok(found)
}

fn count(outcome: &'static str) {
    metrics::counter!("perch_pictures_total", "outcome" => outcome).increment(1);
}
