use perch_clients::{ModelError, models::ChatRequest};
use perch_core::{AskError, ModelReply};
use perch_queue::Fail;

use crate::Mentions;

/// The outcome of a question to the models.
pub(super) enum ModelAnswer {
    /// A model answered.
    Said(ModelReply),
    /// The answer was cut off, because it was too long.
    CutOff,
    /// The model declined.
    Declined,
}

/// Asks the models that write replies, except those of these providers where there are others.
pub(super) async fn ask(bot: &Mentions, request: &ChatRequest, except: &[String]) -> Result<ModelAnswer, Fail> {
    let answered = match bot.clients.ask(&bot.settings.providers, request, except).await {
        Err(AskError::NoOtherProvider) => bot.clients.ask(&bot.settings.providers, request, &[]).await,
        answered => answered,
    };
    match answered {
        Ok(answered) => Ok(ModelAnswer::Said(answered)),
        Err(AskError::Declined(error)) if matches!(*error, ModelError::Truncated { .. }) => Ok(ModelAnswer::CutOff),
        Err(AskError::Declined(_)) => Ok(ModelAnswer::Declined),
        Err(unanswered) => Err(unanswered.into()),
    }
}
