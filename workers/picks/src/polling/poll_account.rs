use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use futures::future::try_join_all;
use perch_base::clock;
use perch_clients::{
    XError,
    x::{Page, PostsQuery, XPost},
};
use perch_core::job_id;
use perch_jobs::{ExtractPost, JobId, PollAccount, Post, PostId};
use perch_queue::{
    EnqueueError, EnqueueOptions, Fail, NewJob,
    worker::{Data, HandlerResult, JobContext},
};
use perch_store::{HotRecord, StoreError};
use serde::Serialize;

use super::{
    UserIds,
    poll_error::{PollError, poll_error},
    sift::{Candidate, SiftDecision, SkipReason, candidates, read_from, sift},
    user_ids::UserIdError,
    watch_list::{PollLimits, WatchList},
};
use crate::{
    Picks,
    store::{AccountRecord, PicksStore as _, PollNote, PollOutcome, PollProgress, PollTally, PostRecord},
};

/// The result of one poll of an account, over all its attempts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Polled {
    /// What happened to the posts that X returned.
    #[serde(flatten)]
    pub posts: PollTally,
    /// True when unread older posts are beyond the pages that one poll may read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// Why the account could not be read: `not_found`, `suspended` or `protected`, and what X said.
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

/// Reads the new posts of one watched account and enqueues an `extract_post` for each that is taken.
///
/// Each page is processed before the next is requested, and a failed attempt leaves only the remaining pages to the next one, since X
/// charges for every post it returns. `since_id` moves forward last, when no page is left. If the account is gone or not readable, the
/// job succeeds with that outcome, and a later tick tries again.
pub async fn poll_account(job: PollAccount, cx: JobContext, bot: Data<Picks>) -> HandlerResult<Polled> {
    let bot = bot.charged_for(job.username.clone(), &cx);
    let account = known(&bot, &job.username).await?;
    let mut limits = PollLimits::of(account.as_ref(), &bot.settings);
    if let Some(account) = &account {
        limits.pages = WatchList::of(bot.settings.clone(), &bot.platform).pages(account, clock::now());
    }
    let poll = Poll { bot: &bot, cx: &cx, username: &job.username, account: account.as_ref(), limits };
    match poll.read().await {
        Ok(polled) => Ok(polled),
        Err(PollError::Account(state, reason)) => {
            tracing::info!(account = job.username, state = state.as_str(), reason, "an account cannot be read");
            let note = PollNote { error: Some(reason.clone()), ..poll.ended(state) };
            poll.note(&note).await?;
            Ok(Polled { unreadable: Some(Unreadable { state, reason }), ..Polled::default() })
        }
        Err(PollError::Failed(fail)) => Err(fail),
    }
}

struct Poll<'a> {
    bot: &'a Picks,
    cx: &'a JobContext,
    username: &'a str,
    /// What Postgres knows of it.
    account: Option<&'a AccountRecord>,
    limits: PollLimits,
}

impl Poll<'_> {
    async fn read(&self) -> Result<Polled, PollError> {
        let user_id = user_id(self.bot, self.username, self.account).await?;
        let since_id = since_id(self.bot, self.username, self.account).await?;
        let read_to = self.account.and_then(|account| account.read_to);
        let is_ahead = |left: &PollProgress| match &left.newest {
            Some(newest) => since_id.as_ref().is_none_or(|since| since.is_older_than(newest)),
            None => left.since_id == since_id,
        };
        // An account that is watched again starts from scratch.
        let begins_anew = since_id.is_some() && self.account.is_some_and(|account| account.read_to.is_none());
        let left = self.bot.marks.poll_progress(self.username).await?;
        let left = left.filter(|left| is_ahead(left) && !begins_anew);
        let Some(left) = left else {
            let fresh = self.begin(since_id, read_to, PollTally::default());
            let done = self.pages(&user_id, fresh).await?;
            return self.finish(&user_id, done).await;
        };
        let before = self.pages(&user_id, left).await?;
        let before_began = before.began;
        let newest = before.newest.clone().or_else(|| before.since_id.clone());
        let Polled { posts, more, .. } = self.finish(&user_id, before).await?;
        // Read what was posted since that first page now, not at the next tick.
        let fresh = self.begin(newest, Some(before_began), posts);
        self.bot.marks.set_poll_progress(self.username, Some(&fresh)).await?;
        let done = self.pages(&user_id, fresh).await?;
        let polled = self.finish(&user_id, done).await?;
        Ok(Polled { more: more || polled.more, ..polled })
    }

    /// The progress of a poll that has not read its first page yet.
    fn begin(&self, since_id: Option<PostId>, read_to: Option<DateTime<Utc>>, tally: PollTally) -> PollProgress {
        // If only Redis knows how far the account was read, everything after that is unread, so no time limit applies.
        let knows = self.account.is_some() || read_to.is_some() || since_id.is_none();
        let from = knows.then(|| read_from(self.cx.enqueued_at(), self.limits.max_age, read_to));
        PollProgress { since_id, from, began: clock::now(), newest: None, pages: 0, page: None, tally }
    }

    /// Reads pages up to the last one, or the last one that a poll may read.
    async fn pages(&self, user_id: &str, mut progress: PollProgress) -> Result<PollProgress, PollError> {
        let marks = &self.bot.marks;
        let mut is_kept = progress.page.is_some();
        loop {
            let page = match self.page(user_id, &progress).await {
                // X does not know the pagination token any more. Posts that were handed on are marked, so starting over costs
                // money but repeats nothing.
                Err(XError::Invalid { .. } | XError::Problem { status: 400, .. }) if is_kept => {
                    tracing::info!(account = self.username, "the poll starts over: X rejected its pagination token");
                    marks.set_poll_progress(self.username, None).await?;
                    progress = PollProgress { page: None, pages: 0, ..progress };
                    is_kept = false;
                    continue;
                }
                Err(error) => return Err(self.not_read(error).await),
                Ok(page) => page,
            };
            is_kept = false;
            let posts = candidates(&page);
            let sifted = self.deal_with(&posts, progress.from).await?;
            count(&mut progress.tally, &sifted, page.data.len() + page.odd.len());
            progress.newest = progress.newest.into_iter().chain(page.newest().cloned()).max_by(PostId::by_age);
            progress.pages = progress.pages.saturating_add(1);
            let is_old = |oldest: &Candidate| progress.from.is_some_and(|from| oldest.post.created_at < from);
            progress.page = page.next_token.filter(|_| !posts.first().is_some_and(is_old));
            if progress.page.is_none() || progress.pages >= self.limits.pages {
                return Ok(progress);
            }
            marks.set_poll_progress(self.username, Some(&progress)).await?;
        }
    }

    async fn page(&self, user_id: &str, progress: &PollProgress) -> Result<Page<XPost>, XError> {
        let query = PostsQuery {
            max_results: self.limits.posts_per_poll,
            // Without it, the first poll of an account would pay for posts that are too old.
            start_time: progress.from.filter(|_| progress.since_id.is_none()),
            since_id: progress.since_id.clone(),
            pagination_token: progress.page.clone(),
            exclude_replies: true,
            exclude_reposts: true,
            ..PostsQuery::default()
        };
        self.bot.clients.x.user_posts(user_id, &query).await
    }

    async fn not_read(&self, error: XError) -> PollError {
        if matches!(error, XError::NotFound { .. }) {
            if let Err(fail) = self.bot.user_ids.forget(self.username).await {
                return PollError::Failed(fail);
            }
            // For an unknown id X says only that it is gone; for the handle it says why.
            if let Err(UserIdError::X(why)) = self.bot.user_ids.get(&self.bot.clients.x, self.username).await {
                return poll_error(why);
            }
        }
        poll_error(error)
    }

    /// Hands the posts of a page that are taken to extraction.
    async fn deal_with(&self, posts: &[Candidate], from: Option<DateTime<Utc>>) -> Result<Vec<SiftDecision>, Fail> {
        let processed = processed(self.bot, posts, from).await?;
        let sifted = sift(posts, from, &processed);
        let taken: Vec<&Candidate> =
            posts.iter().zip(&sifted).filter(|(_, sifted)| **sifted == SiftDecision::Take).map(|(c, _)| c).collect();
        hand_on(self.bot, self.cx, &taken).await?;
        Ok(sifted)
    }

    /// Moves `since_id` forward and records the outcome.
    async fn finish(&self, user_id: &str, done: PollProgress) -> Result<Polled, PollError> {
        let marks = &self.bot.marks;
        if let Some(newest) = &done.newest {
            marks.set_since_id(self.username, newest).await?;
        }
        marks.set_poll_progress(self.username, None).await?;
        let note = PollNote {
            since_id: done.newest,
            read_to: Some(done.began),
            user_id: Some(user_id.to_owned()),
            ..self.ended(PollOutcome::Polled)
        };
        self.note(&note).await?;
        Ok(Polled { posts: done.tally, more: done.page.is_some(), unreadable: None })
    }

    fn ended(&self, outcome: PollOutcome) -> PollNote {
        let username = self.username.to_owned();
        PollNote { username, at: clock::now(), outcome, error: None, since_id: None, read_to: None, user_id: None }
    }

    /// Records in Postgres how the poll ended, as a copy of what Redis knows. If Postgres is down, the next poll does it.
    async fn note(&self, note: &PollNote) -> Result<(), StoreError> {
        metrics::counter!("perch_polls_total", "outcome" => note.outcome.as_str()).increment(1);
        match self.bot.store.accounts().note_poll(note).await {
            Err(error) if error.is_unavailable() => {
                tracing::warn!(%error, account = self.username, "Postgres is down; the poll is not recorded");
                Ok(())
            }
            noted => noted,
        }
    }
}

/// What Postgres knows of the account. While it is down, the configuration alone decides.
async fn known(bot: &Picks, username: &str) -> Result<Option<AccountRecord>, StoreError> {
    match bot.store.accounts().get(username).await {
        Err(error) if error.is_unavailable() => {
            tracing::warn!(%error, account = username, "Postgres is down; the configuration alone decides");
            Ok(None)
        }
        known => known,
    }
}

/// The id of the account: from Redis, from Postgres if Redis was wiped, otherwise from X.
async fn user_id(bot: &Picks, username: &str, account: Option<&AccountRecord>) -> Result<String, PollError> {
    let known = account.and_then(|account| account.user_id.as_deref().zip(account.user_id_at));
    if let Some((id, at)) = known
        && let Ok(age) = (clock::now() - at).to_std()
        && age < UserIds::KEPT_FOR
    {
        bot.user_ids.restore(username, id, UserIds::KEPT_FOR.saturating_sub(age)).await?;
    }
    match bot.user_ids.get(&bot.clients.x, username).await {
        Ok(id) => Ok(id),
        Err(UserIdError::X(error)) => Err(poll_error(error)),
        Err(error @ UserIdError::Redis(_)) => Err(PollError::Failed(error.into())),
    }
}

/// The newest post up to which everything is done: the later of what Redis and Postgres know, since either may have been restored from
/// an older backup.
async fn since_id(bot: &Picks, username: &str, account: Option<&AccountRecord>) -> Result<Option<PostId>, StoreError> {
    let hot = bot.marks.since_id(username).await?;
    let kept = match (&hot, account) {
        (_, Some(account)) => account.since_id.clone(),
        (Some(_), None) => None,
        // If Redis knows nothing, Postgres must answer: an error here must not look like an account never read.
        (None, None) => bot.store.accounts().get(username).await?.and_then(|account| account.since_id),
    };
    Ok(hot.into_iter().chain(kept).max_by(PostId::by_age))
}

/// The posts that an earlier poll handed on, from the marks in Redis, and from Postgres if a mark is missing. While Postgres is down,
/// the marks alone decide.
async fn processed(
    bot: &Picks,
    posts: &[Candidate],
    from: Option<DateTime<Utc>>,
) -> Result<BTreeSet<PostId>, StoreError> {
    let sifted = sift(posts, from, &BTreeSet::new());
    let worth = posts.iter().zip(sifted).filter(|(_, sifted)| *sifted == SiftDecision::Take).map(|(c, _)| &c.post.id);
    let look = |id: &PostId| {
        let id = id.clone();
        async move { Ok::<_, StoreError>((bot.marks.is_processed(&id).await?, id)) }
    };
    let (marked, unmarked): (Vec<_>, Vec<_>) =
        try_join_all(worth.map(look)).await?.into_iter().partition(|(is_marked, _)| *is_marked);
    let mut processed: BTreeSet<PostId> = marked.into_iter().map(|(_, id)| id).collect();
    let unmarked: Vec<PostId> = unmarked.into_iter().map(|(_, id)| id).collect();
    if unmarked.is_empty() {
        return Ok(processed);
    }
    match bot.store.posts().known(&unmarked).await {
        Ok(known) => processed.extend(known),
        Err(error) if error.is_unavailable() => {
            tracing::warn!(%error, "Postgres is down; the marks alone decide which posts are new");
        }
        Err(error) => return Err(error),
    }
    Ok(processed)
}

/// Enqueues the extraction of each post, then records and marks those that were accepted. Fails if one was not accepted.
///
/// The order matters: a post that is recorded or marked is not handed on again.
async fn hand_on(bot: &Picks, cx: &JobContext, taken: &[&Candidate]) -> Result<(), Fail> {
    let picks = &bot.settings;
    let extraction = |candidate: &&Candidate| {
        let Candidate { post, earlier, .. } = candidate;
        let id = job_id(cx.enqueued_at(), &format!("extract:{}", post.id));
        let options = EnqueueOptions { id: Some(id), parent: Some(cx.id()), ..EnqueueOptions::default() };
        let job = ExtractPost { post: post.clone(), account: picks.account.clone(), earlier: earlier.clone() };
        Ok(NewJob::of(&job)?.with(options))
    };
    let jobs = taken.iter().map(extraction).collect::<Result<Vec<_>, EnqueueError>>()?;
    let mut failure = None;
    let mut accepted: Vec<(&Post, JobId)> = Vec::new();
    for (candidate, answer) in taken.iter().zip(cx.client().submit_all(jobs).await) {
        match answer {
            Ok(enqueued) => accepted.push((&candidate.post, enqueued.id)),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    keep(bot, &accepted).await?;
    for (post, job) in accepted {
        bot.marks.mark_processed(&post.id, &job.to_string(), picks.processed_ttl).await?;
    }
    failure.map_or(Ok(()), |error| Err(error.into()))
}

async fn keep(bot: &Picks, accepted: &[(&Post, JobId)]) -> Result<(), StoreError> {
    let read_at = clock::now();
    let record = |(post, _): &(&Post, JobId)| HotRecord::of(&PostRecord { post: (*post).clone(), read_at });
    let records = accepted.iter().map(record).collect::<Result<Vec<_>, _>>()?;
    bot.hot.put(&records).await.map(|_| ())
}

/// Adds the decisions about the posts of a page to the tally.
fn count(tally: &mut PollTally, sifted: &[SiftDecision], on_page: usize) {
    let unreadable = on_page.saturating_sub(sifted.len());
    let unreadable = std::iter::repeat_n(SiftDecision::Skip(SkipReason::Unreadable), unreadable);
    for one in sifted.iter().copied().chain(unreadable) {
        tally.read += 1;
        let outcome = match one {
            SiftDecision::Take => {
                tally.taken += 1;
                "taken"
            }
            SiftDecision::Skip(reason) => {
                *tally.skipped.entry(reason.as_str().to_owned()).or_default() += 1;
                reason.as_str()
            }
        };
        metrics::counter!("perch_polled_posts_total", "outcome" => outcome).increment(1);
    }
}
