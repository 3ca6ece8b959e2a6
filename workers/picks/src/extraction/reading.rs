use std::collections::BTreeMap;

use perch_base::Classified as _;
use perch_clients::{
    ModelClient, ModelError,
    models::{ChatRequest, Usage, object_with},
};
use perch_core::{AskError, ModelReply, declined};
use perch_jobs::{Answer, PickError, Post};
use perch_queue::Fail;

use super::prompt;
use crate::{Picks, store::ExtractionRecord};

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
    /// Pictures of the post that could not be had.
    pub pictures_missing: u32,
    /// Picks that were named and do not stand in the post; they are not among its picks any more.
    pub dropped: usize,
    /// Why the post is read once more all the same.
    pub waits_for_model: Option<String>,
}

impl Reading {
    /// Whether no model has read the post.
    pub(super) fn is_by_rules(&self) -> bool {
        self.provider == RULES
    }

    /// Whether no pick was found.
    pub(super) fn is_nothing(&self) -> bool {
        self.answer == Answer::Nothing(())
    }
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
            pictures_missing: record.pictures_missing,
            dropped: usize::try_from(record.dropped).unwrap_or(usize::MAX),
            waits_for_model: None,
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
    Unanswered(AskError),
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

/// Asks a model for the picks of a post, and again with the reason when an answer cannot be used. One that gives none that can be
/// used gives way to the next provider.
///
/// When no provider gives one, the job is dead with the last answer in its error.
pub(super) async fn read_picks(bot: &Picks, post: &Post, pictures: &[String]) -> Result<Reading, Unread> {
    read(&Asker::Picks(bot), post, pictures, &mut Usage::default()).await
}

/// The same with one model alone, for whoever measures how well it reads. What its calls take is added to `spent`, also where
/// they come to no answer.
pub async fn read_with(model: &ModelClient, post: &Post, spent: &mut Usage) -> Result<Reading, Fail> {
    Ok(read(&Asker::Model(model), post, &[], spent).await?)
}

/// Whom to ask.
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

/// What a model said.
struct Said {
    text: String,
    provider: String,
    model: String,
    usage: Usage,
    answer: Result<Answer, PickError>,
}

impl Said {
    fn whole(ModelReply { provider, completion }: ModelReply) -> Self {
        // What stands around the object that was asked for is no part of the answer.
        let answer = Answer::parse(&completion.text).or_else(|error| {
            let object = object_with(&completion.text, "answer").ok_or(error)?;
            Answer::parse(&serde_json::Value::Object(object).to_string())
        });
        Self { answer, provider, model: completion.model, usage: completion.usage, text: completion.text }
    }

    /// An answer that was cut off can be objected to as one that is malformed; of any other refusal nothing can be made.
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

/// Answers that cannot be used.
#[derive(Debug, Default)]
struct Objections {
    /// In all.
    count: usize,
    /// How many of each provider that is still asked.
    of: BTreeMap<String, usize>,
    /// Providers that have had their tries, and are not asked any more.
    used_up: Vec<String>,
    /// What is wrong with the last one, and how it begins.
    last: Option<(PickError, String)>,
}

impl Objections {
    /// Whether the provider may be asked again.
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

    /// What is said when no provider gave an answer that can be used. The others may be back later, if there are any.
    fn ended(self, unanswered: AskError) -> Unread {
        let Some((error, text)) = self.last.filter(|_| !self.used_up.is_empty()) else {
            return Unread::Unanswered(unanswered);
        };
        let why = unusable(&error, &self.used_up.join(" and "), &text);
        Unread::Unusable(match unanswered {
            AskError::NoOtherProvider => Fail::Dead(why),
            AskError::Declined(declined) => Fail::Dead(format!("{declined}; {why}")),
            // Each attempt asks those again that cannot be used, so it counts.
            AskError::Held(_, held) => Fail::Retry(format!("{held}; {why}")),
            AskError::Down(down, _) => Fail::Retry(format!("{down}; {why}")),
        })
    }
}

async fn read(asker: &Asker<'_>, post: &Post, pictures: &[String], spent: &mut Usage) -> Result<Reading, Unread> {
    let mut request = prompt::question(post, pictures);
    let mut objections = Objections::default();
    loop {
        let said = match asker.ask(&request, &objections.used_up).await {
            Ok(answered) => Said::whole(answered),
            Err(AskError::Declined(error)) => match Said::cut_off(*error) {
                Ok(said) => said,
                Err(error) => return Err(objections.ended(AskError::Declined(Box::new(error)))),
            },
            Err(unanswered) => return Err(objections.ended(unanswered)),
        };
        let Said { text, provider, model, usage: used, answer } = said;
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
            // Whoever comes next is not asked about the answers of another.
            request = prompt::question(post, pictures);
        }
    }
}

/// What the rules read in a post, while no provider answers, and why they are not sure of what they might read besides.
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
        assert!(
            matches!(tried().ended(AskError::NoOtherProvider), Unread::Unusable(Fail::Dead(why)) if why.contains("prose"))
        );
        assert!(matches!(tried().ended(held()), Unread::Unusable(Fail::Retry(why)) if why.contains("openai: slow")));
        assert!(matches!(Objections::default().ended(held()), Unread::Unanswered(AskError::Held(..))));
    }

    #[test]
    fn an_answer_that_was_cut_off_is_objected_to_and_a_refusal_is_not() {
        let usage = Usage { prompt_tokens: 900, completion_tokens: 4_000 };
        let cut = ModelError::Truncated { provider: "grok".into(), usage, text: "[{\"type\":\"spr".into() };
        let said = Said::cut_off(cut).expect("it can be objected to");
        let reason = said.answer.expect_err("it cannot be used").to_string();
        assert!(reason.contains("4000 tokens") && reason.contains("shortest"), "{reason}");
        assert_eq!((said.usage, said.text.as_str()), (usage, "[{\"type\":\"spr"));
        let refused = ModelError::Refused { provider: "grok".into(), reason: "no".into(), usage };
        assert!(Said::cut_off(refused).is_err());
    }
}
