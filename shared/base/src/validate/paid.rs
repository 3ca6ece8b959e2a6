//! Prices of outside services, and budgets for them.

use super::rate;
use crate::{
    check::Check,
    settings::{Budget, ProviderSettings, XSettings},
};

/// No real price or budget is above a million dollars; such a value is usually a misplaced decimal point.
const MOST: f64 = 1_000_000.0;

pub(super) fn x(check: &mut Check, x: &XSettings) {
    let prices = x.prices;
    for (name, price) in [
        ("post_read", prices.post_read),
        ("own_read", prices.own_read),
        ("user_read", prices.user_read),
        ("post", prices.post),
        ("post_with_link", prices.post_with_link),
        ("summoned_reply", prices.summoned_reply),
        ("retweet", prices.retweet),
    ] {
        check.range(format!("x.prices.{name}"), price, 0.0..=1_000.0);
    }
    budget(check, "x.budget", x.budget);
}

pub(super) fn provider(check: &mut Check, key: &str, provider: &ProviderSettings) {
    let effort = &provider.reasoning_effort;
    if !effort.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') || effort.len() > 20 {
        check.refuse(
            format!("{key}.reasoning_effort"),
            format!("is {effort:?}"),
            "a word that the provider knows, such as none, low, medium or high, or empty",
        );
    }
    check.range(format!("{key}.price.prompt"), provider.price.prompt, 0.0..=100_000.0);
    check.range(format!("{key}.price.completion"), provider.price.completion, 0.0..=100_000.0);
    budget(check, &format!("{key}.budget"), provider.budget);
    rate(check, &format!("{key}.rate"), provider.rate);
}

fn budget(check: &mut Check, key: &str, budget: Budget) {
    check.range(format!("{key}.daily"), budget.daily, 0.0..=MOST);
    check.range(format!("{key}.monthly"), budget.monthly, 0.0..=MOST);
    if budget.monthly > 0.0 && budget.daily > budget.monthly {
        check.refuse(format!("{key}.daily"), "is more than that of the month", format!("{} or less", budget.monthly));
    }
}
