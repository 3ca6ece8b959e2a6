//! What the picks bot brings to the sandbox: accounts that post bets, and a model that reads bets out of posts.

mod accounts;
mod feed;
mod model;

use perch_sandbox::{Actor, Question, Scene, Turn};

/// The picks bot in the sandbox.
#[derive(Debug, Clone, Copy)]
pub struct PicksActor;

impl Actor for PicksActor {
    fn backlog(&self, scene: &mut Scene<'_>, account: &str) {
        accounts::backlog(scene, account);
    }

    fn turn(&self, scene: &mut Scene<'_>, turn: &mut Turn<'_>) {
        accounts::turn(scene, turn);
    }

    fn answer(&self, question: &Question) -> Option<String> {
        model::answer(question)
    }
}
