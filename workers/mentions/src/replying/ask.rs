use perch_clients::{ModelError, models::ChatRequest};
use perch_queue::Fail;

use perch_core::{AskError, ModelReply};

use crate::Mentions;

/// What a model made of a question.
pub(super) enum ModelAnswer {
    /// It answered.
    Said(ModelReply),
    /// It answered at such length that the end is missing.
    CutOff,
    /// It declined.
    Declined,
}

/// Asks the models that write replies: those of other providers than these, where there are any.
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
