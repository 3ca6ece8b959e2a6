use perch_jobs::{PostId, PublishSource};
use perch_publishing::Origin;

/// Comments on picks and retweets of them, as publications of this bot.
#[derive(Debug, Clone, Copy)]
pub struct Actions;

impl Origin for Actions {
    fn bot(&self, source: Option<&PublishSource>, _: Option<&PostId>) -> Option<&'static str> {
        source.map(|_| "picks")
    }
}
