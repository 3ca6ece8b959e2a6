//! The language models: several providers, asked one after the other within their budgets.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::future::join_all;
use perch_base::{
    Classified as _, Disposition, Settings,
    settings::{ModelSettings, TokenPrice},
};
use perch_clients::{
    ModelClient, ModelError, RateLimits, Spender,
    models::{ChatRequest, Completion, Message, Setting, Usage},
};
use perch_queue::Fail;
use serde_json::json;

use crate::spending::{CallCost, CostReservation, HeldCall, Spending};

/// The answer of a model, and its provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelReply {
    /// The provider.
    pub provider: String,
    /// The answer.
    pub completion: Completion,
}

impl ModelReply {
    /// What it has cost at these prices, in USD; nothing where its provider is not among them.
    pub fn usd(&self, models: &ModelSettings) -> Option<f64> {
        let usage = self.completion.usage;
        let micros = models.providers.get(&self.provider)?.price.micros(usage.prompt_tokens, usage.completion_tokens);
        #[expect(clippy::cast_precision_loss, reason = "the cost of a call is far below the precision of a float")]
        let usd = micros as f64 / 1e6;
        Some(usd)
    }
}

/// The result of one trial call to a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderTrial {
    /// The provider.
    pub provider: String,
    /// The model that was asked.
    pub model: String,
    /// Why it gave no answer.
    pub outcome: Result<(), String>,
    /// Settings of the provider that its model needs, as learned from calls that it refused.
    pub settings: Vec<Setting>,
}

/// Why no provider answered.
#[derive(Debug)]
pub enum AskError {
    /// No provider can be asked for this time: each has used up its rate or budget, or this process lacks the resources for a call.
    Held(Duration, String),
    /// At least one provider is down or not configured.
    Down(String, Disposition),
    /// A provider refused the request or cut its answer short; another provider is not asked.
    Declined(Box<ModelError>),
    /// All providers are excluded by the caller.
    NoOtherProvider,
}

impl From<AskError> for Fail {
    fn from(unanswered: AskError) -> Self {
        match unanswered {
            AskError::Held(after, why) | AskError::Down(why, Disposition::Wait(after)) => Self::Snooze(after, why),
            AskError::Down(why, Disposition::RetryAfter(after)) => Self::RetryAfter(after, why),
            AskError::Down(why, Disposition::Retry) => Self::Retry(why),
            AskError::Down(why, Disposition::Never) => Self::Dead(why),
            AskError::Declined(error) => Self::Dead(error.to_string()),
            AskError::NoOtherProvider => Self::Dead("no other provider of models is configured".to_owned()),
        }
    }
}

/// Time left to an attempt for its work after the answer, or a tenth of its remaining time where that is less.
const AFTERWARDS: Duration = Duration::from_secs(5);
/// A provider is not asked with less time than this.
const SHORTEST: Duration = Duration::from_secs(1);
/// The time limit of calls outside of an attempt.
const UNBOUND: Duration = Duration::from_secs(240);

/// The time limit of a trial call.
const TRIAL: Duration = Duration::from_secs(20);
/// The most tokens of the answer to a trial call, including reasoning.
const TRIAL_TOKENS: u32 = 500;

fn trial_schema() -> serde_json::Value {
    let properties = json!({ "reply": { "type": "string" } });
    json!({ "type": "object", "properties": properties, "required": ["reply"], "additionalProperties": false })
}

/// All providers of `[models.providers]`. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Models(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    providers: BTreeMap<String, Provider>,
    /// The providers that have a key.
    with_key: BTreeSet<String>,
    spending: Spending,
    rest: Duration,
    /// Providers that were down, and until when they are asked last.
    resting: Mutex<HashMap<String, Instant>>,
}

#[derive(Debug)]
struct Provider {
    client: ModelClient,
    price: TokenPrice,
}

impl Models {
    pub(crate) fn new(
        settings: &Settings,
        limits: &Arc<impl RateLimits + 'static>,
        spending: Spending,
    ) -> Result<Self, ModelError> {
        let provider = |(name, provider): (&String, &perch_base::settings::ProviderSettings)| {
            let client = ModelClient::from_settings(settings, name, limits.clone())?;
            Ok((name.clone(), Provider { client, price: provider.price }))
        };
        let models = &settings.models;
        Ok(Self(Arc::new(Inner {
            providers: models.providers.iter().map(provider).collect::<Result<_, ModelError>>()?,
            with_key: settings.secrets.model_keys.keys().cloned().collect(),
            spending,
            rest: models.rest,
            resting: Mutex::default(),
        })))
    }

    /// Whether any of these providers that has a key accepts pictures.
    pub(crate) fn look_at_pictures(&self, providers: &[String]) -> bool {
        self.with_keys(providers).iter().any(|name| self.looks_at_pictures(name))
    }

    /// Whether a provider accepts pictures.
    pub(crate) fn looks_at_pictures(&self, provider: &str) -> bool {
        self.0.providers.get(provider).is_some_and(|provider| provider.client.looks_at_pictures())
    }

    /// Asks these providers one after the other until one answers or the time `until` is over; those in `except` are not asked.
    /// The cost of every call is recorded.
    ///
    /// Each provider gets an equal share of the remaining time, so that one that hangs does not use it up. A provider that declines
    /// ends the round: a request that one model declined is not sent to another.
    pub(crate) async fn ask(
        &self,
        providers: &[String],
        spender: &Spender,
        request: &ChatRequest,
        except: &[String],
        until: Option<Instant>,
    ) -> Result<ModelReply, AskError> {
        let until = until.unwrap_or_else(|| Instant::now() + UNBOUND);
        let mut round = FailedCalls::default();
        let mut turn = self.turn(providers);
        turn.retain(|name| !except.contains(name));
        if turn.is_empty() && !except.is_empty() {
            return Err(AskError::NoOtherProvider);
        }
        for (at, name) in turn.iter().copied().enumerate() {
            let Some(provider) = self.0.providers.get(name) else { continue };
            let time = share(until.saturating_duration_since(Instant::now()), turn.len() - at);
            if time < SHORTEST {
                round.out_of_time(name);
                break;
            }
            match self.ask_one(name, provider, spender, request, time).await {
                Ok(completion) => {
                    self.wake(name);
                    return Ok(ModelReply { provider: name.clone(), completion });
                }
                Err(CallError::Held(held)) => round.held(name, &held),
                Err(CallError::Error(error)) => {
                    if declined(&error) {
                        return Err(AskError::Declined(error));
                    }
                    // This process cannot make calls now, so the other providers cannot be reached either.
                    if let Disposition::Wait(after) = error.for_job() {
                        return Err(AskError::Held(after, error.to_string()));
                    }
                    log_failover(name, &error);
                    self.lay_to_rest(name, &error);
                    round.failed(&error);
                }
            }
        }
        Err(round.ended())
    }

    /// Asks each of these providers that has a key once, with every parameter that the bots send.
    pub(crate) async fn try_each(&self, names: &BTreeSet<String>, spender: &Spender) -> Vec<ProviderTrial> {
        let providers = names.intersection(&self.0.with_key).filter_map(|name| self.0.providers.get_key_value(name));
        let request = ChatRequest {
            messages: vec![Message::user("Answer with {\"reply\": \"ok\"}.")],
            schema: Some(("reply".to_owned(), trial_schema())),
            max_tokens: Some(TRIAL_TOKENS),
            temperature: Some(0.0),
            ..ChatRequest::default()
        };
        let tries = providers.map(|(name, provider)| {
            let request = &request;
            async move {
                let outcome = match self.ask_one(name, provider, spender, request, TRIAL).await {
                    Ok(_) => Ok(()),
                    Err(CallError::Held(HeldCall { what, after })) => {
                        Err(format!("{what}; it is asked again in {}", humantime::format_duration(after)))
                    }
                    // A truncated answer shows that the provider works.
                    Err(CallError::Error(error)) if matches!(*error, ModelError::Truncated { .. }) => Ok(()),
                    Err(CallError::Error(error)) => Err(error.to_string()),
                };
                let settings = provider.client.settings_learned();
                ProviderTrial { provider: name.clone(), model: provider.client.model().to_owned(), outcome, settings }
            }
        });
        join_all(tries).await
    }

    async fn ask_one(
        &self,
        name: &str,
        provider: &Provider,
        spender: &Spender,
        request: &ChatRequest,
        time: Duration,
    ) -> Result<Completion, CallError> {
        let asked = request.about_tokens();
        let most = provider.price.micros(asked, u64::from(request.max_tokens.unwrap_or(1_000)));
        let used = |model: &str, usage: Usage| {
            let micros = provider.price.micros(usage.prompt_tokens, usage.completion_tokens);
            CallCost { model: model.to_owned(), usage, micros }
        };
        // Where the answer is lost, only the tokens of the request are known.
        let lost = used(provider.client.model(), Usage { prompt_tokens: asked, completion_tokens: 0 });
        let aside = CostReservation::set(&self.0.spending, name, most, spender, lost).await.map_err(CallError::Held)?;
        let answer = provider.client.complete_within(time, request).await;
        let came_to = match &answer {
            Ok(Completion { model, usage, .. }) => Some(used(model, *usage)),
            Err(error) if error.is_lost() => aside.lost(),
            Err(error) => error.usage().map(|usage| used(provider.client.model(), usage)),
        };
        if let Some(CallCost { usage, .. }) = &came_to {
            count(name, *usage);
        }
        aside.settle(came_to).await;
        answer.map_err(|error| CallError::Error(Box::new(error)))
    }

    /// The providers that have a key; all of them where none has one, so that the error names what is missing.
    fn with_keys<'n>(&self, names: &'n [String]) -> Vec<&'n String> {
        let some: Vec<&String> = names.iter().filter(|name| self.0.with_key.contains(*name)).collect();
        if some.is_empty() { names.iter().collect() } else { some }
    }

    /// The same, in the order in which they are asked: those that were down lately come last.
    fn turn<'n>(&self, names: &'n [String]) -> Vec<&'n String> {
        let names = self.with_keys(names);
        let (now, resting) = (Instant::now(), self.resting());
        let (away, there): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|name| resting.get(*name).is_some_and(|until| *until > now));
        there.into_iter().chain(away).collect()
    }

    fn lay_to_rest(&self, name: &str, error: &ModelError) {
        // A used-up rate limit is shared by all processes, so a call to such a provider ends before it is sent.
        if !matches!(error, ModelError::RateLimited { .. }) {
            self.resting().insert(name.to_owned(), Instant::now() + self.0.rest);
        }
    }

    fn wake(&self, name: &str) {
        self.resting().remove(name);
    }

    fn resting(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        self.0.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Logs and counts that a provider did not answer and the next one is asked. It is a warning where somebody has to act.
fn log_failover(name: &str, error: &ModelError) {
    if error.disposition() == Disposition::Never {
        tracing::warn!(provider = name, %error, "the next provider is asked");
    } else {
        tracing::info!(provider = name, %error, "the next provider is asked");
    }
    let (provider, why) = (name.to_owned(), error.kind());
    metrics::counter!("perch_model_failovers_total", "provider" => provider, "why" => why).increment(1);
}

enum CallError {
    Held(HeldCall),
    Error(Box<ModelError>),
}

/// The calls of one round that gave no answer.
#[derive(Debug, Default)]
struct FailedCalls {
    said: Vec<String>,
    /// The shortest wait of the providers that are at a limit.
    wait: Option<Duration>,
    /// The most hopeful disposition of the other failures.
    down: Option<Disposition>,
}

impl FailedCalls {
    fn held(&mut self, name: &str, held: &HeldCall) {
        self.said.push(format!("{name}: {}", held.what));
        self.waits(held.after);
    }

    fn failed(&mut self, error: &ModelError) {
        self.said.push(error.to_string());
        match (error, error.disposition()) {
            (ModelError::RateLimited { after, .. }, _) => self.waits(*after),
            (_, disposition) => {
                let better = !matches!((self.down, disposition), (Some(_), Disposition::Never));
                if better {
                    self.down = Some(disposition);
                }
            }
        }
    }

    fn out_of_time(&mut self, name: &str) {
        self.said.push(format!("{name}: was not asked, as the time of the attempt is over"));
        self.down = Some(Disposition::Retry);
    }

    fn waits(&mut self, after: Duration) {
        self.wait = Some(self.wait.map_or(after, |wait| wait.min(after)));
    }

    fn ended(self) -> AskError {
        let why = self.said.join("; ");
        match (self.wait, self.down) {
            // The job waits for the first provider whose limit resets.
            (Some(after), None | Some(Disposition::Never)) => AskError::Held(after, why),
            (_, Some(disposition)) => AskError::Down(why, disposition),
            (None, None) => AskError::Down("no provider is configured".into(), Disposition::Never),
        }
    }
}

/// The time that the next provider may take, where this many are still to be asked.
fn share(left: Duration, providers: usize) -> Duration {
    left.saturating_sub(AFTERWARDS.min(left / 10)) / u32::try_from(providers).unwrap_or(u32::MAX).max(1)
}

/// Whether a provider refused the request or cut its answer short, so that no other provider is asked.
pub fn declined(error: &ModelError) -> bool {
    matches!(error, ModelError::Refused { .. } | ModelError::Truncated { .. })
}

fn count(provider: &str, usage: Usage) {
    let add = |what: &'static str, tokens: u64| {
        metrics::counter!("perch_model_tokens_total", "provider" => provider.to_owned(), "what" => what)
            .increment(tokens);
    };
    add("prompt", usage.prompt_tokens);
    add("completion", usage.completion_tokens);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn down(name: &str) -> ModelError {
        ModelError::Server { provider: name.into(), status: 503, message: String::new(), retry_after: None }
    }

    fn limited(seconds: u64) -> ModelError {
        ModelError::RateLimited { provider: "grok".into(), after: Duration::from_secs(seconds), message: "slow".into() }
    }

    fn keyless() -> ModelError {
        ModelError::NotConfigured { provider: "openai".into(), variable: "OPENAI_API_KEY".into() }
    }

    fn ended(errors: &[ModelError], held: Option<u64>) -> Fail {
        let mut round = FailedCalls::default();
        for error in errors {
            round.failed(error);
        }
        if let Some(seconds) = held {
            round.held(
                "together",
                &HeldCall {
                    what: "the daily budget of 5.00 USD is used up".into(),
                    after: Duration::from_secs(seconds),
                },
            );
        }
        round.ended().into()
    }

    #[test]
    fn where_every_provider_only_has_to_wait_the_job_does_for_the_shortest_wait_and_says_why() {
        let Fail::Snooze(after, why) = ended(&[limited(90)], Some(30)) else { panic!("it waits") };
        assert_eq!(after, Duration::from_secs(30));
        assert!(why.contains("daily budget of 5.00 USD") && why.contains("(slow); it is asked again in 90 s"), "{why}");
    }

    #[test]
    fn one_that_is_down_is_tried_again_and_one_without_a_key_does_not_hide_the_others() {
        assert!(matches!(ended(&[down("grok"), keyless()], Some(3_600)), Fail::Retry(_)));
        assert!(matches!(ended(&[keyless(), down("grok")], None), Fail::Retry(_)));
        assert!(matches!(ended(&[keyless()], Some(60)), Fail::Snooze(..)));
        assert!(matches!(ended(&[keyless()], None), Fail::Dead(_)));
    }

    #[test]
    fn one_that_hangs_leaves_the_others_their_time() {
        let (mut left, mut taken) = (Duration::from_secs(90), Vec::new());
        for providers in (1..=3).rev() {
            taken.push(share(left, providers).as_secs());
            left = left.saturating_sub(share(left, providers));
        }
        assert_eq!(taken, [28, 28, 30]);
        assert_eq!(share(Duration::from_secs(10), 2), Duration::from_millis(4_500));
        assert_eq!(share(Duration::ZERO, 2), Duration::ZERO);
    }

    #[test]
    fn what_one_model_declines_is_not_carried_to_the_next() {
        let refused = ModelError::Refused { provider: "grok".into(), reason: "no".into(), usage: Usage::default() };
        assert!(declined(&refused));
        assert!(!declined(&down("grok")));
    }
}
