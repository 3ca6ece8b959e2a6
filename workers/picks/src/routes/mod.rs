//! The routes of the bot: watched accounts and picks.

mod accounts;
mod picks;

use perch_bot::http::Routes;
use utoipa_axum::routes;

/// All of them.
pub fn all() -> Routes {
    Routes::default()
        .tag("accounts", "The watched accounts: what is read, when, and how the last poll ended.")
        .tag("picks", "What was recommended, how it ended, and the record that it adds up to.")
        .read(routes!(accounts::list))
        .read(routes!(accounts::one))
        .read(routes!(picks::list))
        .read(routes!(picks::one))
        .read(routes!(picks::record))
        .operate(routes!(accounts::add))
        .operate(routes!(accounts::change, accounts::remove))
        .operate(routes!(picks::settle))
        .operate(routes!(picks::confirm))
        .operate(routes!(picks::results))
}
