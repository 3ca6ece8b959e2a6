use std::time::Duration;

use url::Url;

use super::{DAY, SECOND};
use crate::{
    Environment,
    check::Check,
    settings::{PicksSettings, ResultsSettings, SummarySettings, TrackingSettings},
};

/// The parts of `[picks]` that are about how picks end.
pub(super) fn tracking(check: &mut Check, picks: &PicksSettings, env: Environment) {
    assumed(check, &picks.tracking);
    results(check, &picks.results, env);
    summary(check, &picks.summary);
}

fn assumed(check: &mut Check, tracking: &TrackingSettings) {
    if !are_odds(&tracking.assumed_odds) {
        check.refuse(
            "picks.tracking.assumed_odds",
            format!("is {:?}", tracking.assumed_odds.chars().take(40).collect::<String>()),
            "American odds (-110, +120) or decimal odds (1.91)",
        );
    }
    check.range("picks.tracking.assumed_stake", tracking.assumed_stake, 0.01..=1_000.0);
    check.duration("picks.tracking.open_for", tracking.open_for, DAY..=366 * DAY);
}

/// American odds of 100 or more with their sign, or decimal odds over 1.
fn are_odds(text: &str) -> bool {
    match text.strip_prefix(['+', '-']) {
        Some(american) => american.parse::<u32>().is_ok_and(|n| (100..=1_000_000).contains(&n)),
        None => text.parse::<f64>().is_ok_and(|decimal| decimal > 1.0 && decimal < 10_000.0),
    }
}

fn results(check: &mut Check, results: &ResultsSettings, env: Environment) {
    let key = "picks.results.url";
    if !results.url.is_empty() {
        match Url::parse(results.url.as_str()) {
            Ok(url) => {
                let mut bare = url.clone();
                // Sources often take the sport or the days as a query.
                bare.set_query(None);
                check.service_url(key, &bare, env);
            }
            Err(_) => check.refuse(key, "is not a URL", "such as https://results.example.com/latest.json, or empty"),
        }
    }
    check.duration("picks.results.timeout", results.timeout, SECOND..=Duration::from_secs(40));
}

fn summary(check: &mut Check, summary: &SummarySettings) {
    let rest = SummarySettings::PLACES.iter().fold(summary.text.clone(), |text, place| text.replace(place, ""));
    if summary.text.trim().is_empty() || rest.contains(['{', '}']) {
        check.refuse(
            "picks.summary.text",
            "is empty or has other braces in it",
            format!("text with any of {}", SummarySettings::PLACES.join(", ")),
        );
    }
}
