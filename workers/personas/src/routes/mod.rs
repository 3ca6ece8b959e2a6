//! The routes of the bot: the personas, their stock of posts and their slots.

mod personas;
mod posts;

use perch_bot::http::Routes;
use utoipa_axum::routes;

/// All routes of the bot.
pub fn all() -> Routes {
    Routes::default()
        .tag("personas", "Who the accounts post as, their stock of posts and their slots.")
        .read(routes!(personas::list))
        .read(routes!(personas::one))
        .read(routes!(personas::slots))
        .read(routes!(posts::list))
        .operate(routes!(personas::put))
        .operate(routes!(personas::remove))
        .operate(routes!(personas::pause))
        .operate(routes!(personas::resume))
        .operate(routes!(posts::test))
        .operate(routes!(posts::replenish))
        .operate(routes!(posts::approve))
        .operate(routes!(posts::reject))
}
