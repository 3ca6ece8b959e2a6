use std::collections::BTreeMap;

use perch_base::Classified as _;
use perch_clients::{
    ModelClient, ModelError,
    models::{ChatRequest, Usage, object_with},
};
use perch_core::{AskError, ModelReply, declined};
use perch_jobs::{ExtractedBets, PickError, Post};
use perch_queue::Fail;

use super::prompt;
use crate::{Picks, store::ExtractionRecord};

/// What a model or the rules read in a post.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The picks.
    pub answer: ExtractedBets,
    /// The tokens of all calls, including those with unusable answers.
    pub usage: Usage,
    /// The provider that answered, or `rules`.
    pub provider: String,
    /// The model, as its provider names it.
    pub model: String,
    /// Unusable answers before this one.
    pub objections: usize,
    /// Pictures of the post that could not be fetched.
    pub pictures_missing: u32,
    /// Picks that the model named and the post does not have; they are removed from the answer.
    pub dropped: usize,
    /// Why the job is retried for a model's reading although this one exists.
    pub waits_for_model: Option<String>,
}

impl Reading {
    /// Whether no model has read the post.
    pub(super) fn is_by_rules(&self) -> bool {
        self.provider == RULES
    }

    /// Whether no pick was found.
    pub(super) fn is_nothing(&self) -> bool {
        self.answer == ExtractedBets::Nothing(())
    }
}

impl Reading {
    /// The reading of an earlier attempt, from its record.
    pub(super) fn recorded(record: ExtractionRecord) -> Option<Self> {
        let answer = record
            .answer
            .map_or(Ok(ExtractedBets::Nothing(())), |answer| ExtractedBets::parse(&answer.to_string()))
            .ok()?;
        Some(Self {
            answer,
            usage: Usage { prompt_tokens: record.prompt_tokens, completion_tokens: record.completion_tokens },
            provider: record.provider?,
            model: record.model?,
            objections: usize::try_from(record.objections).unwrap_or(usize::MAX),
            pictures_missing: record.pictures_missing,
            dropped: usize::try_from(record.dropped).unwrap_or(usize::MAX),
            waits_for_model: None,
        })
    }
}

/// The provider and model name of a reading by the rules.
const RULES: &str = "rules";
/// How often a provider is told what is wrong with its answer and asked again.
const MOST_OBJECTIONS: usize = 2;
/// How many characters of an unusable answer are kept with the job.
const RAW_KEPT: usize = 2_000;

/// Why a post was not read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// No provider answered.
    Unanswered(AskError),
    /// No answer was usable.
    Unusable(Fail),
}

impl From<ReadError> for Fail {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unanswered(unanswered) => unanswered.into(),
            ReadError::Unusable(fail) => fail,
        }
    }
}

/// Asks a model for the picks of a post. After an unusable answer it is asked again with the reason; after three of them the next
/// provider is asked.
///
/// If no provider gives a usable answer, the job becomes a dead letter with the last answer in its error.
pub(super) async fn read_picks(bot: &Picks, post: &Post, pictures: &[String]) -> Result<Reading, ReadError> {
    read(&Asker::Picks(bot), post, pictures, &mut Usage::default()).await
}

/// Reads a post with one model, to measure how well it does. The tokens of its calls are added to `spent`, also if no answer is usable.
pub async fn read_with(model: &ModelClient, post: &Post, spent: &mut Usage) -> Result<Reading, Fail> {
    Ok(read(&Asker::Model(model), post, &[], spent).await?)
}

/// Who is asked: the configured providers, or one model.
enum Asker<'a> {
    Picks(&'a Picks),
    Model(&'a ModelClient),
}

impl Asker<'_> {
    async fn ask(&self, request: &ChatRequest, except: &[String]) -> Result<ModelReply, AskError> {
        match self {
            Self::Picks(bot) => bot.clients.ask(&bot.settings.providers, request, except).await,
            Self::Model(_) if !except.is_empty() => Err(AskError::NoOtherProvider),
            Self::Model(model) => match model.complete(request).await {
                Ok(completion) => Ok(ModelReply { provider: model.provider().to_owned(), completion }),
                Err(error) if declined(&error) => Err(AskError::Declined(Box::new(error))),
                Err(error) => Err(AskError::Down(error.to_string(), error.disposition())),
            },
        }
    }
}

/// An answer of a model, parsed if possible.
struct ModelAnswer {
    text: String,
    provider: String,
    model: String,
    usage: Usage,
    answer: Result<ExtractedBets, PickError>,
}

impl ModelAnswer {
    fn whole(ModelReply { provider, completion }: ModelReply) -> Self {
        // Models may write text around the JSON object; it is ignored.
        let answer = ExtractedBets::parse(&completion.text).or_else(|error| {
            let object = object_with(&completion.text, "answer").ok_or(error)?;
            ExtractedBets::parse(&serde_json::Value::Object(object).to_string())
        });
        Self { answer, provider, model: completion.model, usage: completion.usage, text: completion.text }
    }

    /// A truncated answer is treated like a malformed one: the model is asked again. Any other error is returned.
    fn cut_off(error: ModelError) -> Result<Self, ModelError> {
        let ModelError::Truncated { provider, usage, text } = error else { return Err(error) };
        let reason = format!(
            "it was cut off after {} tokens; name each bet once, in the shortest form, without spaces and line breaks",
            usage.completion_tokens
        );
        let answer = Err(PickError { path: "$".into(), reason });
        Ok(Self { answer, model: provider.clone(), provider, usage, text: beginning(&text, RAW_KEPT) })
    }
}

/// The unusable answers so far.
#[derive(Debug, Default)]
struct Objections {
    /// How many in all.
    count: usize,
    /// How many of each provider.
    of: BTreeMap<String, usize>,
    /// Providers that have used all their tries and are not asked again.
    used_up: Vec<String>,
    /// The error and the text of the last one.
    last: Option<(PickError, String)>,
}

impl Objections {
    /// Counts an unusable answer. True if the provider may be asked again.
    fn add(&mut self, provider: &str, error: PickError, text: &str) -> bool {
        self.count += 1;
        self.last = Some((error, text.to_owned()));
        let tries = self.of.entry(provider.to_owned()).or_default();
        *tries += 1;
        if *tries > MOST_OBJECTIONS {
            self.used_up.push(provider.to_owned());
        }
        *tries <= MOST_OBJECTIONS
    }

    /// The error when no provider gave a usable answer. It is retried if another provider may answer later.
    fn ended(self, unanswered: AskError) -> ReadError {
        let Some((error, text)) = self.last.filter(|_| !self.used_up.is_empty()) else {
            return ReadError::Unanswered(unanswered);
        };
        let why = unusable(&error, &self.used_up.join(" and "), &text);
        ReadError::Unusable(match unanswered {
            AskError::NoOtherProvider => Fail::Dead(why),
            AskError::Declined(declined) => Fail::Dead(format!("{declined}; {why}")),
            // A retry and not a snooze: the next attempt pays again for the providers with unusable answers, so it must count.
            AskError::Held(_, held) => Fail::Retry(format!("{held}; {why}")),
            AskError::Down(down, _) => Fail::Retry(format!("{down}; {why}")),
        })
    }
}

async fn read(asker: &Asker<'_>, post: &Post, pictures: &[String], spent: &mut Usage) -> Result<Reading, ReadError> {
    let mut request = prompt::question(post, pictures);
    let mut objections = Objections::default();
    loop {
        let said = match asker.ask(&request, &objections.used_up).await {
            Ok(answered) => ModelAnswer::whole(answered),
            Err(AskError::Declined(error)) => match ModelAnswer::cut_off(*error) {
                Ok(said) => said,
                Err(error) => return Err(objections.ended(AskError::Declined(Box::new(error)))),
            },
            Err(unanswered) => return Err(objections.ended(unanswered)),
        };
        let ModelAnswer { text, provider, model, usage: used, answer } = said;
        spent.prompt_tokens += used.prompt_tokens;
        spent.completion_tokens += used.completion_tokens;
        let error = match answer {
            Ok(answer) => {
                return Ok(Reading {
                    answer,
                    usage: *spent,
                    provider,
                    model,
                    objections: objections.count,
                    pictures_missing: 0,
                    dropped: 0,
                    waits_for_model: None,
                });
            }
            Err(error) => error,
        };
        tracing::info!(post = %post.id, %provider, %error, "the answer cannot be used; a model is asked again");
        metrics::counter!("perch_malformed_answers_total", "provider" => provider.clone()).increment(1);
        let objection = prompt::objection(&text, &error);
        if objections.add(&provider, error, &text) {
            request.messages.extend(objection);
        } else {
            // The next provider starts without the answers of the last one.
            request = prompt::question(post, pictures);
        }
    }
}

/// Reads a post with the rules while no provider answers; also returns the first reason for which they are not sure.
pub(super) fn by_rules(post: &Post, why: &str) -> (Reading, Option<String>) {
    tracing::warn!(post = %post.id, why, "no provider answers; the rules read the post");
    let found = crate::rules::read(&post.text);
    let doubt = found.doubts.first().map(ToString::to_string);
    let reading = Reading {
        answer: found.sure(),
        usage: Usage::default(),
        provider: RULES.to_owned(),
        model: RULES.to_owned(),
        objections: 0,
        pictures_missing: 0,
        dropped: 0,
        waits_for_model: None,
    };
    (reading, doubt)
}

fn unusable(error: &PickError, providers: &str, text: &str) -> String {
    format!(
        "{providers} gave no usable answer in {} tries: {error}; replay it, or discard it when the post is no pick. \
         The last answer was: {}",
        MOST_OBJECTIONS + 1,
        beginning(text, RAW_KEPT),
    )
}

fn beginning(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unusable_answer_is_kept_with_the_job_and_not_without_bound() {
        let error = PickError { path: "$.line".into(), reason: "not a line".into() };
        let why = unusable(&error, "grok", &"ü".repeat(10_000));
        assert!(why.contains("$.line") && why.contains("grok") && why.contains("ü…"), "{why}");
        assert!(why.chars().count() < 2_400);
    }

    #[test]
    fn a_provider_has_its_tries_and_what_the_others_say_decides_whether_they_are_asked_later() {
        let error = || PickError { path: "$".into(), reason: "not JSON".into() };
        let tried = || {
            let mut objections = Objections::default();
            let again: Vec<bool> = (0..3).map(|_| objections.add("grok", error(), "prose")).collect();
            assert_eq!((again, objections.used_up.clone()), (vec![true, true, false], vec!["grok".to_owned()]));
            objections
        };
        let held = || AskError::Held(std::time::Duration::from_secs(60), "openai: slow".into());
        let ended = tried().ended(AskError::NoOtherProvider);
        assert!(matches!(ended, ReadError::Unusable(Fail::Dead(why)) if why.contains("prose")));
        assert!(matches!(tried().ended(held()), ReadError::Unusable(Fail::Retry(why)) if why.contains("openai: slow")));
        assert!(matches!(Objections::default().ended(held()), ReadError::Unanswered(AskError::Held(..))));
    }

    #[test]
    fn an_answer_that_was_cut_off_is_objected_to_and_a_refusal_is_not() {
        let usage = Usage { prompt_tokens: 900, completion_tokens: 4_000 };
        let cut = ModelError::Truncated { provider: "grok".into(), usage, text: "[{\"type\":\"spr".into() };
        let said = ModelAnswer::cut_off(cut).expect("it can be objected to");
        let reason = said.answer.expect_err("it cannot be used").to_string();
        assert!(reason.contains("4000 tokens") && reason.contains("shortest"), "{reason}");
        assert_eq!((said.usage, said.text.as_str()), (usage, "[{\"type\":\"spr"));
        let refused = ModelError::Refused { provider: "grok".into(), reason: "no".into(), usage };
        assert!(ModelAnswer::cut_off(refused).is_err());
    }
}
