use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use perch_base::{clock, settings::CronSettings};
use perch_core::{StartedPolls, job_id};
use perch_jobs::{AccountId, Job as _, JobId, PollMentions, PostId, ReplyToMention, Unique, UniqueScope};
use perch_queue::{
    EnqueueError, EnqueueOptions, Fail, NewJob, OnConflict,
    worker::{Data, HandlerResult, JobContext},
};
use perch_store::StoreError;
use serde::Serialize;

use super::{
    read_mentions::{AFTER_ERROR, MentionBatch, ReadProgress, not_read, page_refused, read_new},
    sift_mentions::{LeftOutReason, ReadMention, SiftContext, left_out},
};
use crate::{
    Mentions,
    blocked::blocked,
    replying::{hand_over_leftovers, queue_again, settle, take_place},
    store::{MentionStore as _, ReplyPlace, SeenMention},
};

/// How far the clock that starts a poll and the one that checks whether it is due may differ.
const EARLY: Duration = Duration::from_secs(5);

/// The least time between a poll and the next one that it enqueues, whatever the clocks show.
const FLOOR: Duration = Duration::from_secs(1);

/// The result of one poll of mentions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum MentionsPolled {
    /// One poll for each account was started.
    Started(StartedPolls),
    /// Nothing was read.
    Idle {
        /// Why: `stopped`, or `not_due`.
        idle: &'static str,
    },
    /// Mentions were read.
    Read {
        /// Mentions that X returned.
        read: usize,
        /// Of these, enqueued to be answered.
        taken: usize,
        /// The others, by the reason for which they were left out.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        left_out: BTreeMap<&'static str, usize>,
        /// Whether there are more, which the next poll reads.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        more: bool,
    },
}

/// Reads the new mentions of an account, when they are due, and enqueues a `reply_to_mention` for each that is to be
/// answered. Without an account it starts one such job for each that is configured.
///
/// The cursor of the mentions read moves last, and never past a mention whose job was not enqueued. Each poll enqueues the next one for
/// when it is due, so that any interval is kept; cron starts them again when that chain is broken.
pub async fn poll_mentions(job: PollMentions, cx: JobContext, bot: Data<Mentions>) -> HandlerResult<MentionsPolled> {
    let Some(account) = job.account else { return start_all(&bot, &cx, job.now).await };
    if !bot.settings.accounts.contains(&account) {
        return Err(Fail::Dead(format!("{account} is not one of mentions.accounts; add it there, or do not poll it")));
    }
    let bot = bot.charged_for(account.to_string(), &cx);
    settle(&bot.store, &account).await?;
    hand_over_leftovers(&bot, cx.client(), &account).await?;
    queue_again(&bot, cx.client(), &account).await?;
    let switches = bot.control.switches(&account).await?;
    let interval = switches.interval.unwrap_or(bot.settings.interval);
    if !job.now {
        if switches.stopped {
            return Ok(MentionsPolled::Idle { idle: "stopped" });
        }
        // A later attempt continues what an earlier one began.
        let next = bot.control.poll(&account).await?.next_by(cx.now()).filter(|_| cx.attempt() == 1);
        if let Some(next) = next.filter(|next| cx.now() + EARLY.min(interval / 10) < *next) {
            poll_again(&bot, &cx, &account, next, OnConflict::Keep).await?;
            return Ok(MentionsPolled::Idle { idle: "not_due" });
        }
        // A poll that begins meanwhile is then no longer due.
        bot.control.set_next(&account, cx.now(), cx.now() + interval).await?;
    }
    let batch = match read_new(&bot, &account).await {
        Ok(batch) => batch,
        Err(error) => return Err(not_read(&bot, &cx, &account, interval, error).await?),
    };
    let polled = deal_with(&bot, &cx, &account, &batch).await?;
    let now = cx.now();
    bot.control.polled(&account, batch.mentions.len() as u64, now, now + interval).await?;
    let next = match batch.place {
        ReadProgress::Lost => page_refused(&bot, &account, now, now + interval.max(AFTER_ERROR)).await?,
        _ => now + interval,
    };
    if !job.now {
        poll_again(&bot, &cx, &account, next, OnConflict::Replace).await?;
    }
    Ok(polled)
}

/// Enqueues the next poll of an account, unless no cron entry would start it either. There is one at a time, and it holds up
/// none that cron or an operator starts.
async fn poll_again(
    bot: &Mentions,
    cx: &JobContext,
    account: &AccountId,
    at: DateTime<Utc>,
    on_conflict: OnConflict,
) -> Result<(), Fail> {
    let polls = |entry: &CronSettings| entry.enabled && entry.kind.as_str() == PollMentions::KIND;
    if !bot.platform.cron.values().any(polls) {
        return Ok(());
    }
    let unique = Unique { key: format!("mentions:next:{account}"), scope: UniqueScope::Queued };
    let options = EnqueueOptions {
        run_at: Some(at),
        delay: Some(FLOOR),
        unique: Some(unique),
        on_conflict,
        ..EnqueueOptions::default()
    };
    let (client, poll) = (cx.client().clone(), PollMentions { account: Some(account.clone()), now: false });
    // In a task of its own without this poll's trace: otherwise all polls would be one endless trace.
    let enqueued = tokio::spawn(async move { client.enqueue_with(&poll, options).await }).await;
    match enqueued {
        // The waiting poll has started meanwhile, and enqueues the next one itself.
        Ok(Ok(_) | Err(EnqueueError::Conflict { .. })) => Ok(()),
        Ok(Err(error)) => Err(error.into()),
        Err(error) => Err(Fail::Retry(format!("the next poll was not enqueued: {error}"))),
    }
}

async fn start_all(bot: &Mentions, cx: &JobContext, now: bool) -> HandlerResult<MentionsPolled> {
    let poll = |account: &AccountId| {
        let id = job_id(cx.enqueued_at(), &format!("mentions:{account}:{now}"));
        let options = EnqueueOptions { id: Some(id), parent: Some(cx.id()), ..EnqueueOptions::default() };
        Ok(NewJob::of(&PollMentions { account: Some(account.clone()), now })?.with(options))
    };
    let polls = bot.settings.accounts.iter().map(poll).collect::<Result<Vec<_>, EnqueueError>>()?;
    Ok(MentionsPolled::Started(StartedPolls::of(cx.client(), polls).await?))
}

async fn deal_with(
    bot: &Mentions,
    cx: &JobContext,
    account: &AccountId,
    batch: &MentionBatch,
) -> Result<MentionsPolled, Fail> {
    let decided = sift(bot, account, batch).await?;
    let known = bot.store.mentions();
    let fresh: Vec<SeenMention> = decided
        .iter()
        .filter(|(_, left)| *left != Some(LeftOutReason::Processed))
        .map(|(read, left)| SeenMention {
            mention: read.mention.clone(),
            author: read.author.clone(),
            left_out: left.map(LeftOutReason::as_str),
        })
        .collect();
    known.note(account, &fresh).await?;
    let taken: Vec<&ReadMention> = decided.iter().filter(|(_, left)| left.is_none()).map(|(read, _)| *read).collect();
    hand_on(cx, bot, account, &taken).await?;
    let blocked = decided.iter().filter(|(_, left)| *left == Some(LeftOutReason::Blocked));
    let handles = blocked.filter_map(|(read, _)| Some((read.author.as_deref()?, read.mention.author_id.as_str())));
    known.learn_blocked(account, &handles.collect::<Vec<_>>()).await?;
    match &batch.place {
        ReadProgress::Amid { newest, page } => bot.control.set_backlog(account, Some((newest, page))).await?,
        ReadProgress::UpTo(Some(newest)) => {
            known.move_cursor(account, newest).await?;
            bot.control.set_since_id(account, newest).await?;
            bot.control.set_backlog(account, None).await?;
        }
        ReadProgress::UpTo(None) => {}
        ReadProgress::Lost => bot.control.set_backlog(account, None).await?,
    }
    Ok(report(account, batch, &decided))
}

async fn sift<'b>(
    bot: &Mentions,
    account: &AccountId,
    batch: &'b MentionBatch,
) -> Result<Vec<(&'b ReadMention, Option<LeftOutReason>)>, StoreError> {
    let versions = |read: &'b ReadMention| read.earlier.iter().chain([&read.mention.id]).cloned();
    let ids: Vec<PostId> = batch.mentions.iter().flat_map(versions).collect();
    let states = bot.store.mentions().states(account, &ids).await?;
    let blocked = blocked(bot, account).await?;
    let max_age = bot.settings.max_age;
    let known = SiftContext { own_id: &batch.own_id, blocked: &blocked, states: &states, max_age, now: clock::now() };
    let mut decided = Vec::with_capacity(batch.mentions.len());
    for read in &batch.mentions {
        let left = match left_out(read, &known) {
            Some(left) => Some(left),
            None => match take_place(bot, account, &read.mention).await? {
                ReplyPlace::ConversationFull => Some(LeftOutReason::ConversationFull),
                ReplyPlace::UserFull => Some(LeftOutReason::UserFull),
                ReplyPlace::Taken | ReplyPlace::Unknown => None,
            },
        };
        decided.push((read, left));
    }
    Ok(decided)
}

/// Enqueues the reply to each mention. A mention whose job was not accepted stays unread.
async fn hand_on(cx: &JobContext, bot: &Mentions, account: &AccountId, taken: &[&ReadMention]) -> Result<(), Fail> {
    let reply = |read: &&ReadMention| {
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
    bot.store.mentions().queued(account, &queued).await?;
    failure.map_or(Ok(()), |error| Err(error.into()))
}

/// The id of the reply job. The same mention always has the same one.
fn reply_job(account: &AccountId, created_at: DateTime<Utc>, mention: &PostId) -> JobId {
    job_id(created_at, &ReplyToMention::effect_key(account, mention))
}

fn report(
    account: &AccountId,
    batch: &MentionBatch,
    decided: &[(&ReadMention, Option<LeftOutReason>)],
) -> MentionsPolled {
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
    MentionsPolled::Read { read, taken, left_out, more: !matches!(batch.place, ReadProgress::UpTo(_)) }
}
