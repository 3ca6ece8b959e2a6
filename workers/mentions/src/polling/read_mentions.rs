//! Reads the mentions of an account from X.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::clock;
use perch_clients::{XError, x::PostsQuery};
use perch_core::x_failed;
use perch_jobs::{AccountId, PostId};
use perch_queue::{Fail, worker::JobContext};
use perch_store::StoreError;

use super::sift_mentions::{ReadMention, in_order, read};
use crate::{Mentions, store::MentionStore as _};

/// The least time until the next poll after an error that does not go away by itself.
pub(super) const AFTER_ERROR: Duration = Duration::from_secs(900);

/// The mentions that a poll read, and where the next one continues.
pub(super) struct MentionBatch {
    pub mentions: Vec<ReadMention>,
    /// Posts without an author or a time, and unreadable ones.
    pub unreadable: usize,
    pub own_id: String,
    pub place: ReadProgress,
}

/// How far the mentions were read.
pub(super) enum ReadProgress {
    /// All mentions were read, up to this one.
    UpTo(Option<PostId>),
    /// Only the newest were read; older unread ones are on this page and after it.
    Amid { newest: PostId, page: String },
    /// X refused the next page. Older mentions are still unread, and the next poll starts where this one did.
    Lost,
}

pub(super) async fn read_new(bot: &Mentions, account: &AccountId) -> Result<MentionBatch, ReadError> {
    let settings = &*bot.settings;
    let own_id = bot.clients.own_id(account).await?;
    let since_id = since(bot, account).await?;
    // Without a cursor, mentions that are too old anyway would be read and paid for.
    let oldest = TimeDelta::from_std(settings.max_age).ok().map(|age| clock::now() - age);
    let (mut newest, mut token) = bot.control.backlog(account).await?.unzip();
    let mut mentions = Vec::new();
    let mut unreadable = 0;
    let mut is_lost = false;
    for _ in 0..settings.pages {
        let query = PostsQuery {
            max_results: settings.page,
            start_time: oldest.filter(|_| since_id.is_none()),
            since_id: since_id.clone(),
            pagination_token: token.take(),
            ..PostsQuery::default()
        };
        let page = match bot.clients.x.mentions(account, &own_id, &query).await {
            Err(error @ (XError::Invalid { .. } | XError::Problem { .. })) if query.pagination_token.is_some() => {
                tracing::warn!(%account, %error, "X refused the next page of mentions; the next poll starts over");
                is_lost = true;
                break;
            }
            page => page?,
        };
        let now = clock::now();
        let before = mentions.len();
        mentions.extend(page.data.iter().filter_map(|post| read(post, &page.includes, now)));
        unreadable += page.data.len() + page.odd.len() - (mentions.len() - before);
        newest = newest.into_iter().chain(page.newest().cloned()).max_by(PostId::by_age);
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    let place = match (token, newest) {
        _ if is_lost => ReadProgress::Lost,
        (Some(page), Some(newest)) => ReadProgress::Amid { newest, page },
        (_, newest) => ReadProgress::UpTo(newest),
    };
    Ok(MentionBatch { mentions: in_order(mentions), unreadable, own_id, place })
}

/// The last mention that was read: from Redis, or from Postgres when Redis has lost it.
async fn since(bot: &Mentions, account: &AccountId) -> Result<Option<PostId>, StoreError> {
    if let Some(since) = bot.control.since_id(account).await? {
        return Ok(Some(since));
    }
    bot.store.mentions().cursor(account).await
}

/// Why mentions could not be read.
pub(super) enum ReadError {
    X(XError),
    Store(StoreError),
}

impl From<XError> for ReadError {
    fn from(error: XError) -> Self {
        Self::X(error)
    }
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

pub(super) async fn not_read(
    bot: &Mentions,
    cx: &JobContext,
    account: &AccountId,
    interval: Duration,
    error: ReadError,
) -> Result<Fail, StoreError> {
    let error = match error {
        ReadError::Store(error) => return Ok(error.into()),
        ReadError::X(error) => error,
    };
    let (cause, words) = (cause(&error), error.to_string());
    metrics::counter!("perch_mention_polls_failed_total", "account" => account.to_string(), "cause" => cause)
        .increment(1);
    let fail = x_failed(error);
    let wait = match &fail {
        Fail::Dead(_) => interval.max(AFTER_ERROR),
        Fail::Snooze(after, _) => *after,
        _ => Duration::ZERO,
    };
    let now = cx.now();
    bot.control.poll_failed(account, cause, &words, now, now + wait).await?;
    Ok(fail)
}

/// Notes that X refused the next page. The next poll pays again for what was read, so it waits as after any error that does not go
/// away by itself.
pub(super) async fn page_refused(
    bot: &Mentions,
    account: &AccountId,
    now: DateTime<Utc>,
    next: DateTime<Utc>,
) -> Result<DateTime<Utc>, StoreError> {
    let cause = "page_refused";
    metrics::counter!("perch_mention_polls_failed_total", "account" => account.to_string(), "cause" => cause)
        .increment(1);
    let error = "X refused the page after one that it returned; the next poll starts over";
    bot.control.poll_failed(account, cause, error, now, next).await?;
    Ok(next)
}

fn cause(error: &XError) -> &'static str {
    match error {
        XError::RateLimited { .. } => "rate_limited",
        XError::UsageCapped { .. } => "usage_capped",
        XError::Unauthorized { .. } | XError::NotConfigured { .. } => "credentials",
        XError::NotFound { .. } | XError::Hidden { .. } => "not_found",
        XError::Server { .. } => "x_failed",
        XError::Timeout { .. } => "timeout",
        XError::Connect { .. } | XError::Interrupted { .. } => "connection",
        XError::Decode { .. } | XError::Oversized { .. } => "unreadable",
        XError::OverBudget { .. } => "over_budget",
        _ => "refused",
    }
}
