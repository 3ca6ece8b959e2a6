//! Checks the providers of models, each with one call.

use std::collections::BTreeMap;

use perch_base::{Settings, chain};
use perch_core::{Clients, ProviderTrial};

use super::check::Check;
use crate::app::bots;

const MODELS: &str = "model answers";

/// The providers that each bot uses, by bot.
type ProvidersByBot = BTreeMap<&'static str, Vec<String>>;

/// A finding for each provider that a bot uses and that has a key. Each call costs a few tokens, charged to `doctor`.
pub async fn checks(settings: &Settings, clients: &Clients) -> Vec<Check> {
    let asked = match bots().providers(settings) {
        Ok(asked) => asked,
        Err(error) => return vec![Check::fail(MODELS, chain(&error))],
    };
    let tried = clients.try_models(&asked.values().flatten().cloned().collect()).await;
    tried.iter().map(|provider| judge(provider, &needed_for(&asked, provider, &tried))).collect()
}

/// The bots that have no other working provider if this one does not answer.
fn needed_for(asked: &ProvidersByBot, provider: &ProviderTrial, tried: &[ProviderTrial]) -> Vec<&'static str> {
    let answers = |name: &String| tried.iter().any(|tried| tried.provider == *name && tried.outcome.is_ok());
    let is_alone = |asked: &[String]| asked.contains(&provider.provider) && !asked.iter().any(answers);
    asked.iter().filter(|(_, providers)| is_alone(providers)).map(|(bot, _)| *bot).collect()
}

fn judge(provider: &ProviderTrial, needed_for: &[&str]) -> Check {
    let ProviderTrial { provider: name, model, outcome, settings } = provider;
    match outcome {
        Ok(()) if settings.is_empty() => Check::ok(MODELS, format!("{name} answers ({model})")),
        Ok(()) => {
            let parameters: Vec<&str> = settings.iter().map(|setting| setting.parameter()).collect();
            let lines: Vec<String> = settings.iter().map(ToString::to_string).collect();
            Check::warn(MODELS, format!("{name} answers ({model}), and does not take {}", parameters.join(" and ")))
                .mend(format!(
                    "set {} in [models.providers.{name}]: each process is refused once until then",
                    lines.join(" and ")
                ))
        }
        Err(why) if needed_for.is_empty() => Check::warn(MODELS, format!("{name} ({model}) does not answer: {why}"))
            .mend("the next provider is asked until then"),
        Err(why) => Check::fail(MODELS, format!("{name} ({model}) does not answer: {why}")).mend(format!(
            "mend that, or set the key of another provider: none answers for {}",
            needed_for.join(" and ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use perch_clients::models::Setting;

    use super::{super::check::Level, *};

    fn tried(outcome: Result<(), String>, settings: Vec<Setting>) -> ProviderTrial {
        ProviderTrial { provider: "openai".into(), model: "gpt-6-luna".into(), outcome, settings }
    }

    #[test]
    fn what_a_provider_says_is_judged_by_whether_another_answers() {
        assert_eq!(judge(&tried(Ok(()), Vec::new()), &[]).level, Level::Ok);
        let learned = judge(&tried(Ok(()), vec![Setting::Temperature]), &[]);
        assert_eq!(learned.level, Level::Warn);
        assert!(learned.mend.is_some_and(|mend| mend.contains("temperature = false in [models.providers.openai]")));
        let out = || tried(Err("the credit is used up".into()), Vec::new());
        assert_eq!(judge(&out(), &[]).level, Level::Warn);
        let alone = judge(&out(), &["mentions"]);
        assert!(alone.level == Level::Fail && alone.mend.is_some_and(|mend| mend.contains("mentions")));
    }
}
