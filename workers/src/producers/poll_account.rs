use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use futures::future::try_join_all;
use perch_base::clock;
use perch_clients::{
    XError,
    x::{Page, PostsQuery, XPost},
};
use perch_jobs::{ExtractPost, PollAccount, Post, PostId};
use perch_queue::{
    EnqueueError, EnqueueOptions, Fail, NewJob,
    worker::{Data, HandlerResult, JobContext},
};
use perch_store::{HotRecord, PostRecord, StoreError};
use serde::Serialize;

use super::sift::{Candidate, Reason, Sifted, candidates, settled_up_to, sift};
use crate::{Services, follow_up::job_id, outcome::x_failed, services::spender};

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
}

/// Reads the new posts of one watched account and enqueues an `extract_post` for each that is worth reading.
///
/// The place up to which the account was read moves on last, and never past a post that was not enqueued.
pub async fn poll_account(job: PollAccount, cx: JobContext, services: Data<Services>) -> HandlerResult<Polled> {
    let services = services.charged_to(&spender("picks", job.username.clone(), &cx));
    let page = read_new(&services, &job.username).await?;
    let posts = candidates(&page).map_err(x_failed)?;
    let processed = processed(&services, &posts).await?;
    let sifted = sift(&posts, clock::now(), services.settings.picks.max_age, &processed);
    let taken: Vec<&Post> =
        posts.iter().zip(&sifted).filter(|(_, s)| **s == Sifted::Take).map(|(c, _)| &c.post).collect();
    keep(&services, &taken).await?;
    let failure = hand_on(&services, &cx, &taken).await?;
    if let Some(settled) = settled_up_to(&posts, failure.as_ref().map(|(post, _)| post)) {
        services.marks.set_since_id(&job.username, settled).await?;
    }
    match failure {
        Some((_, error)) => Err(error.into()),
        None => Ok(report(&sifted)),
    }
}

async fn read_new(services: &Services, username: &str) -> Result<Page<XPost>, Fail> {
    let picks = &services.settings.picks;
    let user_id = services.user_ids.get(&services.x, username).await?;
    let since_id = services.marks.since_id(username).await?;
    // The first poll of an account would otherwise pay for posts that are too old anyway.
    let oldest = TimeDelta::from_std(picks.max_age).ok().map(|age| clock::now() - age);
    let query = PostsQuery {
        max_results: picks.posts_per_poll,
        start_time: oldest.filter(|_| since_id.is_none()),
        since_id,
        exclude_replies: true,
        exclude_reposts: true,
        ..PostsQuery::default()
    };
    match services.x.user_posts(&user_id, &query).await {
        Ok(page) => Ok(page),
        Err(error) => {
            if matches!(error, XError::NotFound { .. }) {
                services.user_ids.forget(username).await?;
            }
            Err(x_failed(error))
        }
    }
}

async fn processed(services: &Services, posts: &[Candidate]) -> Result<BTreeSet<PostId>, StoreError> {
    let look = |candidate: &Candidate| {
        let id = candidate.post.id.clone();
        async move { Ok::<_, StoreError>(services.marks.is_processed(&id).await?.then_some(id)) }
    };
    Ok(try_join_all(posts.iter().map(look)).await?.into_iter().flatten().collect())
}

async fn keep(services: &Services, taken: &[&Post]) -> Result<(), StoreError> {
    let read_at = clock::now();
    let record = |post: &&Post| HotRecord::of(&PostRecord { post: (*post).clone(), read_at });
    let records = taken.iter().map(record).collect::<Result<Vec<_>, _>>()?;
    services.hot.put(&records).await.map(|_| ())
}

/// Enqueues the extraction of each post and marks those that were accepted. Answers the oldest post that was not.
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
    for (post, answer) in taken.iter().zip(cx.client().submit_all(jobs).await) {
        match answer {
            Ok(enqueued) => {
                services.marks.mark_processed(&post.id, &enqueued.id.to_string(), picks.processed_ttl).await?;
            }
            Err(error) => failure = failure.or(Some((post.id.clone(), error))),
        }
    }
    Ok(failure)
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
