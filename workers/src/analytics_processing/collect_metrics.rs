use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use perch_base::clock;
use perch_clients::x::XPost;
use perch_jobs::{CollectMetrics, PostId};
use perch_queue::worker::{Data, HandlerResult, JobContext};
use perch_store::{HotRecord, MetricPoint};
use serde::Serialize;

use crate::{Services, outcome::x_failed};

/// What one reading of metrics gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Posts whose metrics were read.
    pub read: usize,
    /// Posts that X does not show any more: deleted, or hidden.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<PostId>,
}

/// Reads the public metrics of published posts and appends a point to the time series of each. A post that is gone is
/// part of the answer, not a failure.
pub async fn collect_metrics(
    job: CollectMetrics,
    cx: JobContext,
    services: Data<Services>,
) -> HandlerResult<Collected> {
    let services = services.charged_to("analytics", None, &cx);
    let found = services.x.posts(&job.post_ids).await.map_err(x_failed)?;
    let points = points(&found.data, clock::now());
    let records = points.iter().map(HotRecord::of).collect::<Result<Vec<_>, _>>()?;
    services.hot.put(&records).await?;
    let gone = gone(&job.post_ids, &found.data);
    metrics::counter!("perch_metric_points_total").increment(points.len() as u64);
    metrics::counter!("perch_posts_gone_total").increment(gone.len() as u64);
    if !gone.is_empty() {
        tracing::info!(?gone, "posts are gone; their metrics end here");
    }
    Ok(Collected { read: points.len(), gone })
}

fn points(posts: &[XPost], observed_at: DateTime<Utc>) -> Vec<MetricPoint> {
    let point = |post: &XPost| {
        let counts = post.public_metrics?;
        Some(MetricPoint {
            post_id: post.id.clone(),
            observed_at,
            likes: counts.like_count,
            replies: counts.reply_count,
            reposts: counts.reposts(),
            quotes: counts.quote_count,
            bookmarks: Some(counts.bookmark_count),
            impressions: Some(counts.impression_count),
        })
    };
    posts.iter().filter_map(point).collect()
}

/// The posts that were asked for and not answered, each once.
fn gone(asked: &[PostId], found: &[XPost]) -> Vec<PostId> {
    let found: BTreeSet<&PostId> = found.iter().map(|post| &post.id).collect();
    let missing: BTreeSet<&PostId> = asked.iter().filter(|id| !found.contains(id)).collect();
    missing.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn post(id: &str, likes: u64) -> XPost {
        let counts = json!({ "like_count": likes, "reply_count": 1, "retweet_count": 2, "quote_count": 0 });
        serde_json::from_value(json!({ "id": id, "public_metrics": counts })).expect("a post")
    }

    #[test]
    fn every_post_with_metrics_gives_a_point_of_the_same_moment() {
        let at = Utc::now();
        let points = points(&[post("1", 5), post("2", 7)], at);
        assert_eq!(points.iter().map(|p| p.likes).collect::<Vec<_>>(), [5, 7]);
        assert!(points.iter().all(|p| p.observed_at == at && p.reposts == 2));
    }

    #[test]
    fn what_was_asked_for_and_not_answered_is_gone() {
        let asked = ["3", "1", "3", "2"].map(|id| id.parse().expect("an id"));
        let gone = gone(&asked, &[post("1", 0)]);
        assert_eq!(gone.iter().map(PostId::as_str).collect::<Vec<_>>(), ["2", "3"]);
    }
}
