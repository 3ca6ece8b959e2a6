use std::time::Duration;

use perch_base::clock;
use perch_clients::XError;
use perch_core::x_failed;
use perch_jobs::ReplyToMention;
use perch_queue::{
    Fail,
    worker::{Data, HandlerResult, JobContext},
};
use perch_safety::GuardVerdict;
use serde::Serialize;
use serde_json::json;

use super::{
    compose::{ComposedReply, compose, keep},
    conversation::{earlier, in_need},
    hand_over::{TOO_LATE, hand_over, until},
    handling::{Handling, is_too_old, of_mention, of_reply},
    reply_place::take_place,
};
use crate::{
    Mentions,
    blocked::is_blocked,
    store::{Decision, MentionRecord, MentionState, MentionStore as _, ReplyPlace, SeenMention, WrittenReply},
};

/// How long a mention is snoozed while replying is paused.
const WHILE_PAUSED: Duration = Duration::from_secs(15);
/// How long a mention is snoozed whose reply turned out to be the same as another one decided on at that moment.
const AFTER_THE_SAME: Duration = Duration::from_secs(1);

/// The outcome of a mention's job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum ReplyOutcome {
    /// A reply was handed over to publishing.
    Sent {
        /// The text.
        reply: String,
        /// The model that wrote it.
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<String>,
    },
    /// A person decides.
    InReview {
        /// Why.
        because: String,
    },
    /// It is not answered.
    NotAnswered {
        /// Why.
        because: String,
    },
    /// An earlier attempt or another job had already ended it.
    Before {
        /// Its state.
        state: MentionState,
    },
}

/// Has a model write a reply to a mention, and hands it over to publishing or to a person, once, however often the job runs: the first
/// decision is stored, and every later attempt continues with it.
pub async fn reply_to_mention(job: ReplyToMention, cx: JobContext, bot: Data<Mentions>) -> HandlerResult<ReplyOutcome> {
    let ReplyToMention { account, mention } = job;
    let bot = bot.charged_for(account.to_string(), &cx);
    if !bot.settings.accounts.contains(&account) {
        let why = format!("{account} is not one of mentions.accounts; add it there and replay, or discard this");
        return Err(Fail::Dead(why));
    }
    let seen = SeenMention { mention, author: None, left_out: None };
    let record = bot.store.mentions().begin(&account, &seen, cx.id()).await?;
    let replied = match record.state {
        MentionState::Decided => send(&bot, &cx, &record).await,
        state if state.is_undecided() && record.reply.is_none() => decide(&bot, &cx, record).await,
        state => Ok(ReplyOutcome::Before { state }),
    }?;
    let outcome = match &replied {
        ReplyOutcome::Sent { .. } => "sent",
        ReplyOutcome::InReview { .. } => "in_review",
        ReplyOutcome::NotAnswered { .. } => "not_answered",
        ReplyOutcome::Before { .. } => "before",
    };
    metrics::counter!("perch_replies_total", "account" => account.to_string(), "outcome" => outcome).increment(1);
    Ok(replied)
}

async fn decide(bot: &Mentions, cx: &JobContext, record: MentionRecord) -> HandlerResult<ReplyOutcome> {
    if bot.control.switches(&record.account).await?.paused {
        let why = format!("replying as {} is paused; `perch mentions resume` goes on", record.account);
        return Err(Fail::Snooze(WHILE_PAUSED, why));
    }
    if let Some(rule) = left_out(bot, &record).await? {
        let state = MentionState::LeftOut;
        bot.store.mentions().drop(&record.account, &record.mention.id, state, rule, &WrittenReply::default()).await?;
        return Ok(ReplyOutcome::NotAnswered { because: rule.to_owned() });
    }
    let mode = bot.settings.review;
    let verdict = bot.guard.mention(&record.mention.text);
    match of_mention(&verdict, mode) {
        Handling::Proceed => {}
        Handling::Review => return ask_a_person(bot, &record, &WrittenReply::default(), &verdict).await,
        Handling::Drop => return reject(bot, &record, &WrittenReply::default(), &verdict).await,
    }
    let earlier = earlier(bot, &record.mention).await;
    if let Some(verdict) = in_need(bot, &record, &earlier).await? {
        return ask_a_person(bot, &record, &WrittenReply::default(), &verdict).await;
    }
    let bot = &bot.speaking_as(&record.account).await?;
    let ComposedReply { written, verdict } = compose(bot, &record, &earlier).await?;
    match of_reply(&verdict, mode) {
        Handling::Proceed => match keep(bot, &record, &written).await? {
            Decision::Kept(kept) => send(bot, cx, kept.as_deref().unwrap_or(&record)).await,
            Decision::Repeated => {
                Err(Fail::Snooze(AFTER_THE_SAME, "another reply says the same; this one is written anew".to_owned()))
            }
        },
        Handling::Review => ask_a_person(bot, &record, &written, &verdict).await,
        Handling::Drop => reject(bot, &record, &written, &verdict).await,
    }
}

/// The rule by which a mention is not answered. The poll has applied most of them before, but time has passed since, and other services
/// enqueue mentions too.
async fn left_out(bot: &Mentions, record: &MentionRecord) -> Result<Option<&'static str>, Fail> {
    let (account, mention) = (&record.account, &record.mention);
    if is_too_old(mention.created_at, clock::now(), bot.settings.max_age) {
        return Ok(Some("too_old"));
    }
    if is_own(bot, record).await? {
        return Ok(Some("own"));
    }
    let handle = match &record.author {
        Some(author) => Some(author.clone()),
        None => bot.store.mentions().handle_of(account, &mention.author_id).await?,
    };
    if is_blocked(bot, account, &mention.author_id, handle.as_deref()).await? {
        return Ok(Some("blocked"));
    }
    Ok(match take_place(bot, account, mention).await? {
        ReplyPlace::ConversationFull => Some("conversation_full"),
        ReplyPlace::UserFull => Some("user_full"),
        ReplyPlace::Taken | ReplyPlace::Unknown => None,
    })
}

/// Whether the account itself wrote the mention. Polls have checked theirs; mentions of other services have no handle.
async fn is_own(bot: &Mentions, record: &MentionRecord) -> Result<bool, Fail> {
    if record.author.is_some() {
        return Ok(false);
    }
    match bot.clients.own_id(&record.account).await {
        Ok(id) => Ok(id == record.mention.author_id),
        // An account without credentials cannot have written it.
        Err(XError::NotConfigured { .. }) => Ok(false),
        Err(error) => Err(x_failed(error)),
    }
}

async fn send(bot: &Mentions, cx: &JobContext, record: &MentionRecord) -> HandlerResult<ReplyOutcome> {
    if record.state != MentionState::Decided {
        return Ok(ReplyOutcome::Before { state: record.state });
    }
    let until = until(record, record.mention.created_at, bot.settings.max_age);
    if hand_over(cx.client(), &bot.store, record, until, Some(cx.id())).await?.is_none() {
        return Ok(ReplyOutcome::NotAnswered { because: TOO_LATE.to_owned() });
    }
    let waited = (clock::now() - record.mention.created_at).to_std().unwrap_or_default();
    metrics::histogram!("perch_mention_decided_seconds", "account" => record.account.to_string())
        .record(waited.as_secs_f64());
    Ok(ReplyOutcome::Sent { reply: record.reply.clone().unwrap_or_default(), model: record.model.clone() })
}

async fn ask_a_person(
    bot: &Mentions,
    record: &MentionRecord,
    written: &WrittenReply,
    verdict: &GuardVerdict,
) -> HandlerResult<ReplyOutcome> {
    let waits = bot.settings.review_expires;
    let reasons = json!(verdict.reasons());
    let (account, id) = (&record.account, &record.mention.id);
    bot.store.reviews().open(account, id, written, &reasons, waits).await?;
    let because = match verdict.reasons() {
        [] => "every reply is looked at".to_owned(),
        _ => verdict.words(),
    };
    tracing::info!(mention = %id, %account, because, "a person decides; `perch review list`");
    Ok(ReplyOutcome::InReview { because })
}

async fn reject(
    bot: &Mentions,
    record: &MentionRecord,
    written: &WrittenReply,
    verdict: &GuardVerdict,
) -> HandlerResult<ReplyOutcome> {
    let because = verdict.words();
    let state = MentionState::Rejected;
    bot.store.mentions().drop(&record.account, &record.mention.id, state, &because, written).await?;
    Ok(ReplyOutcome::NotAnswered { because })
}
