//! The actor of the mention bot in the sandbox: people who write to the bots, and a model that writes replies.

mod kind;
mod model;
mod people;
mod reply;
mod texts;

use perch_sandbox::{Actor, Question, Scene, Turn};

pub use self::{
    kind::MentionKind,
    texts::{FANS, fan, text},
};

/// The mention bot in the sandbox.
#[derive(Debug, Clone, Copy)]
pub struct MentionsActor;

impl Actor for MentionsActor {
    fn turn(&self, scene: &mut Scene<'_>, turn: &mut Turn<'_>) {
        people::turn(scene, turn);
    }

    fn answer(&self, question: &Question) -> Option<String> {
        model::answer(question)
    }
}
