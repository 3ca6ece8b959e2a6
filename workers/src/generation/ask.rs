use perch_clients::{
    ModelError,
    models::{ChatRequest, Completion},
};
use perch_queue::Fail;

use crate::{
    Services,
    models::{Purpose, Unanswered},
};

/// What a model made of a question.
pub(super) enum Asked {
    /// It answered.
    Said(Completion),
    /// It answered at such length that the end is missing.
    CutOff,
    /// It declined.
    Declined,
}

/// Asks the models that write replies.
pub(super) async fn ask(services: &Services, request: &ChatRequest) -> Result<Asked, Fail> {
    match services.ask(Purpose::Reply, request).await {
        Ok(answered) => Ok(Asked::Said(answered.completion)),
        Err(Unanswered::Declined(error)) if matches!(*error, ModelError::Truncated { .. }) => Ok(Asked::CutOff),
        Err(Unanswered::Declined(_)) => Ok(Asked::Declined),
        Err(unanswered) => Err(unanswered.into()),
    }
}
