use perch_base::{Disposition, clock};
use perch_core::AskError;
use perch_jobs::{ExtractPost, Post, SyncHotState};
use perch_queue::{
    Fail,
    worker::{Data, HandlerResult, JobContext},
};
use perch_store::HotRecord;
use serde::Serialize;
use serde_json::json;

use super::{
    actions::ActionPlan,
    edits::{Edit, PostVersion, flag, standing},
    pictures::{pictures, shown},
    prefilter::{PrefilterDecision, decide},
    reading::{ReadError, Reading, by_rules, read_picks},
    sighting::{NamedPick, SightingOutcome, named, record_sighting},
};
use crate::{
    Picks,
    grounded::grounded_in,
    normal::normalised_answer,
    store::{ExtractionRecord, PicksStore as _},
};

/// The result of extracting the picks of a post.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Extracted {
    /// Picks that no post had before; the actions on them are enqueued.
    pub new: usize,
    /// Picks that another post had before.
    pub seen_before: usize,
    /// Picks that only the rules have read; they are not acted on until they are confirmed.
    #[serde(skip_serializing_if = "is_zero")]
    pub unconfirmed: usize,
    /// Picks that the model named and the post does not have.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped: usize,
    /// Why no model was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passed_over: Option<&'static str>,
    /// How this version of an edited post differs from the version that is acted on, if that is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edit: Option<Edit>,
    /// Unusable answers of models before the usable one.
    pub objections: usize,
    /// The model.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// Prompt tokens of all calls.
    pub prompt_tokens: u64,
    /// Completion tokens of all calls.
    pub completion_tokens: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// Extracts the picks of one post, records them, and enqueues actions on the new ones.
pub async fn extract_post(job: ExtractPost, cx: JobContext, bot: Data<Picks>) -> HandlerResult<Extracted> {
    let ExtractPost { post, account, .. } = &job;
    let bot = bot.charged_for(post.author.clone(), &cx);
    let decision = decide(&bot.settings, post);
    count_decision(decision);
    if !decision.asks() {
        record(&bot, &cx, post, decision, None).await?;
        // An edit without a bet removes the picks of the earlier version, so it is flagged too.
        let edit = beside_others(&bot, &cx, &job, &[]).await?;
        return Ok(Extracted { passed_over: Some(decision.reason), edit, ..Extracted::default() });
    }
    let (reading, is_new) = match answered_before(&bot, &cx, post).await? {
        Some(reading) => (reading, false),
        None => (read(&bot, &cx, post).await?, true),
    };
    let found = named(normalised_answer(reading.answer.clone(), post), post);
    if is_new {
        record(&bot, &cx, post, decision, Some((&reading, found.len()))).await?;
    }
    let waits_for_model = reading.waits_for_model.clone();
    let unconfirmed = reading.is_by_rules() && !bot.settings.rules_publish;
    let plan = if found.is_empty() { None } else { Some(ActionPlan::of(&bot, &cx, account, post).await) };
    let mut extracted = Extracted {
        dropped: reading.dropped,
        objections: reading.objections,
        prompt_tokens: reading.usage.prompt_tokens,
        completion_tokens: reading.usage.completion_tokens,
        ..Extracted::default()
    };
    extracted.edit = beside_others(&bot, &cx, &job, &found).await?;
    let acted_on = if extracted.edit.is_none() { found } else { Vec::new() };
    for (pick, plan) in acted_on.into_iter().filter_map(|pick| Some((pick, plan.as_ref()?))) {
        match record_sighting(&bot, post, pick, &reading.provider, unconfirmed.then_some(plan)).await? {
            SightingOutcome::New { record, .. } if unconfirmed => {
                tracing::warn!(post = %post.id, pick = record.key, "only the rules have read it; `perch picks confirm`");
                extracted.unconfirmed += 1;
            }
            SightingOutcome::New { record, confirms } => {
                plan.carry_out(&record).await?;
                if confirms {
                    bot.store.picks().confirm(&record.key, &reading.provider).await?;
                }
                extracted.new += 1;
            }
            SightingOutcome::Repeated => extracted.seen_before += 1,
        }
    }
    extracted.model = reading.model;
    if extracted.new + extracted.seen_before + extracted.unconfirmed > 0 {
        cx.enqueue(&SyncHotState {}).await?;
    }
    if let Some(why) = waits_for_model {
        return Err(Fail::Retry(why));
    }
    metrics::counter!("perch_picks_total", "sight" => "new").increment(extracted.new as u64);
    metrics::counter!("perch_picks_total", "sight" => "again").increment(extracted.seen_before as u64);
    metrics::counter!("perch_picks_total", "sight" => "unconfirmed").increment(extracted.unconfirmed as u64);
    Ok(extracted)
}

/// How this version of a post differs from the one that is acted on, after flagging the difference. `None` if this version is the one.
async fn beside_others(
    bot: &Picks,
    cx: &JobContext,
    job: &ExtractPost,
    found: &[NamedPick],
) -> Result<Option<Edit>, Fail> {
    let PostVersion::Other(edit, acted) = standing(bot, job, found).await? else { return Ok(None) };
    flag(bot, job, found, &acted).await?;
    count_edit(edit);
    cx.enqueue(&SyncHotState {}).await?;
    Ok(Some(edit))
}

/// Reads the post with a model. The rules read it instead when the providers were down for `rules_after` attempts, or cannot answer
/// until somebody fixes them.
async fn read(bot: &Picks, cx: &JobContext, post: &Post) -> Result<Reading, Fail> {
    let (after, is_last) = (bot.settings.rules_after, cx.attempt() >= cx.max_attempts());
    // Missing pictures are ignored twice: early, so that the text alone may give a pick, and at the last attempt.
    let goes_without = is_last || (after > 0 && cx.attempt() == after);
    let pictures = pictures(bot, post, goes_without).await?;
    match read_picks(bot, post, &pictures.urls).await {
        Ok(reading) if pictures.missing > 0 && reading.is_nothing() && !is_last => {
            Err(Fail::Retry("the post has no pick without a picture that cannot be fetched now".into()))
        }
        Ok(reading) => {
            let has_seen_pictures = !pictures.urls.is_empty() && bot.clients.looks_at_pictures(&reading.provider);
            let reading = what_is_said(reading, post, has_seen_pictures);
            Ok(Reading { pictures_missing: pictures.missing, ..reading })
        }
        Err(ReadError::Unanswered(AskError::Down(why, down)))
            if after > 0 && (cx.attempt() >= after || down == Disposition::Never) =>
        {
            let may_wait = !is_last && down != Disposition::Never;
            Ok(what_is_said(read_by_rules(bot, post, &why, may_wait)?, post, false))
        }
        Err(error) => Err(error.into()),
    }
}

/// Reads the post with the rules. They see no pictures, so a post with pictures and no pick in its text is retried. If a model may
/// still answer, the job waits for it to confirm what the rules read, or to read what they doubt.
fn read_by_rules(bot: &Picks, post: &Post, why: &str, may_wait: bool) -> Result<Reading, Fail> {
    let (reading, doubt) = by_rules(post, why);
    if reading.is_nothing() && !shown(bot, post).is_empty() {
        return Err(Fail::Retry(format!("{why}; the rules find no pick in the text, but the post has a picture")));
    }
    if let Some(doubt) = doubt.filter(|_| may_wait) {
        return Err(Fail::Retry(format!("{why}; the rules are not sure of the post: {doubt}")));
    }
    metrics::counter!("perch_read_by_rules_total").increment(1);
    let waits = (may_wait && !bot.settings.rules_publish && !reading.is_nothing())
        .then(|| format!("{why}; only the rules have read the post, and a model may confirm it"));
    Ok(Reading { waits_for_model: waits, ..reading })
}

/// The answer that an earlier attempt of this job got. A model asked again may word the same bet differently, which would make two picks.
async fn answered_before(bot: &Picks, cx: &JobContext, post: &Post) -> Result<Option<Reading>, Fail> {
    let copy = bot.hot.get::<ExtractionRecord>(post.id.as_str()).await?;
    let known = match copy.and_then(|copy| serde_json::from_value::<ExtractionRecord>(copy.value).ok()) {
        Some(record) => Some(record),
        None if cx.attempt() == 1 && cx.replays() == 0 => None,
        None => match bot.store.extractions().get(&post.id).await {
            Ok(record) => record,
            Err(error) if error.is_unavailable() => None,
            Err(error) => return Err(error.into()),
        },
    };
    let own = known.filter(|record| record.job_id == Some(cx.id()) && record.picks.is_some());
    // A model may still confirm what only the rules have read, so that reading is not reused.
    let may_change = |reading: &Reading| reading.is_by_rules() && !bot.settings.rules_publish;
    Ok(own.and_then(Reading::recorded).filter(|reading| !may_change(reading)))
}

/// The reading without picks that the post does not have: a post may trick a model into naming them.
fn what_is_said(reading: Reading, post: &Post, has_seen_pictures: bool) -> Reading {
    let checked = grounded_in(post, reading.answer, has_seen_pictures);
    let mut dropped = 0;
    for reason in checked.left_out() {
        tracing::warn!(post = %post.id, author = %post.author, reason, "the model named a pick that the post does not have");
        metrics::counter!("perch_picks_dropped_total").increment(1);
        dropped += 1;
    }
    Reading { answer: checked.answer, dropped, ..reading }
}

fn count_decision(decision: PrefilterDecision) {
    let outcome = match decision {
        PrefilterDecision { worth: true, .. } => "worth",
        PrefilterDecision { sampled: true, .. } => "sampled",
        _ => "passed_over",
    };
    metrics::counter!("perch_prefilter_total", "outcome" => outcome).increment(1);
}

fn count_edit(edit: Edit) {
    let outcome = match edit {
        Edit::SamePicks => "same_picks",
        Edit::OtherPicks => "other_picks",
    };
    metrics::counter!("perch_edited_posts_total", "outcome" => outcome).increment(1);
}

async fn record(
    bot: &Picks,
    cx: &JobContext,
    post: &Post,
    decision: PrefilterDecision,
    read: Option<(&Reading, usize)>,
) -> Result<(), Fail> {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let (reading, picks) = (read.map(|(reading, _)| reading), read.map(|(_, picks)| count(picks)));
    let record = ExtractionRecord {
        post_id: post.id.clone(),
        worth: decision.worth,
        reason: decision.reason.to_owned(),
        sampled: decision.sampled,
        provider: reading.map(|reading| reading.provider.clone()),
        model: reading.map(|reading| reading.model.clone()),
        picks,
        dropped: reading.map_or(0, |reading| count(reading.dropped)),
        pictures_missing: reading.map_or(0, |reading| reading.pictures_missing),
        objections: reading.map_or(0, |reading| count(reading.objections)),
        prompt_tokens: reading.map_or(0, |reading| reading.usage.prompt_tokens),
        completion_tokens: reading.map_or(0, |reading| reading.usage.completion_tokens),
        answer: reading.map(|reading| json!(reading.answer)),
        job_id: Some(cx.id()),
        at: clock::now(),
    };
    bot.hot.put(&[HotRecord::of(&record)?.kept_for(bot.settings.processed_ttl)]).await?;
    Ok(())
}
