//! Has a model write a reply, and checks it with the guard.

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::clock;
use perch_core::{ModelReply, ModelText, text_in};
use perch_queue::Fail;
use perch_safety::{Code, GuardVerdict, Reason, recites};
use perch_store::StoreError;

use super::{
    ask::{ModelAnswer, ask},
    handling::{is_repeated, is_worth_another},
    prompt::{self, EarlierPost, FIELD, PromptSettings, RULES},
};
use crate::{
    Mentions,
    store::{Decision, MentionRecord, MentionStore as _, WrittenReply},
};

/// The most times that a model is asked for one reply.
const TIMES: usize = 2;
/// How many recent replies a new one is compared with, and from how many days.
const COMPARED: u32 = 100;
const COMPARED_DAYS: i64 = 1;

/// A reply and the verdict of the guard.
pub(super) struct ComposedReply {
    pub(super) written: WrittenReply,
    pub(super) verdict: GuardVerdict,
}

/// Has the model write a reply; once more, with the reason, when the guard refuses the first.
pub(super) async fn compose(
    bot: &Mentions,
    record: &MentionRecord,
    earlier: &[EarlierPost],
) -> Result<ComposedReply, Fail> {
    let settings = &*bot.settings;
    let voice =
        PromptSettings { persona: &bot.persona, temperature: settings.temperature, max_tokens: settings.max_tokens };
    let mut request = prompt::question(&voice, earlier, &record.mention.text);
    let (since, limit) = lately();
    let lately = bot.store.mentions().latest_replies(&record.account, since, limit).await?;
    let mut written = WrittenReply::default();
    let mut time = 1;
    // A provider whose answer has no clear reply is not asked a second time where there is another one.
    let mut unclear = Vec::new();
    loop {
        let verdict = match ask(bot, &request, &unclear).await? {
            ModelAnswer::Said(ModelReply { provider, completion }) => {
                written.model = Some(completion.model);
                written.prompt_tokens += completion.usage.prompt_tokens;
                written.completion_tokens += completion.usage.completion_tokens;
                let (text, verdict) = judged(bot, record, &completion.text, &lately);
                written.text = Some(text);
                if verdict.says(Code::Unclear) {
                    metrics::counter!("perch_malformed_answers_total", "provider" => provider.clone()).increment(1);
                    unclear.push(provider);
                }
                verdict
            }
            // An earlier text must not be stored as the one that is too long.
            ModelAnswer::CutOff => {
                written.text = None;
                GuardVerdict::Refuse(vec![Reason::whole(Code::TooLong)])
            }
            ModelAnswer::Declined => {
                let verdict = GuardVerdict::Review(vec![Reason::whole(Code::Declined)]);
                return Ok(ComposedReply { written: WrittenReply { text: None, ..written }, verdict });
            }
        };
        if time == TIMES || !is_worth_another(&verdict) {
            return Ok(ComposedReply { written, verdict });
        }
        metrics::counter!("perch_replies_objected_total", "account" => record.account.to_string()).increment(1);
        let reply = written.text.as_deref().unwrap_or_default();
        request.messages.extend(prompt::objection(reply, verdict.reasons()));
        time += 1;
    }
}

/// The answer as it would be published, and the verdict of the guard.
fn judged(bot: &Mentions, record: &MentionRecord, answer: &str, lately: &[String]) -> (String, GuardVerdict) {
    let guard = &bot.guard;
    // X adds the handle of the user who is answered.
    let ModelText { text, is_clear } = text_in(answer, FIELD);
    let text = guard.without_ways_out(&text, None);
    let verdict = guard.text(&text, record.author.as_deref());
    let verdict = verdict.also(Code::Unclear, !is_clear);
    let verdict = verdict.also(Code::Repeated, is_repeated(&text, lately));
    let verdict = verdict.also(Code::Recited, recites(&text, &[&bot.persona, RULES]));
    (text, verdict)
}

/// Stores a reply that may be published, unless one that was decided on meanwhile says the same.
pub(super) async fn keep(
    bot: &Mentions,
    record: &MentionRecord,
    written: &WrittenReply,
) -> Result<Decision, StoreError> {
    let text = written.text.as_deref().unwrap_or_default();
    let repeats = |others: &[String]| is_repeated(text, others);
    bot.store.mentions().decide_anew(&record.account, &record.mention.id, written, lately(), repeats).await
}

/// Since when, and how many of the replies a new one is compared with.
fn lately() -> (DateTime<Utc>, u32) {
    (clock::now() - TimeDelta::days(COMPARED_DAYS), COMPARED)
}
