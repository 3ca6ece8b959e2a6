//! The actor of the bot that posts as personas in the sandbox: a model that writes batches of posts.

mod write;

use perch_sandbox::{Actor, Question};

/// The personas in the sandbox.
#[derive(Debug, Clone, Copy)]
pub struct PersonasActor;

impl Actor for PersonasActor {
    fn answer(&self, question: &Question) -> Option<String> {
        write::answer(question)
    }
}
