//! Reading the JSON of answers field by field, so that an odd value in one field does not affect the others. No I/O.

use serde_json::Value;

use super::{Usage, reasoning::without_thoughts, types::about_tokens};

/// The outcome of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ModelOutcome {
    /// The model answered.
    Answered(String),
    /// The model declined, or the provider's filter stopped it.
    Refused(String),
    /// The answer ended at the token limit, after this text.
    Truncated(String),
    /// The answer is empty.
    Nothing,
}

/// An answer with status 200.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ModelAnswer {
    pub(super) verdict: ModelOutcome,
    pub(super) usage: Usage,
    pub(super) model: Option<String>,
}

/// Why the body of a 200 is not an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AnswerError {
    /// It is not a chat completion.
    Malformed(String),
    /// It contains an error of the provider.
    Error(ProviderError),
}

/// Reads the body of a 200. `asked` estimates the tokens of the question, for a provider that does not report them.
pub(super) fn read(body: &[u8], asked: u64) -> Result<ModelAnswer, AnswerError> {
    let body: Value = serde_json::from_slice(body).map_err(|error| AnswerError::Malformed(error.to_string()))?;
    let choice = &body["choices"][0];
    for error in [&body["error"], &choice["error"]] {
        if !error.is_null() && content(&choice["message"]["content"]).is_empty() {
            return Err(AnswerError::Error(complaint_in(error, &body)));
        }
    }
    if body.get("choices").is_none() {
        return Err(AnswerError::Malformed("it has no choices".into()));
    }
    let (verdict, written) = verdict(choice);
    let usage = usage(&body["usage"], asked, written);
    Ok(ModelAnswer { verdict, usage, model: body["model"].as_str().map(str::to_owned) })
}

/// The outcome of a choice, and an estimate of the tokens written.
fn verdict(choice: &Value) -> (ModelOutcome, u64) {
    let message = &choice["message"];
    let whole = content(&message["content"]);
    let refusal = message["refusal"].as_str().filter(|refusal| !refusal.is_empty()).map(str::to_owned);
    let refusal = refusal.or_else(|| refusal_in(&message["content"]));
    let text = without_thoughts(&whole).to_owned();
    let written = about_tokens(refusal.as_deref().unwrap_or(&whole));
    let verdict = match (refusal, choice["finish_reason"].as_str()) {
        (Some(refusal), _) => ModelOutcome::Refused(refusal),
        (None, Some("content_filter")) => ModelOutcome::Refused("stopped by the provider's content filter".into()),
        (None, Some("length")) => ModelOutcome::Truncated(text),
        (None, _) if text.is_empty() => ModelOutcome::Nothing,
        (None, _) => ModelOutcome::Answered(text),
    };
    (verdict, written)
}

/// The text of a message: a string, or the text parts of a list. Parts with the model's reasoning are left out.
fn content(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(part).collect(),
        _ => String::new(),
    }
}

fn part(part: &Value) -> Option<&str> {
    match part["type"].as_str() {
        Some("text" | "output_text") => part["text"].as_str(),
        Some(_) => None,
        None => part.as_str(),
    }
}

fn refusal_in(content: &Value) -> Option<String> {
    content.as_array()?.iter().find_map(|part| part["refusal"].as_str()).map(str::to_owned)
}

/// The most tokens that one call can use; larger values are ignored.
const MOST_TOKENS: f64 = 1e9;

/// The usage that a provider reports. A missing count is estimated from question and answer. Providers that leave reasoning out of
/// `completion_tokens` include it in the total.
fn usage(usage: &Value, asked: u64, written: u64) -> Usage {
    let count = |name: &str| counted(&usage[name]);
    let prompt = count("prompt_tokens");
    let reported = count("completion_tokens");
    let rest = prompt.and_then(|prompt| count("total_tokens")?.checked_sub(prompt));
    Usage {
        prompt_tokens: prompt.unwrap_or(asked),
        completion_tokens: reported.max(rest.filter(|rest| *rest > 0)).unwrap_or(written),
    }
}

/// A count above zero: a whole number, a fraction, or either as text.
fn counted(value: &Value) -> Option<u64> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is within 1 and a thousand million"
    )]
    (0.5..=MOST_TOKENS).contains(&number).then(|| number.round() as u64)
}

/// A provider's error for a request it did not serve.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ProviderError {
    pub(super) code: String,
    pub(super) message: String,
    /// The parameter that it is about.
    pub(super) parameter: String,
    /// The status in the error itself, for errors in an answer with status 200.
    pub(super) status: Option<u16>,
}

/// Reads the body of a refusal: `{"error": {"message", "code", "type"}}` or `{"error": "…", "code": "…"}`.
pub(super) fn complaint(body: &[u8]) -> ProviderError {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return ProviderError::default() };
    complaint_in(&body["error"], &body)
}

fn complaint_in(error: &Value, body: &Value) -> ProviderError {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    let first = |values: [&Value; 2]| values.into_iter().map(text).find(|text| !text.is_empty()).unwrap_or_default();
    let (code, message) = match error {
        Value::Object(_) => (first([&error["code"], &error["type"]]), text(&error["message"])),
        _ => (text(&body["code"]), first([error, &body["message"]])),
    };
    // Providers that route requests to others only say that it failed; the original message is in the metadata.
    let raw = text(&error["metadata"]["raw"]);
    let message = if raw.is_empty() { message } else { format!("{message}: {raw}") };
    let status = code.parse().ok().filter(|status| (400..600).contains(status));
    ProviderError { status, code, message, parameter: text(&error["param"]) }
}

/// Error codes that mean that the account has no credit left.
const NO_CREDIT: [&str; 8] = [
    "insufficient_quota",
    "insufficient_balance",
    "insufficient_credits",
    "insufficient_funds",
    "billing_hard_limit_reached",
    "billing_not_active",
    "credit_limit_exceeded",
    "payment_required",
];
/// Phrases of such errors whose code does not tell. All words of a line must occur.
const NO_CREDIT_WORDS: [&[&str]; 10] = [
    &["used all", "credits"],
    &["monthly spending limit"],
    &["purchase", "credits"],
    &["exceeded your current quota"],
    &["check your plan and billing"],
    &["insufficient", "credit"],
    &["insufficient", "balance"],
    &["out of credits"],
    &["any credits"],
    &["credit balance", "low"],
];

impl ProviderError {
    /// Whether the account has no credit left, whatever the status: waiting does not help.
    pub(super) fn is_about_credit(&self) -> bool {
        let said = self.message.to_lowercase();
        NO_CREDIT.contains(&self.code.as_str())
            || NO_CREDIT_WORDS.iter().any(|words| words.iter().all(|word| said.contains(word)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn complaints_of_all_providers_are_read() {
        let openai =
            complaint(br#"{"error":{"message":"You exceeded your quota","type":"insufficient_quota","code":null}}"#);
        assert_eq!((openai.code.as_str(), openai.message.as_str()), ("insufficient_quota", "You exceeded your quota"));
        let xai = complaint(br#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided"}"#);
        assert_eq!(xai.message, "Incorrect API key provided");
        let inside = complaint(br#"{"error":{"message":"failed","code":"429","param":"model"}}"#);
        assert_eq!((inside.status, inside.parameter.as_str()), (Some(429), "model"));
        assert_eq!(complaint(b"<html>"), ProviderError::default());
    }

    #[test]
    fn no_credit_is_told_from_too_many_requests_by_code_or_by_words() {
        let about_credit = |code: &str, message: &str| {
            ProviderError { code: code.into(), message: message.into(), ..ProviderError::default() }.is_about_credit()
        };
        assert!(about_credit("insufficient_quota", "") && about_credit("429", "You have used all available credits."));
        assert!(about_credit("", "Your newly created team doesn't have any credits or licenses yet."));
        assert!(!about_credit("rate_limit_exceeded", "Rate limit reached for requests per minute"));
        assert!(!about_credit("", "Too many tokens; limit is 10000 per minute"));
    }

    /// Any JSON, two levels deep.
    fn anything() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(|n| json!(n)),
            "[ -~]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 8, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,8}", inner, 0..3).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_stands_beside_an_answer_it_is_read(
            usage in anything(), odd in anything(), finish in prop::sample::select(vec![json!("stop"), json!(null), json!(7)]),
        ) {
            let message = json!({ "role": odd, "content": "Fair point.", "tool_calls": odd, "reasoning_content": odd });
            let body = json!({
                "id": odd, "model": odd, "usage": usage, "created": odd, "service_tier": odd,
                "choices": [{ "index": odd, "message": message, "logprobs": odd, "finish_reason": finish }, odd],
            });
            let answer = read(body.to_string().as_bytes(), 10).expect("an answer");
            prop_assert_eq!(answer.verdict, ModelOutcome::Answered("Fair point.".into()));
            prop_assert!(answer.usage.prompt_tokens > 0 && answer.usage.completion_tokens > 0);
        }

        #[test]
        fn no_body_is_too_odd_to_be_told_of(body in anything()) {
            let _ = read(body.to_string().as_bytes(), 10);
            let _ = complaint(body.to_string().as_bytes());
        }
    }
}
