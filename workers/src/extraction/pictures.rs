//! The pictures of a post, for models that look at them.

use perch_base::{Classified as _, Disposition};
use perch_clients::pictures::PictureError;
use perch_jobs::Post;

use crate::Services;

/// The pictures of a post as `data:` URLs. One that cannot be had for good is left out; one that is away fails the attempt, as a
/// post may say nothing without it.
pub(super) async fn pictures(services: &Services, post: &Post) -> Result<Vec<String>, PictureError> {
    let mut found = Vec::new();
    if !services.look_at_pictures() {
        return Ok(found);
    }
    for media in post.media.iter().take(services.settings.picks.pictures.most) {
        match services.pictures.data_url(&media.url).await {
            Ok(picture) => {
                count("sent");
                found.push(picture);
            }
            Err(error) if error.disposition() == Disposition::Never => {
                tracing::info!(post = %post.id, %error, "the picture is left out");
                count("left_out");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn count(outcome: &'static str) {
    metrics::counter!("perch_pictures_total", "outcome" => outcome).increment(1);
}
