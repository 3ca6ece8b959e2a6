use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::try_join_all;
use perch_base::clock;
use perch_clients::{XError, x::PostsQuery};
use perch_jobs::{ExtractPost, JobId, PollAccount, Post, PostId};
use perch_queue::{
    EnqueueError, EnqueueOptions, Fail, NewJob,
    worker::{Data, HandlerResult, JobContext},
};
use perch_store::{AccountRecord, HotRecord, PollNote, PollOutcome, PostRecord, StoreError};
use serde::Serialize;

use super::{
    UserIds,
    sift::{Candidate, Reason, Sifted, by_age, candidates, in_order, settled_up_to, sift},
    unread::{Unread, unread},
    user_ids::NoId,
    watch_list::Plan,
};
use crate::{Services, follow_up::job_id};

/// What one poll of an account found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Polled {
    /// Posts that X gave.
    pub read: usize,
    /// Of these, handed on to extraction.
    pub taken: usize,
    /// The others, by why they were left out.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub skipped: BTreeMap<&'static str, usize>,
    /// True when older posts that no poll has read are beyond the pages that one poll may read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// Why there was nothing to read: `not_found`, `suspended` or `protected`, and what X said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<Unreadable>,
}

/// Why an account cannot be read at present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// The state it is in.
    pub state: PollOutcome,
    /// What X said.
    pub reason: String,
}

/// Reads the new posts of one watched account and enqueues an `extract_post` for each that is worth reading.
///
/// The place up to which the account was read moves on last, and never past a post that was read and not enqueued. An
/// account that nobody may read, or that is gone, ends the poll well and is noted as such: the next tick tries again.
pub async fn poll_account(job: PollAccount, cx: JobContext, services: Data<Services>) -> HandlerResult<Polled> {
    let services = services.charged_to("picks", job.username.clone(), &cx);
    let account = known(&services, &job.username).await?;
    let plan = Plan::of(account.as_ref(), &services.settings.picks);
    let read = match read_new(&services, &job.username, account.as_ref(), plan).await {
        Ok(read) => read,
        Err(Unread::Account(state, reason)) => {
            tracing::info!(account = job.username, state = state.as_str(), reason, "an account cannot be read");
            note(&services, &job.username, state, Some(reason.clone()), None, None).await?;
            return Ok(Polled { unreadable: Some(Unreadable { state, reason }), ..Polled::default() });
        }
        Err(Unread::Failed(fail)) => return Err(fail),
    };
    let now = clock::now();
    let processed = processed(&services, &read.posts, now, plan).await?;
    let sifted = sift(&read.posts, now, plan.max_age, &processed);
    let taken: Vec<&Post> =
        read.posts.iter().zip(&sifted).filter(|(_, s)| **s == Sifted::Take).map(|(c, _)| &c.post).collect();
    let failure = hand_on(&services, &cx, &taken).await?;
    let settled = settled_up_to(&read.posts, failure.as_ref().map(|(post, _)| post));
    if let Some(settled) = settled {
        services.marks.set_since_id(&job.username, settled).await?;
    }
    if let Some((_, error)) = failure {
        return Err(error.into());
    }
    note(&services, &job.username, PollOutcome::Polled, None, settled.cloned(), Some(read.user_id)).await?;
    Ok(Polled { more: read.more, ..report(&sifted) })
}

/// What Postgres knows of the account. While it is away the configuration alone decides.
async fn known(services: &Services, username: &str) -> Result<Option<AccountRecord>, StoreError> {
    match services.store.accounts().get(username).await {
        Err(error) if error.is_unavailable() => {
            tracing::warn!(%error, account = username, "what is decided about an account cannot be asked");
            Ok(None)
        }
        known => known,
    }
}

/// What a poll read.
struct Read {
    /// Oldest first.
    posts: Vec<Candidate>,
    user_id: String,
    /// Whether older posts are left that no poll has read.
    more: bool,
}

async fn read_new(
    services: &Services,
    username: &str,
    account: Option<&AccountRecord>,
    plan: Plan,
) -> Result<Read, Unread> {
    let user_id = user_id(services, username, account).await?;
    let since_id = since_id(services, username, account).await?;
    let oldest = TimeDelta::from_std(plan.max_age).ok().map(|age| clock::now() - age);
    let mut query = PostsQuery {
        max_results: plan.posts_per_poll,
        // The first poll of an account would otherwise pay for posts that are too old anyway.
        start_time: oldest.filter(|_| since_id.is_none()),
        since_id,
        exclude_replies: true,
        exclude_reposts: true,
        ..PostsQuery::default()
    };
    let mut posts = Vec::new();
    let mut pages = 0;
    loop {
        let read = match services.x.user_posts(&user_id, &query).await {
            Ok(read) => read,
            Err(error) => {
                if matches!(error, XError::NotFound { .. }) {
                    services.user_ids.forget(username).await?;
                    // Of an id X says no more than that it is gone; of the handle it says why.
                    if let Err(NoId::X(why)) = services.user_ids.get(&services.x, username).await {
                        return Err(unread(why));
                    }
                }
                return Err(unread(error));
            }
        };
        let candidates = candidates(&read).map_err(unread)?;
        let is_old = |candidate: &Candidate| oldest.is_some_and(|oldest| candidate.post.created_at < oldest);
        let reached_old = candidates.first().is_some_and(is_old);
        posts.extend(candidates);
        pages += 1;
        let next = read.next_token.filter(|_| !reached_old);
        if next.is_none() || pages >= plan.pages {
            return Ok(Read { posts: in_order(posts), user_id, more: next.is_some() });
        }
        query.pagination_token = next;
    }
}

/// The id of the account: from Redis, from Postgres when Redis was wiped, else from X.
async fn user_id(services: &Services, username: &str, account: Option<&AccountRecord>) -> Result<String, Unread> {
    let known = account.and_then(|account| account.user_id.as_deref().zip(account.user_id_at));
    if let Some((id, at)) = known
        && let Ok(age) = (clock::now() - at).to_std()
        && age < UserIds::KEPT_FOR
    {
        services.user_ids.restore(username, id, UserIds::KEPT_FOR.saturating_sub(age)).await?;
    }
    match services.user_ids.get(&services.x, username).await {
        Ok(id) => Ok(id),
        Err(NoId::X(error)) => Err(unread(error)),
        Err(error @ NoId::Redis(_)) => Err(Unread::Failed(error.into())),
    }
}

/// The newest post up to which nothing is left to do, by whichever of Redis and Postgres got further: either may have been
/// restored from an older copy.
async fn since_id(
    services: &Services,
    username: &str,
    account: Option<&AccountRecord>,
) -> Result<Option<PostId>, StoreError> {
    let hot = services.marks.since_id(username).await?;
    let kept = match (&hot, account) {
        (_, Some(account)) => account.since_id.clone(),
        (Some(_), None) => None,
        // Redis knows nothing, so Postgres must say that there is nothing to know.
        (None, None) => services.store.accounts().get(username).await?.and_then(|account| account.since_id),
    };
    Ok(hot.into_iter().chain(kept).max_by(by_age))
}

/// The posts that an earlier poll handed on: by their marks, and by Postgres where a mark is missing. While Postgres is away
/// the marks alone decide.
async fn processed(
    services: &Services,
    posts: &[Candidate],
    now: DateTime<Utc>,
    plan: Plan,
) -> Result<BTreeSet<PostId>, StoreError> {
    let sifted = sift(posts, now, plan.max_age, &BTreeSet::new());
    let worth = posts.iter().zip(sifted).filter(|(_, sifted)| *sifted == Sifted::Take).map(|(c, _)| &c.post.id);
    let look = |id: &PostId| {
        let id = id.clone();
        async move { Ok::<_, StoreError>((services.marks.is_processed(&id).await?, id)) }
    };
    let (marked, unmarked): (Vec<_>, Vec<_>) =
        try_join_all(worth.map(look)).await?.into_iter().partition(|(is_marked, _)| *is_marked);
    let mut processed: BTreeSet<PostId> = marked.into_iter().map(|(_, id)| id).collect();
    let unmarked: Vec<PostId> = unmarked.into_iter().map(|(_, id)| id).collect();
    if unmarked.is_empty() {
        return Ok(processed);
    }
    match services.store.posts().known(&unmarked).await {
        Ok(known) => processed.extend(known),
        Err(error) if error.is_unavailable() => {
            tracing::warn!(%error, "whether Postgres knows the posts cannot be asked; the marks decide");
        }
        Err(error) => return Err(error),
    }
    Ok(processed)
}

/// Enqueues the extraction of each post, records those that were accepted, and marks them. Answers the oldest post that was
/// not accepted.
///
/// In this order, because a post that is recorded or marked is not handed on again.
async fn hand_on(
    services: &Services,
    cx: &JobContext,
    taken: &[&Post],
) -> Result<Option<(PostId, EnqueueError)>, Fail> {
    let picks = &services.settings.picks;
    let extraction = |post: &&Post| {
        let id = job_id(cx.enqueued_at(), &format!("extract:{}", post.id));
        let options = EnqueueOptions { id: Some(id), parent: Some(cx.id()), ..EnqueueOptions::default() };
        let job = ExtractPost { post: (*post).clone(), account: picks.account.clone() };
        Ok(NewJob::of(&job)?.with(options))
    };
    let jobs = taken.iter().map(extraction).collect::<Result<Vec<_>, EnqueueError>>()?;
    let mut failure = None;
    let mut accepted: Vec<(&Post, JobId)> = Vec::new();
    for (post, answer) in taken.iter().zip(cx.client().submit_all(jobs).await) {
        match answer {
            Ok(enqueued) => accepted.push((post, enqueued.id)),
            Err(error) => failure = failure.or(Some((post.id.clone(), error))),
        }
    }
    keep(services, &accepted).await?;
    for (post, job) in accepted {
        services.marks.mark_processed(&post.id, &job.to_string(), picks.processed_ttl).await?;
    }
    Ok(failure)
}

async fn keep(services: &Services, accepted: &[(&Post, JobId)]) -> Result<(), StoreError> {
    let read_at = clock::now();
    let record = |(post, _): &(&Post, JobId)| HotRecord::of(&PostRecord { post: (*post).clone(), read_at });
    let records = accepted.iter().map(record).collect::<Result<Vec<_>, _>>()?;
    services.hot.put(&records).await.map(|_| ())
}

/// Notes in Postgres how the poll ended: the copy of what Redis knows. While Postgres is away the next poll makes up for it.
async fn note(
    services: &Services,
    username: &str,
    outcome: PollOutcome,
    error: Option<String>,
    since_id: Option<PostId>,
    user_id: Option<String>,
) -> Result<(), StoreError> {
    metrics::counter!("perch_polls_total", "outcome" => outcome.as_str()).increment(1);
    let note = PollNote { username: username.to_owned(), at: clock::now(), outcome, error, since_id, user_id };
    match services.store.accounts().note_poll(&note).await {
        Err(error) if error.is_unavailable() => {
            tracing::warn!(%error, account = username, "a poll is not noted in Postgres");
            Ok(())
        }
        noted => noted,
    }
}

fn report(sifted: &[Sifted]) -> Polled {
    let mut polled = Polled { read: sifted.len(), ..Polled::default() };
    for one in sifted {
        let outcome = match one {
            Sifted::Take => {
                polled.taken += 1;
                "taken"
            }
            Sifted::Skip(reason) => {
                *polled.skipped.entry(Reason::as_str(*reason)).or_default() += 1;
                reason.as_str()
            }
        };
        metrics::counter!("perch_polled_posts_total", "outcome" => outcome).increment(1);
    }
    polled
}
