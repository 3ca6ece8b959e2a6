//! The analytics endpoint of X: what readers did with the own posts of an account, in buckets of time.

use std::collections::BTreeSet;

use axum::{
    Json, Router,
    extract::{Extension, State},
    http::Uri,
    routing::get,
};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use perch_readers::Counts;
use serde_json::{Map, Value, json};

use crate::{
    Endpoint,
    app::App,
    guard::{Caller, guarded},
    post::StoredPost,
    problem::Problem,
    query::{Query, id},
    reads::ids,
    state::SharedState,
    writes::user,
};

const PARAMETERS: [&str; 5] = ["ids", "start_time", "end_time", "granularity", "analytics.fields"];
/// The most buckets of one post.
const MOST_BUCKETS: usize = 24 * 31;

/// The analytics endpoint.
pub(crate) fn routes(app: &App) -> Router {
    Router::new()
        .route("/2/tweets/analytics", guarded(app, Endpoint::Analytics, get(analytics)))
        .with_state(app.clone())
}

/// What is asked for.
struct Asked {
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    /// The length of a bucket; none for a single one over the whole time.
    bucket: Option<TimeDelta>,
    fields: BTreeSet<String>,
}

impl Asked {
    fn read(query: &Query) -> Result<Self, Problem> {
        let required = |name: &str| {
            query
                .time(name)?
                .ok_or_else(|| Problem::invalid(name, "", format!("`{name}` query parameter is required.")))
        };
        let (from, until) = (required("start_time")?, required("end_time")?);
        if from >= until {
            return Err(Problem::invalid("start_time", "", "`start_time` must be earlier than `end_time`."));
        }
        let bucket = match query.get("granularity").unwrap_or("total") {
            "hourly" => Some(TimeDelta::hours(1)),
            "daily" => Some(TimeDelta::days(1)),
            "weekly" => Some(TimeDelta::weeks(1)),
            "total" => None,
            other => {
                let message = "The `granularity` is not one of [hourly,daily,weekly,total]";
                return Err(Problem::invalid("granularity", other, message));
            }
        };
        Ok(Self { from, until, bucket, fields: query.list("analytics.fields") })
    }

    /// The analytics of a post.
    fn of(&self, post: &StoredPost, inner: &SharedState) -> Value {
        let at = |at: DateTime<Utc>| {
            if at <= post.created_at { Counts::default() } else { inner.world.counts(post, at) }
        };
        let between =
            |from: DateTime<Utc>, until: DateTime<Utc>| self.named(&Between { before: at(from), after: at(until) });
        let id = post.id.to_string();
        let until = self.until.min(Utc::now());
        let Some(length) = self.bucket else {
            let mut whole = between(self.from, until);
            whole.insert("id".into(), id.into());
            return whole.into();
        };
        let mut buckets: Vec<Value> = Vec::new();
        let mut start = self.from.max(post.created_at - length);
        while start < until && buckets.len() < MOST_BUCKETS {
            let end = (start + length).min(until);
            let at = start.to_rfc3339_opts(SecondsFormat::Millis, true);
            buckets.push(json!({ "timestamp": at, "metrics": between(start, end) }));
            start = end;
        }
        json!({ "id": id, "timestamped_metrics": buckets })
    }

    fn named(&self, counts: &Between) -> Map<String, Value> {
        let named = FIELDS.iter().filter(|(name, _)| self.fields.contains(*name));
        named.map(|(name, of)| ((*name).to_owned(), counts.gained(*of).into())).collect()
    }
}

/// The counts at the two ends of a bucket.
struct Between {
    before: Counts,
    after: Counts,
}

impl Between {
    fn gained(&self, of: Of) -> u64 {
        of(&self.after).saturating_sub(of(&self.before))
    }
}

/// One of the counts.
type Of = fn(&Counts) -> u64;

/// The counts by their names in the description of the API. Nobody takes a like back here, shares a post outside, or stops to follow.
const FIELDS: [(&str, Of); 15] = [
    ("impressions", |counts| counts.impressions),
    ("engagements", engagements),
    ("likes", |counts| counts.likes),
    ("unlikes", |_| 0),
    ("replies", |counts| counts.replies),
    ("retweets", |counts| counts.reposts),
    ("quote_tweets", |counts| counts.quotes),
    ("bookmarks", |counts| counts.bookmarks),
    ("shares", |_| 0),
    ("follows", |counts| counts.follows),
    ("unfollows", |_| 0),
    ("url_clicks", |counts| counts.url_clicks),
    ("user_profile_clicks", |counts| counts.profile_clicks),
    ("detail_expands", |counts| counts.detail_expands),
    ("permalink_clicks", |_| 0),
];

/// All that readers did with a post besides seeing it.
pub(crate) fn engagements(counts: &Counts) -> u64 {
    let private = counts.bookmarks + counts.profile_clicks + counts.url_clicks + counts.detail_expands + counts.follows;
    counts.public() + private
}

async fn analytics(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    let reader = user(caller)?;
    let query = Query::read(&uri, &PARAMETERS)?;
    let asked = Asked::read(&query)?;
    let inner = app.state.lock();
    let (mut data, mut errors) = (Vec::new(), Vec::new());
    for value in ids(&query)? {
        match inner.world.post(id("ids", value)?) {
            Some(post) if post.author == reader.id => data.push(asked.of(post, &inner)),
            Some(_) => errors.push(Problem::hidden("tweet", "ids", value).partial()),
            None => errors.push(Problem::not_found("tweet", "ids", value).partial()),
        }
    }
    let mut answer = json!({});
    for (name, list) in [("data", data), ("errors", errors)] {
        if !list.is_empty() {
            answer[name] = list.into();
        }
    }
    Ok(Json(answer))
}
