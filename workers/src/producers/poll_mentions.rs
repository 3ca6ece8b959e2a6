use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::clock;
use perch_clients::{XError, x::PostsQuery};
use perch_jobs::{AccountId, JobId, PollMentions, PostId, ReplyToMention};
use perch_queue::{
    Acceptance, EnqueueError, EnqueueOptions, Fail, NewJob,
    worker::{Data, HandlerResult, JobContext},
};
use perch_store::{Room, SeenMention, StoreError};
use serde::Serialize;

use super::{
    Started,
    sift::by_age,
    sift_mentions::{Known, Left, Read, in_order, is_among, left_out, read},
};
use crate::{
    Services,
    follow_up::job_id,
    generation::{hand_over_leftovers, take_room},
    outcome::x_failed,
};

/// What one look at the mentions came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum MentionsPolled {
    /// One poll for each account was started.
    Started(Started),
    /// Nothing was read, and why.
    Idle {
        /// `stopped`, or `not_due`.
        idle: &'static str,
    },
    /// Mentions were read.
    Read {
        /// Mentions that X gave.
        read: usize,
        /// Of these, handed on.
        taken: usize,
        /// The others, by why they were left out.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        left_out: BTreeMap<&'static str, usize>,
        /// Whether there are more, which the next poll reads.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        more: bool,
    },
}

/// A tick may come a little before the interval is over; the next one would be late.
const EARLY: Duration = Duration::from_secs(5);
/// After an error that time does not mend, the mentions are left alone for at least so long.
const AFTER_ERROR: Duration = Duration::from_secs(900);

/// Reads the new mentions of an account, when it is time to, and enqueues a `reply_to_mention` for each that is to be
/// answered. Without an account it starts one such job for each that is configured.
///
/// The place up to which mentions were read moves on last, and never past a mention that was not handed on.
pub async fn poll_mentions(
    job: PollMentions,
    cx: JobContext,
    services: Data<Services>,
) -> HandlerResult<MentionsPolled> {
    let Some(account) = job.account else { return start_all(&services, &cx, job.now).await };
    if !services.settings.mentions.accounts.contains(&account) {
        return Err(Fail::Dead(format!(
            "{account} is not one of mentions.accounts; add it there, or leave it in peace"
        )));
    }
    let services = services.charged_to("mentions", account.to_string(), &cx);
    settle(&services, &account).await?;
    hand_over_leftovers(&services, cx.client(), &account).await?;
    let switches = services.mentions.switches(&account).await?;
    let interval = switches.interval.unwrap_or(services.settings.mentions.interval);
    if !job.now {
        if switches.stopped {
            return Ok(MentionsPolled::Idle { idle: "stopped" });
        }
        let next = services.mentions.poll(&account).await?.next;
        if next.is_some_and(|next| clock::now() + EARLY.min(interval / 10) < next) {
            return Ok(MentionsPolled::Idle { idle: "not_due" });
        }
    }
    let batch = match read_new(&services, &account).await {
        Ok(batch) => batch,
        Err(error) => return Err(not_read(&services, &account, interval, error).await?),
    };
    let polled = deal_with(&services, &cx, &account, &batch).await?;
    let now = clock::now();
    services.mentions.polled(&account, batch.mentions.len() as u64, now, now + interval).await?;
    Ok(polled)
}

async fn start_all(services: &Services, cx: &JobContext, now: bool) -> HandlerResult<MentionsPolled> {
    let poll = |account: &AccountId| {
        let id = job_id(cx.enqueued_at(), &format!("mentions:{account}:{now}"));
        let options = EnqueueOptions { id: Some(id), parent: Some(cx.id()), ..EnqueueOptions::default() };
        Ok(NewJob::of(&PollMentions { account: Some(account.clone()), now })?.with(options))
    };
    let polls = services.settings.mentions.accounts.iter().map(poll).collect::<Result<Vec<_>, EnqueueError>>()?;
    let mut started = Started::default();
    for answer in cx.client().submit_all(polls).await {
        match answer?.acceptance {
            Acceptance::Kept => started.unfinished += 1,
            _ => started.enqueued += 1,
        }
    }
    Ok(MentionsPolled::Started(started))
}

/// Brings the states of mentions up to date, and their metrics with them.
async fn settle(services: &Services, account: &AccountId) -> Result<(), StoreError> {
    let settled = services.store.mentions().settle(account).await?;
    let label = || account.to_string();
    for seconds in &settled.answered {
        metrics::histogram!("perch_reply_seconds", "account" => label()).record(*seconds);
    }
    let answered = settled.answered.len() as u64;
    for (state, n) in [("answered", answered), ("failed", settled.failed), ("expired", settled.expired)] {
        metrics::counter!("perch_mentions_settled_total", "account" => label(), "state" => state).increment(n);
    }
    Ok(())
}

/// What was read, and where the next poll goes on.
struct Batch {
    mentions: Vec<Read>,
    /// Posts without an author or a time.
    unreadable: usize,
    own_id: String,
    /// The newest mention, and how to read those that are older and still unread.
    newest: Option<PostId>,
    rest: Option<String>,
}

async fn read_new(services: &Services, account: &AccountId) -> Result<Batch, NotRead> {
    let settings = &services.settings.mentions;
    let own_id = services.own_ids.get(&services.x, account).await?;
    let since_id = since(services, account).await?;
    // Without a place to go on from, what is too old anyway would be paid for.
    let oldest = TimeDelta::from_std(settings.max_age).ok().map(|age| clock::now() - age);
    let (mut newest, mut token) = services.mentions.backlog(account).await?.unzip();
    let mut mentions = Vec::new();
    let mut unreadable = 0;
    for _ in 0..settings.pages {
        let query = PostsQuery {
            max_results: settings.page,
            start_time: oldest.filter(|_| since_id.is_none()),
            since_id: since_id.clone(),
            pagination_token: token.take(),
            ..PostsQuery::default()
        };
        let page = match services.x.mentions(&own_id, &query).await {
            Err(XError::Invalid { .. } | XError::Problem { .. }) if query.pagination_token.is_some() => {
                // The place between two pages is not known any more; the next poll begins anew.
                services.mentions.set_backlog(account, None).await?;
                break;
            }
            page => page?,
        };
        let now = clock::now();
        let before = mentions.len();
        mentions.extend(page.data.iter().filter_map(|post| read(post, &page.includes, now)));
        unreadable += page.data.len() - (mentions.len() - before);
        newest = newest.into_iter().chain(page.data.iter().map(|post| post.id.clone())).max_by(by_age);
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    Ok(Batch { mentions: in_order(mentions), unreadable, own_id, newest, rest: token })
}

/// Up to where mentions were read: Redis says so, or Postgres when Redis has lost it.
async fn since(services: &Services, account: &AccountId) -> Result<Option<PostId>, StoreError> {
    if let Some(since) = services.mentions.since_id(account).await? {
        return Ok(Some(since));
    }
    services.store.mentions().cursor(account).await
}

/// Why mentions could not be read.
enum NotRead {
    X(XError),
    Store(StoreError),
}

impl From<XError> for NotRead {
    fn from(error: XError) -> Self {
        Self::X(error)
    }
}

impl From<StoreError> for NotRead {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

async fn not_read(
    services: &Services,
    account: &AccountId,
    interval: Duration,
    error: NotRead,
) -> Result<Fail, StoreError> {
    let error = match error {
        NotRead::Store(error) => return Ok(error.into()),
        NotRead::X(error) => error,
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
    services.mentions.poll_failed(account, cause, &words, clock::now() + wait).await?;
    Ok(fail)
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
        _ => "refused",
    }
}

async fn deal_with(
    services: &Services,
    cx: &JobContext,
    account: &AccountId,
    batch: &Batch,
) -> Result<MentionsPolled, Fail> {
    let decided = sift(services, account, batch).await?;
    let known = services.store.mentions();
    let fresh: Vec<SeenMention> = decided
        .iter()
        .filter(|(_, left)| *left != Some(Left::Processed))
        .map(|(read, left)| SeenMention {
            mention: read.mention.clone(),
            author: read.author.clone(),
            left_out: left.map(Left::as_str),
        })
        .collect();
    known.note(account, &fresh).await?;
    let taken: Vec<&Read> = decided.iter().filter(|(_, left)| left.is_none()).map(|(read, _)| *read).collect();
    hand_on(cx, services, account, &taken).await?;
    match (&batch.rest, &batch.newest) {
        (Some(page), Some(newest)) => services.mentions.set_backlog(account, Some((newest, page))).await?,
        (None, Some(newest)) => {
            known.move_cursor(account, newest).await?;
            services.mentions.set_since_id(account, newest).await?;
            services.mentions.set_backlog(account, None).await?;
        }
        (_, None) => {}
    }
    Ok(report(account, batch, &decided))
}

async fn sift<'b>(
    services: &Services,
    account: &AccountId,
    batch: &'b Batch,
) -> Result<Vec<(&'b Read, Option<Left>)>, StoreError> {
    let ids: Vec<PostId> = batch.mentions.iter().map(|read| read.mention.id.clone()).collect();
    let states = services.store.mentions().states(account, &ids).await?;
    let blocked = blocked(services, account).await?;
    let max_age = services.settings.mentions.max_age;
    let known = Known { own_id: &batch.own_id, blocked: &blocked, states: &states, max_age, now: clock::now() };
    let mut decided = Vec::with_capacity(batch.mentions.len());
    for read in &batch.mentions {
        let left = match left_out(read, &known) {
            Some(left) => Some(left),
            None => match take_room(services, account, &read.mention).await? {
                Room::ConversationFull => Some(Left::ConversationFull),
                Room::UserFull => Some(Left::UserFull),
                Room::Taken | Room::Unknown => None,
            },
        };
        decided.push((read, left));
    }
    Ok(decided)
}

/// Users who are not answered: handles in lower case, and ids.
async fn blocked(services: &Services, account: &AccountId) -> Result<BTreeSet<String>, StoreError> {
    let configured = services.settings.mentions.blocked_users.iter().map(|user| user.to_lowercase());
    let by_operators = services.store.mentions().blocked(account).await?.into_iter().map(|user| user.who);
    Ok(configured.chain(by_operators).collect())
}

/// Whether a user is not answered.
pub(crate) async fn is_blocked(
    services: &Services,
    account: &AccountId,
    id: &str,
    handle: Option<&str>,
) -> Result<bool, StoreError> {
    Ok(is_among(&blocked(services, account).await?, id, handle))
}

/// Enqueues the reply to each mention. A mention whose job was not accepted stays unread.
async fn hand_on(cx: &JobContext, services: &Services, account: &AccountId, taken: &[&Read]) -> Result<(), Fail> {
    let reply = |read: &&Read| {
        let mention = read.mention.clone();
        let id = reply_job(account, mention.created_at, &mention.id);
        let options = EnqueueOptions { id: Some(id), parent: Some(cx.id()), ..EnqueueOptions::default() };
        Ok(NewJob::of(&ReplyToMention { account: account.clone(), mention })?.with(options))
    };
    let jobs = taken.iter().map(reply).collect::<Result<Vec<_>, EnqueueError>>()?;
    let (mut queued, mut failure) = (Vec::new(), None);
    for (read, answer) in taken.iter().zip(cx.client().submit_all(jobs).await) {
        match answer {
            Ok(enqueued) => queued.push((read.mention.id.clone(), enqueued.id)),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    services.store.mentions().queued(account, &queued).await?;
    failure.map_or(Ok(()), |error| Err(error.into()))
}

/// The same mention always has the same job.
fn reply_job(account: &AccountId, created_at: DateTime<Utc>, mention: &PostId) -> JobId {
    job_id(created_at, &ReplyToMention::effect_key(account, mention))
}

fn report(account: &AccountId, batch: &Batch, decided: &[(&Read, Option<Left>)]) -> MentionsPolled {
    let (mut taken, mut left_out) = (0, BTreeMap::new());
    for (_, left) in decided {
        match left {
            None => taken += 1,
            Some(left) => *left_out.entry(left.as_str()).or_default() += 1,
        }
    }
    if batch.unreadable > 0 {
        left_out.insert("unreadable", batch.unreadable);
    }
    let outcomes = left_out.iter().map(|(reason, n)| (*reason, *n)).chain([("taken", taken)]);
    for (outcome, n) in outcomes {
        metrics::counter!("perch_mentions_total", "account" => account.to_string(), "outcome" => outcome)
            .increment(n as u64);
    }
    let read = batch.mentions.len() + batch.unreadable;
    MentionsPolled::Read { read, taken, left_out, more: batch.rest.is_some() }
}
