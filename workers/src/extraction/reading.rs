use perch_base::Classified as _;
use perch_clients::{
    ModelClient,
    models::{ChatRequest, Completion, Usage},
};
use perch_jobs::{Answer, PickError, Post};
use perch_queue::Fail;
use perch_store::ExtractionRecord;

use super::prompt;
use crate::{
    Services,
    models::{Answered, Purpose, Unanswered},
};

/// What a model read in a post.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The picks.
    pub answer: Answer,
    /// Tokens of all the calls that it took.
    pub usage: Usage,
    /// The provider that answered, or `rules`.
    pub provider: String,
    /// The model, as its provider names it.
    pub model: String,
    /// Answers that could not be used before this one.
    pub objections: usize,
}

impl Reading {
    /// What was answered to an earlier attempt.
    pub(super) fn recorded(record: ExtractionRecord) -> Option<Self> {
        let answer = record.answer.map_or(Ok(Answer::Nothing(())), |answer| Answer::parse(&answer.to_string())).ok()?;
        Some(Self {
            answer,
            usage: Usage { prompt_tokens: record.prompt_tokens, completion_tokens: record.completion_tokens },
            provider: record.provider?,
            model: record.model?,
            objections: usize::try_from(record.objections).unwrap_or(usize::MAX),
        })
    }
}

/// The provider and the model of what the rules read.
const RULES: &str = "rules";
/// Times that a model is told what is wrong with its answer.
const MOST_OBJECTIONS: usize = 2;
/// Of an answer that cannot be used, so much is kept with the job.
const RAW_KEPT: usize = 2_000;

/// Why a post was not read.
#[derive(Debug)]
pub(super) enum Unread {
    /// No provider answered.
    Unanswered(Unanswered),
    /// No answer can be used.
    Unusable(Fail),
}

impl From<Unread> for Fail {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Unanswered(unanswered) => unanswered.into(),
            Unread::Unusable(fail) => fail,
        }
    }
}

/// Asks a model for the picks of a post, and again with the reason when an answer cannot be used.
///
/// When the last answer cannot be used either, the job is dead with that answer in its error.
pub(super) async fn read_picks(services: &Services, post: &Post, pictures: &[String]) -> Result<Reading, Unread> {
    read(&Asker::Services(services), post, pictures).await
}

/// The same with one model alone, for whoever measures how well it reads.
pub async fn read_with(model: &ModelClient, post: &Post) -> Result<Reading, Fail> {
    Ok(read(&Asker::Model(model), post, &[]).await?)
}

/// Whom to ask.
enum Asker<'a> {
    Services(&'a Services),
    Model(&'a ModelClient),
}

impl Asker<'_> {
    async fn ask(&self, request: &ChatRequest) -> Result<Answered, Unanswered> {
        match self {
            Self::Services(services) => services.ask(Purpose::Extraction, request).await,
            Self::Model(model) => match model.complete(request).await {
                Ok(completion) => Ok(Answered { provider: model.provider().to_owned(), completion }),
                Err(error) => Err(Unanswered::Down(error.to_string(), error.disposition())),
            },
        }
    }
}

async fn read(asker: &Asker<'_>, post: &Post, pictures: &[String]) -> Result<Reading, Unread> {
    let mut request = prompt::question(post, pictures);
    let mut usage = Usage::default();
    let mut objections = 0;
    loop {
        let Answered { provider, completion } = asker.ask(&request).await.map_err(Unread::Unanswered)?;
        usage.prompt_tokens += completion.usage.prompt_tokens;
        usage.completion_tokens += completion.usage.completion_tokens;
        match Answer::parse(&completion.text) {
            Ok(answer) => return Ok(Reading { answer, usage, provider, model: completion.model, objections }),
            Err(error) if objections == MOST_OBJECTIONS => return Err(Unread::Unusable(unusable(&error, &completion))),
            Err(error) => {
                tracing::info!(post = %post.id, %error, "the answer cannot be used; the model is asked again");
                metrics::counter!("perch_malformed_answers_total", "provider" => provider).increment(1);
                objections += 1;
                request.messages.extend(prompt::objection(&completion.text, &error));
            }
        }
    }
}

/// What the rules read in a post, while no provider answers.
pub(super) fn by_rules(post: &Post, why: &str) -> Reading {
    tracing::warn!(post = %post.id, why, "no provider answers; the rules read the post");
    metrics::counter!("perch_read_by_rules_total").increment(1);
    Reading {
        answer: perch_picks::rules::extract(&post.text),
        usage: Usage::default(),
        provider: RULES.to_owned(),
        model: RULES.to_owned(),
        objections: 0,
    }
}

fn unusable(error: &PickError, completion: &Completion) -> Fail {
    let mut raw: String = completion.text.chars().take(RAW_KEPT).collect();
    if raw.len() < completion.text.len() {
        raw.push('…');
    }
    Fail::Dead(format!(
        "{} gave no usable answer in {} tries: {error}; replay it, or discard it when the post is no pick. \
         The last answer was: {raw}",
        completion.model,
        MOST_OBJECTIONS + 1,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unusable_answer_is_kept_with_the_job_and_not_without_bound() {
        let error = PickError { path: "$.line".into(), reason: "not a line".into() };
        let completion = Completion { text: "ü".repeat(10_000), usage: Usage::default(), model: "grok-4".into() };
        let Fail::Dead(why) = unusable(&error, &completion) else { panic!("it is dead") };
        assert!(why.contains("$.line") && why.contains("grok-4") && why.contains("ü…"), "{why}");
        assert!(why.chars().count() < 2_400);
    }
}
