//! The routes of the bot: its status, its switches, and the reviews of replies.

mod blocked;
mod mentions;
mod reviews;

use perch_bot::http::Routes;
use utoipa_axum::routes;

/// All routes of the bot.
pub fn all() -> Routes {
    Routes::default()
        .tag("mentions", "The bots that answer mentions, and the replies that people decide about.")
        .read(routes!(mentions::list))
        .read(routes!(mentions::status))
        .read(routes!(blocked::list))
        .read(routes!(reviews::list))
        .read(routes!(reviews::one))
        .operate(routes!(mentions::start))
        .operate(routes!(mentions::stop))
        .operate(routes!(mentions::pause))
        .operate(routes!(mentions::resume))
        .operate(routes!(mentions::fetch))
        .operate(routes!(mentions::interval))
        .operate(routes!(blocked::block))
        .operate(routes!(blocked::unblock))
        .operate(routes!(reviews::approve))
        .operate(routes!(reviews::reject))
}
