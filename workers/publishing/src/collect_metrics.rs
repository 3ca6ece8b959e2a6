use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use perch_base::clock;
use perch_clients::{
    XError,
    x::{Partial, XPost},
};
use perch_core::{Clients, x_failed};
use perch_jobs::{AccountId, CollectMetrics, PostId};
use perch_queue::{
    Fail,
    worker::{Data, HandlerResult, JobContext},
};
use perch_store::{HotRecord, HotStore, MetricPoint};
use serde::Serialize;

/// Reads the metrics of published posts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    clients: Clients,
    hot: HotStore,
}

impl Metrics {
    /// Reads with these clients.
    pub fn new(clients: Clients, hot: HotStore) -> Self {
        Self { clients, hot }
    }
}

/// The result of one reading of metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Posts whose metrics were read.
    pub read: usize,
    /// Posts that X returned, but whose counts cannot be read.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreadable: usize,
    /// Posts that X does not return any more: deleted or hidden.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<PostId>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// Reads the public metrics of published posts and appends a point to the time series of each. A post that is gone is part of the
/// result, not an error.
///
/// An account reads its own posts from its own timeline, which costs less; posts that are not there are read by their ids.
pub async fn collect_metrics(job: CollectMetrics, cx: JobContext, metrics: Data<Metrics>) -> HandlerResult<Collected> {
    let account = job.account.as_ref().map(AccountId::to_string);
    let clients = metrics.clients.charged_to("analytics", account, &cx);
    let mut found = match &job.account {
        Some(account) => own(&clients, account, &job.post_ids).await?,
        None => Partial::default(),
    };
    let others = clients.x.posts(&missing(&job.post_ids, &found)).await.map_err(x_failed)?;
    found.data.extend(others.data);
    found.odd.extend(others.odd);
    let points = points(&found.data, clock::now());
    let records = points.iter().map(HotRecord::of).collect::<Result<Vec<_>, _>>()?;
    metrics.hot.put(&records).await?;
    // An unreadable post without an id may be any of the missing ones.
    let gone = if found.odd.iter().any(|odd| odd.id.is_none()) { Vec::new() } else { missing(&job.post_ids, &found) };
    metrics::counter!("perch_metric_points_total").increment(points.len() as u64);
    metrics::counter!("perch_posts_gone_total").increment(gone.len() as u64);
    if !gone.is_empty() {
        tracing::info!(?gone, "posts are gone; their metrics end here");
    }
    let unreadable = found.data.len() + found.odd.len() - points.len();
    Ok(Collected { read: points.len(), unreadable, gone })
}

/// The posts of an account, read with its own credentials where it has them.
async fn own(clients: &Clients, account: &AccountId, ids: &[PostId]) -> Result<Partial<XPost>, Fail> {
    let read = async {
        let user_id = clients.own_id(account).await?;
        clients.x.own_posts(account, &user_id, ids).await
    };
    match read.await {
        Err(error @ (XError::NotConfigured { .. } | XError::Unauthorized { .. })) => {
            tracing::info!(%account, %error, "the account cannot read its own posts; the application reads them, at a higher price");
            Ok(Partial::default())
        }
        read => read.map_err(x_failed),
    }
}

/// A point for each post with all required counts.
fn points(posts: &[XPost], observed_at: DateTime<Utc>) -> Vec<MetricPoint> {
    let point = |post: &XPost| {
        let counts = post.public_metrics?;
        Some(MetricPoint {
            post_id: post.id.clone(),
            observed_at,
            likes: counts.like_count?,
            replies: counts.reply_count?,
            reposts: counts.reposts()?,
            quotes: counts.quote_count?,
            bookmarks: counts.bookmark_count,
            impressions: counts.impression_count,
        })
    };
    posts.iter().filter_map(point).collect()
}

/// The posts that were asked for but not returned, each once.
fn missing(asked: &[PostId], found: &Partial<XPost>) -> Vec<PostId> {
    let odd = found.odd.iter().filter_map(|odd| odd.id.as_ref());
    let found: BTreeSet<&PostId> = found.data.iter().map(|post| &post.id).chain(odd).collect();
    let missing: BTreeSet<&PostId> = asked.iter().filter(|id| !found.contains(id)).collect();
    missing.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use perch_clients::x::UnreadableItem;
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
    fn posts_that_were_not_returned_are_missing_and_unreadable_ones_are_not() {
        let asked = ["3", "1", "3", "2", "4"].map(|id| id.parse::<PostId>().expect("an id"));
        let odd = UnreadableItem { id: Some(asked[4].clone()), reason: "a text that is no text".into() };
        let found = Partial { data: vec![post("1", 0)], odd: vec![odd], ..Partial::default() };
        let missing = missing(&asked, &found);
        assert_eq!(missing.iter().map(PostId::as_str).collect::<Vec<_>>(), ["2", "3"]);
    }

    #[test]
    fn counts_that_x_does_not_return_are_not_taken_for_zero() {
        let mut unsaid = post("1", 0);
        unsaid.public_metrics.as_mut().expect("it has some").reply_count = None;
        assert!(points(&[unsaid], Utc::now()).is_empty());
    }
}
