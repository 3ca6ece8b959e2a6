//! The pictures of a post, for models that look at them.

use perch_base::{Classified as _, Disposition};
use perch_clients::pictures::PictureError;
use perch_jobs::{Media, Post};

use crate::Picks;

/// The pictures of a post as far as they can be had.
#[derive(Debug, Default)]
pub(super) struct PostPictures {
    /// As `data:` URLs.
    pub urls: Vec<String>,
    /// How many are away, so that the post is read without them.
    pub missing: u32,
}

/// The pictures of a post that a model is shown.
pub(super) fn shown<'p>(bot: &Picks, post: &'p Post) -> &'p [Media] {
    let most = if bot.clients.look_at_pictures(&bot.settings.providers) { bot.settings.pictures.most } else { 0 };
    post.media.get(..most).unwrap_or(&post.media)
}

/// The pictures of a post. One that cannot be had for good is left out; one that is away fails the attempt, as a post may say
/// nothing without it, unless this attempt `goes_without`. One that this process is too short of something to fetch is waited
/// for in any case.
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
                    tracing::info!(post = %post.id, %error, "the picture is left out");
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
