use perch_publishing::{ActOrigin, Origin};

/// Comments on picks and retweets of them, as publications of this bot.
#[derive(Debug, Clone, Copy)]
pub struct Actions;

impl Origin for Actions {
    fn bot(&self, act: &ActOrigin<'_>) -> Option<&'static str> {
        act.source.map(|_| "picks")
    }
}
