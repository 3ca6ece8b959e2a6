use chrono::{NaiveDate, TimeDelta};
use perch_base::clock;
use perch_clients::text::{POST_UNITS, fit};
use perch_core::job_id;
use perch_jobs::{PublishPost, SummariseDay};
use perch_queue::{
    EnqueueOptions,
    worker::{Data, HandlerResult, JobContext},
};
use serde::Serialize;

use crate::{
    Picks,
    store::{DailySummary, PicksStore as _},
    tracking::add_late_bets,
};

/// The result of summarising a day.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summarised {
    /// The summary.
    #[serde(flatten)]
    pub summary: DailySummary,
    /// Whether a post of it was enqueued.
    pub posted: bool,
}

/// Summarises a day, yesterday unless the job names another, and posts the summary if that is configured. It is posted once, even if
/// the day is summarised again.
pub async fn summarise_day(job: SummariseDay, cx: JobContext, bot: Data<Picks>) -> HandlerResult<Summarised> {
    let date = job.date.unwrap_or_else(|| (clock::now() - TimeDelta::days(1)).date_naive());
    add_late_bets(&bot.store, &bot.settings).await?;
    let summary = bot.store.summaries().make(date).await?;
    let posted = bot.settings.summary.post;
    if posted {
        let key = effect_key(date);
        let options = EnqueueOptions { id: Some(job_id(cx.enqueued_at(), &key)), ..EnqueueOptions::default() };
        let post = PublishPost {
            effect_key: Some(key),
            ..PublishPost::new(
                bot.settings.account.clone(),
                fit(&filled(&bot.settings.summary.text, &summary), POST_UNITS),
            )
        };
        cx.enqueue_with(&post, options).await?;
    }
    Ok(Summarised { summary, posted })
}

fn effect_key(date: NaiveDate) -> String {
    format!("summary:{date}")
}

fn filled(template: &str, day: &DailySummary) -> String {
    let of = |grades: &[&str]| grades.iter().filter_map(|grade| day.results.get(*grade)).sum::<u64>();
    let (won, lost, pushed) = (of(&["won", "half_won"]), of(&["lost", "half_lost"]), of(&["push"]));
    let record = if pushed == 0 { format!("{won}-{lost}") } else { format!("{won}-{lost}-{pushed}") };
    let bets: u64 = day.results.values().sum();
    template
        .replace("{date}", &day.date.to_string())
        .replace("{picks}", &day.picks_new.to_string())
        .replace("{bets}", &bets.to_string())
        .replace("{record}", &record)
        .replace("{units}", &format!("{:+.2}", day.units))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_post_of_a_day_says_what_it_came_to() {
        let day = DailySummary {
            date: NaiveDate::from_ymd_opt(2026, 11, 21).expect("a day"),
            posts_read: 40,
            posts_taken: 12,
            posts_left: BTreeMap::new(),
            picks_new: 9,
            picks_again: 2,
            actions: BTreeMap::new(),
            replies: 0,
            results: [("won", 4), ("half_won", 1), ("lost", 3), ("push", 1), ("void", 1)]
                .map(|(g, n)| (g.to_owned(), n))
                .into(),
            staked: 9.0,
            units: 1.5,
            spend: BTreeMap::new(),
            made_at: clock::now(),
        };
        let text = filled("{date}: {picks} new picks, {bets} settled ({record}), {units} units", &day);
        assert_eq!(text, "2026-11-21: 9 new picks, 10 settled (5-3-1), +1.50 units");
    }
}
