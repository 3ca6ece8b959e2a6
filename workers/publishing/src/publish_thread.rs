use chrono::{DateTime, Utc};
use perch_base::crash_point;
use perch_clients::{
    XError,
    text::post_units,
    x::{CreatePost, CreatedPost, Search},
};
use perch_jobs::{AccountId, DeletePost, HalfThread, JobId, PostId, PublishPost, PublishThread};
use perch_queue::{
    Fail,
    worker::{Data, HandlerResult, JobContext},
};
use perch_store::{ActionKind, EffectState, PlaceKind, PublishedPost};
use serde::Serialize;
use serde_json::json;

use super::{
    act::{Act, ActDetails, ActResponse},
    attempt::ActAttempt,
    decide::{Sending, sending, unfit},
    guarded::{objection, objection_to_whole},
    permit::LeasedPermit,
    record::Published,
};
use crate::{ActOrigin, Publisher};

/// The fewest and the most parts of a thread.
const PARTS: std::ops::RangeInclusive<usize> = 2..=25;

/// The outcome of a thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum PublishedThread {
    /// All parts are on X.
    Published {
        /// The ids that X gave them, in order.
        post_ids: Vec<PostId>,
    },
    /// They were rendered and recorded, but not sent.
    Simulated,
}

/// Publishes a thread, each part once, however often the job runs, unless the guard stops one of its texts. A part hangs on the confirmed
/// id of the part before it.
pub async fn publish_thread(
    job: PublishThread,
    cx: JobContext,
    publisher: Data<Publisher>,
) -> HandlerResult<PublishedThread> {
    let most = post_units(publisher.settings.x.has_long_posts(&job.account));
    if let Some(why) = unfit_thread(&job.parts, most) {
        return Err(Fail::Dead(why));
    }
    let origin = ActOrigin { source: job.source.as_ref(), reply_to: None, effect_key: job.effect_key.as_deref() };
    let publisher = publisher.charged_for(&job.account, &origin, &cx);
    let key = job.effect_key.clone().unwrap_or_else(|| format!("publish:{}", cx.id()));
    let sending = sending(publisher.settings.live_posts, &publisher.settings.x.base_url);
    let thread = Thread { job: &job, cx: &cx, publisher: &publisher, key: &key, sending };
    thread.publish().await
}

/// Why these texts cannot be a thread, if they cannot.
fn unfit_thread(parts: &[String], most: usize) -> Option<String> {
    if !PARTS.contains(&parts.len()) {
        return Some(format!("parts has {} texts; a thread has {} to {}", parts.len(), PARTS.start(), PARTS.end()));
    }
    parts.iter().enumerate().find_map(|(at, text)| unfit(text, most).map(|why| format!("parts[{at}]: {why}")))
}

/// The key of the effect of a part, counted from 1.
pub(super) fn part_key(key: &str, number: usize) -> String {
    format!("{key}:part:{number}")
}

/// The key of the effect that takes a part away again.
fn deletion_key(key: &str, number: usize) -> String {
    format!("{}:deleted", part_key(key, number))
}

/// The number of the part that a key of an effect is of, counted from 1.
pub(super) fn part_number(key: &str) -> Option<usize> {
    key.rsplit_once(":part:")?.1.parse().ok()
}

/// One attempt at a thread.
struct Thread<'a> {
    job: &'a PublishThread,
    cx: &'a JobContext,
    publisher: &'a Publisher,
    key: &'a str,
    sending: Sending,
}

impl Thread<'_> {
    async fn publish(&self) -> HandlerResult<PublishedThread> {
        if self.is_given_up().await? {
            return Err(self.finish_giving_up().await?);
        }
        let stops = self.objection().await?;
        let mut out: Vec<PostId> = Vec::new();
        for (number, text) in (1..).zip(&self.job.parts) {
            let act = PartAct { job: self.job, number, text, parent: out.last().cloned() };
            let attempt = ActAttempt {
                act: &act,
                cx: self.cx,
                publisher: self.publisher,
                key: part_key(self.key, number),
                sending: self.sending,
                // Once a part is out, the others go out too: what was let pass with it does not stop now.
                objection: stops.clone().filter(|_| number == 1),
            };
            match attempt.carry_out().await {
                Ok(Published::Published { post_id: Some(id), .. }) => out.push(id),
                Ok(Published::Published { post_id: None, .. }) => return Err(self.unknown_part(number)),
                Ok(Published::Simulated) => {}
                Err(Fail::Dead(why)) => return Err(self.half(&out, number, &why).await?),
                Err(Fail::Retry(why) | Fail::RetryAfter(_, why)) if self.cx.attempt() >= self.cx.max_attempts() => {
                    return Err(self.half(&out, number, &why).await?);
                }
                Err(fail) => return Err(fail),
            }
            crash_point!("thread.part");
        }
        Ok(if out.is_empty() { PublishedThread::Simulated } else { PublishedThread::Published { post_ids: out } })
    }

    /// Whether an earlier attempt has begun to delete what was out. Nothing more is published then.
    async fn is_given_up(&self) -> Result<bool, Fail> {
        if self.job.half == HalfThread::Keep {
            return Ok(false);
        }
        for number in 1..=self.job.parts.len() {
            if self.publisher.store.effects().get(&deletion_key(self.key, number)).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Deletes the parts that are still out.
    async fn finish_giving_up(&self) -> Result<Fail, Fail> {
        let mut out = Vec::new();
        for number in 1..=self.job.parts.len() {
            let part = self.publisher.store.effects().get(&part_key(self.key, number)).await?;
            let Some(part) = part.filter(|part| part.state == EffectState::Confirmed) else { break };
            let Some(id) = part.external_id.and_then(|id| id.parse().ok()) else { break };
            out.push(id);
        }
        self.delete(&out).await?;
        let why = "the thread was given up before, and the parts that were out are deleted; publish it under another effect_key";
        Ok(Fail::Dead(why.to_owned()))
    }

    /// Why the guard stops the thread, if it does: for one of its parts, or for all of them together.
    async fn objection(&self) -> Result<Option<String>, Fail> {
        for (number, text) in (1..).zip(&self.job.parts) {
            let part = PublishPost {
                effect_key: Some(part_key(self.key, number)),
                source: self.job.source.clone(),
                ..PublishPost::new(self.job.account.clone(), text.clone())
            };
            if let Some(why) = objection(self.publisher, &part).await? {
                return Ok(Some(format!("part {number}: {why}")));
            }
        }
        Ok(objection_to_whole(self.publisher, &self.job.account, &self.job.parts.join("\n")))
    }

    /// A person settled a part without saying which post it is, so that nothing can hang on it.
    fn unknown_part(&self, number: usize) -> Fail {
        Fail::Dead(format!(
            "part {number} is settled without the id of its post, so that the next part has nothing to hang on; settle it with its \
             id (`perch effects resolve {}`), then replay",
            part_key(self.key, number)
        ))
    }

    /// What becomes of a thread whose next part X refuses for good.
    async fn half(&self, out: &[PostId], number: usize, why: &str) -> Result<Fail, Fail> {
        let all = self.job.parts.len();
        if out.is_empty() {
            return Ok(Fail::Dead(why.to_owned()));
        }
        if self.job.half == HalfThread::Delete {
            self.delete(out).await?;
            return Ok(Fail::Dead(format!(
                "part {number} of {all} could not be published, and the {} before it are deleted: {why}",
                out.len()
            )));
        }
        let ids = out.iter().map(PostId::as_str).collect::<Vec<_>>().join(", ");
        Ok(Fail::Dead(format!(
            "part {number} of {all} could not be published: {why}. Out are {ids}; a replay goes on behind them, `perch enqueue \
             delete_post` takes one away"
        )))
    }

    /// Deletes the parts that are out, the last one first: the first keeps what hangs on it.
    async fn delete(&self, out: &[PostId]) -> Result<(), Fail> {
        for (number, id) in (1..).zip(out).collect::<Vec<(usize, &PostId)>>().into_iter().rev() {
            let key = deletion_key(self.key, number);
            let act =
                DeletePost { account: self.job.account.clone(), post_id: id.clone(), effect_key: Some(key.clone()) };
            let (cx, publisher, sending) = (self.cx, self.publisher, self.sending);
            ActAttempt { act: &act, cx, publisher, key, sending, objection: None }.carry_out().await?;
            crash_point!("thread.deleted");
        }
        Ok(())
    }
}

/// One part of a thread.
pub(super) struct PartAct<'a> {
    pub(super) job: &'a PublishThread,
    /// Counted from 1.
    pub(super) number: usize,
    pub(super) text: &'a str,
    /// The post that it hangs on; none for the first part.
    pub(super) parent: Option<PostId>,
}

/// The kind of the effect of every part but the first, which is a post like others.
pub(super) const PART: &str = "thread_part";

impl Act for PartAct<'_> {
    fn kind(&self) -> &'static str {
        if self.number == 1 { "post" } else { PART }
    }

    fn counts_as(&self) -> Option<PlaceKind> {
        Some(PlaceKind::Post)
    }

    fn account(&self) -> &AccountId {
        &self.job.account
    }

    fn request(&self) -> Vec<&str> {
        vec![self.job.account.as_str(), self.text, self.parent.as_ref().map_or("", PostId::as_str)]
    }

    /// The first part is a post like others; what follows it are replies.
    fn own_words(&self) -> Option<&str> {
        (self.number == 1).then_some(self.text)
    }

    /// X may not show a post yet that was made a moment ago.
    fn may_pass(&self, error: &XError) -> bool {
        self.parent.is_some() && matches!(error, XError::TargetGone { .. })
    }

    async fn call(&self, publisher: &Publisher, permit: LeasedPermit) -> Result<ActResponse, XError> {
        let post = CreatePost {
            text: self.text.to_owned(),
            reply_to: self.parent.clone(),
            continues_thread: self.parent.is_some(),
            made_with_ai: self.job.made_with_ai,
            ..CreatePost::default()
        };
        let CreatedPost { id, text } = publisher.clients.x.create_post(permit, &self.job.account, &post).await?;
        Ok(ActResponse { id: Some(id.to_string()), response: json!({ "id": id, "text": text, "parent": self.parent }) })
    }

    async fn look(&self, publisher: &Publisher, user_id: &str, since: DateTime<Utc>) -> Result<Search, XError> {
        let x = &publisher.clients.x;
        x.find_recent_post(&self.job.account, user_id, self.text, self.parent.as_ref(), since).await
    }

    fn details(&self) -> ActDetails<'_> {
        let source = self.job.source.as_ref();
        ActDetails {
            kind: ActionKind::Post,
            text: self.text,
            subject: source.map(|source| source.subject.as_str()),
            why: source.and_then(|source| source.why.as_deref()),
            source_post: self.parent.as_ref().or(source.map(|source| &source.post_id)),
        }
    }

    fn post(&self, id: &PostId, at: DateTime<Utc>, job: JobId) -> Option<PublishedPost> {
        Some(PublishedPost {
            post_id: id.clone(),
            account: self.job.account.clone(),
            text: self.text.to_owned(),
            reply_to: self.parent.clone(),
            subject: self.job.source.as_ref().map(|source| source.subject.clone()),
            job_id: Some(job),
            published_at: at,
        })
    }
}

#[cfg(test)]
mod tests {
    use perch_clients::text::POST_UNITS;

    use super::*;

    #[test]
    fn a_thread_that_x_would_refuse_is_refused_before_its_first_part_goes_out() {
        let parts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let unfit_thread = |parts: Vec<String>| unfit_thread(&parts, POST_UNITS);
        assert_eq!(unfit_thread(parts(&["One.", "Two."])), None);
        assert!(unfit_thread(parts(&["One."])).is_some_and(|why| why.contains("2 to 25")));
        let long = "x".repeat(281);
        assert!(unfit_thread(parts(&["One.", &long])).is_some_and(|why| why.starts_with("parts[1]: ")));
    }

    #[test]
    fn the_key_of_a_part_says_which_it_is() {
        assert_eq!(part_number(&part_key("learn:baker:7", 12)), Some(12));
        assert_eq!(part_number("learn:baker:7"), None);
    }
}
