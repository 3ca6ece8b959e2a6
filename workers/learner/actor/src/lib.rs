//! The actor of the learning poster in the sandbox: a model that writes candidates of the kinds that it is asked for.

mod write;

use perch_sandbox::{Actor, Question};

/// The learning poster in the sandbox.
#[derive(Debug, Clone, Copy)]
pub struct LearnerActor;

impl Actor for LearnerActor {
    fn answer(&self, question: &Question) -> Option<String> {
        write::answer(question)
    }
}
