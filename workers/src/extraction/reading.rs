use perch_clients::{
    ModelClient,
    models::{Completion, Usage},
};
use perch_jobs::{Answer, PickError, Post};
use perch_queue::Fail;

use super::prompt;
use crate::outcome::model_failed;

/// What a model read in a post.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    pub answer: Answer,
    pub usage: Usage,
    pub model: String,
    /// Answers that could not be used before this one.
    pub objections: usize,
}

/// Times that a model is told what is wrong with its answer.
const MOST_OBJECTIONS: usize = 2;
/// Of an answer that cannot be used, so much is kept with the job.
const RAW_KEPT: usize = 2_000;

/// Asks the model for the picks of a post, and again with the reason when an answer cannot be used.
///
/// When the last answer cannot be used either, the job is dead with that answer in its error.
pub(super) async fn read_picks(model: &ModelClient, post: &Post) -> Result<Reading, Fail> {
    let mut request = prompt::question(post);
    let mut usage = Usage::default();
    let mut objections = 0;
    loop {
        let completion = model.complete(&request).await.map_err(model_failed)?;
        count(model, &completion);
        usage.prompt_tokens += completion.usage.prompt_tokens;
        usage.completion_tokens += completion.usage.completion_tokens;
        match Answer::parse(&completion.text) {
            Ok(answer) => return Ok(Reading { answer, usage, model: completion.model, objections }),
            Err(error) if objections == MOST_OBJECTIONS => return Err(unusable(&error, &completion)),
            Err(error) => {
                tracing::info!(post = %post.id, %error, "the answer cannot be used; the model is asked again");
                metrics::counter!("perch_malformed_answers_total", "provider" => model.provider().to_owned())
                    .increment(1);
                objections += 1;
                request.messages.extend(prompt::objection(&completion.text, &error));
            }
        }
    }
}

fn count(model: &ModelClient, completion: &Completion) {
    let add = |what: &'static str, tokens: u64| {
        let provider = model.provider().to_owned();
        metrics::counter!("perch_model_tokens_total", "provider" => provider, "what" => what).increment(tokens);
    };
    add("prompt", completion.usage.prompt_tokens);
    add("completion", completion.usage.completion_tokens);
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
