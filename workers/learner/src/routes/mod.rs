//! The routes of the bot: the learning posters, their candidates, decisions and policies.

mod bots;
mod candidates;
mod decisions;
mod live;
mod policies;

use perch_bot::http::Routes;
use utoipa_axum::routes;

/// All routes of the bot.
pub fn all() -> Routes {
    Routes::default()
        .tag("learners", "Personas that learn from their posts: what they try, what they decide and why.")
        .read(routes!(bots::list))
        .read(routes!(bots::one))
        .read(routes!(bots::stats))
        .read(routes!(candidates::list))
        .read(routes!(decisions::list))
        .read(routes!(decisions::explain))
        .read(routes!(decisions::slots))
        .read(routes!(policies::list))
        .read(routes!(live::live))
        .operate(routes!(bots::put))
        .operate(routes!(bots::remove))
        .operate(routes!(bots::pause))
        .operate(routes!(bots::resume))
        .operate(routes!(candidates::approve))
        .operate(routes!(candidates::reject))
        .operate(routes!(policies::propose))
        .operate(routes!(policies::promote))
        .operate(routes!(policies::rollback))
}
