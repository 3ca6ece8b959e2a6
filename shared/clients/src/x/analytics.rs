//! The analytics of an account's own posts.

use chrono::{DateTime, SecondsFormat, Utc};
use perch_jobs::{AccountId, PostId};
use serde::{Deserialize, Serialize};

use super::{
    Partial, XClient, XError,
    call::{Call, Caller},
    lenient::LenientList,
    read::MOST_IDS,
};
use crate::Charge;

/// All fields that Perch knows.
const FIELDS: &str = "id,timestamp,timestamped_metrics,impressions,engagements,likes,replies,retweets,quote_tweets,bookmarks,\
    shares,follows,unfollows,url_clicks,user_profile_clicks,detail_expands,permalink_clicks,hashtag_clicks,media_views,unlikes";

/// The length of the buckets that analytics are counted in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Granularity {
    /// One bucket an hour.
    Hourly,
    /// One bucket a day.
    Daily,
    /// One bucket a week.
    Weekly,
    /// One bucket for the whole time.
    #[default]
    Total,
}

impl Granularity {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Total => "total",
        }
    }
}

/// Which part of the analytics to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnalyticsQuery {
    /// From this time on, to the second.
    pub start: DateTime<Utc>,
    /// Until this time, to the second.
    pub end: DateTime<Utc>,
    /// The length of the buckets.
    pub granularity: Granularity,
}

/// Counts of what readers did with a post. `None` means that X does not report the count, not zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnalyticsCounts {
    /// Views.
    pub impressions: Option<u64>,
    /// All that readers did with it.
    pub engagements: Option<u64>,
    /// Likes.
    pub likes: Option<u64>,
    /// Likes that were taken back.
    pub unlikes: Option<u64>,
    /// Replies.
    pub replies: Option<u64>,
    /// Reposts.
    pub retweets: Option<u64>,
    /// Quotes.
    pub quote_tweets: Option<u64>,
    /// Bookmarks.
    pub bookmarks: Option<u64>,
    /// Times that it was shared outside of X or in a message.
    pub shares: Option<u64>,
    /// Users who followed the account from it.
    pub follows: Option<u64>,
    /// Users who stopped following the account from it.
    pub unfollows: Option<u64>,
    /// Clicks on links in it.
    pub url_clicks: Option<u64>,
    /// Clicks on the profile of its author.
    pub user_profile_clicks: Option<u64>,
    /// Times that it was opened.
    pub detail_expands: Option<u64>,
    /// Clicks on its own address.
    pub permalink_clicks: Option<u64>,
    /// Clicks on hashtags in it.
    pub hashtag_clicks: Option<u64>,
    /// Views of its pictures and videos.
    pub media_views: Option<u64>,
}

/// The counts of one bucket.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AnalyticsBucket {
    /// Its start.
    pub timestamp: Option<DateTime<Utc>>,
    /// What happened in it.
    #[serde(default)]
    pub metrics: AnalyticsCounts,
}

/// The analytics of one post.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PostAnalytics {
    /// The post.
    pub id: PostId,
    /// What happened over the whole time, where X says it here and not in a bucket.
    #[serde(flatten)]
    pub total: AnalyticsCounts,
    /// The buckets.
    #[serde(default, rename = "timestamped_metrics")]
    pub buckets: Vec<AnalyticsBucket>,
}

impl XClient {
    /// The analytics of posts of `account`, read by the account itself. Posts that X has no analytics of are in [`Partial::errors`], or
    /// nowhere.
    ///
    /// A request for every 100 ids; none when `ids` is empty.
    pub async fn post_analytics(
        &self,
        account: &AccountId,
        ids: &[PostId],
        query: &AnalyticsQuery,
    ) -> Result<Partial<PostAnalytics>, XError> {
        let mut found = Partial::default();
        for ids in ids.chunks(MOST_IDS) {
            let mut call = Call::get("posts_analytics", &["2", "tweets", "analytics"], Caller::Account(account));
            if query.start.timestamp() >= query.end.timestamp() {
                return Err(call.invalid("the start of the analytics is not before their end"));
            }
            let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
            call.charge = Some((Charge::OwnRead, u32::try_from(ids.len()).unwrap_or(u32::MAX)));
            call.query = vec![
                ("ids", ids.iter().map(PostId::as_str).collect::<Vec<_>>().join(",")),
                ("start_time", time(query.start)),
                ("end_time", time(query.end)),
                ("granularity", query.granularity.as_str().to_owned()),
                ("analytics.fields", FIELDS.to_owned()),
            ];
            // Without any analytics there are errors in place of data, or neither.
            let (envelope, _) = self.call::<LenientList<PostAnalytics>>(&call).await?;
            let listed = envelope.data.unwrap_or_default();
            self.report_unreadable(&call, &listed.odd);
            found.data.extend(listed.items);
            found.odd.extend(listed.odd);
            found.errors.extend(envelope.errors.items);
        }
        Ok(found)
    }
}
