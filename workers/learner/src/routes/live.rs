//! Changes of metrics as they are stored, as server-sent events.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use chrono::{DateTime, Utc};
use futures::stream::{self, Stream};
use perch_base::clock;
use perch_bot::http::{ApiResult, BotState, Document, Path};
use perch_jobs::PersonaName;
use perch_store::Store;

use super::bots::find;
use crate::store::{LearnerStore as _, MetricChange};

/// How often Postgres is asked for changes.
const EVERY: Duration = Duration::from_secs(2);
/// How often a line is sent while there are none, so that nothing on the way takes the stream for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What a stream has sent, and what it sends next.
struct Follower {
    store: Store,
    bot: PersonaName,
    since: DateTime<Utc>,
    waiting: VecDeque<MetricChange>,
}

impl Follower {
    /// The next change, however long it takes. While Postgres is away the stream waits.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if let Some(change) = self.waiting.pop_front() {
                let event = Event::default().event("metrics").id(change.observed_at.to_rfc3339());
                let event =
                    event.json_data(&change).unwrap_or_else(|_| Event::default().comment("a change that is no JSON"));
                return Some((Ok(event), self));
            }
            tokio::time::sleep(EVERY).await;
            match self.store.learner().metric_changes(&self.bot, self.since).await {
                Ok(changes) => {
                    self.since = changes.last().map_or(self.since, |change| change.observed_at);
                    self.waiting = changes.into();
                }
                Err(error) => tracing::debug!(%error, "a stream of metrics waits for Postgres"),
            }
        }
    }
}

fn changes(store: Store, bot: PersonaName) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    let follower = Follower { store, bot, since: clock::now(), waiting: VecDeque::new() };
    stream::unfold(follower, Follower::next)
}

/// Follow the metrics of a learning poster
///
/// Server-sent events named `metrics`, one for each reading of each of its posts from now on, as JSON. The stream has no end.
#[utoipa::path(get, path = "/learners/{name}/live", tag = "learners", operation_id = "learner_live",
    params(("name" = String, Path, description = "The persona that it posts as.", example = "template-bot")),
    responses(
        (status = 200, description = "The events.", body = String, content_type = "text/event-stream"),
        (status = 404, description = "That persona does not learn.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn live(
    State(app): State<BotState>,
    Path(name): Path<String>,
) -> ApiResult<Sse<impl Stream<Item = Result<Event, Infallible>> + Send>> {
    let bot = find(&app, &name).await?.bot;
    Ok(Sse::new(changes(app.store.clone(), bot)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}
