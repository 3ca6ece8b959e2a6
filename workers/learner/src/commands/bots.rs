use chrono::Utc;
use perch_bot::cli::{
    CommandError, Invocation, Paging,
    format::{
        table::{Listing, Tone, cell, compact, cut, number, whole},
        text::one_line,
        time::{exact, from_now},
    },
};
use perch_jobs::PersonaName;
use serde_json::json;

use super::{one, persona};
use crate::{
    health::{HealthError, LearnerHealth, health_of},
    store::{BotFilter, LearnerBot, LearnerStore as _},
};

#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Only this one, and everything about it
    pub name: Option<PersonaName>,
    /// Only those that post
    #[arg(long, conflicts_with = "paused")]
    pub enabled: bool,
    /// Only those that are paused
    #[arg(long)]
    pub paused: bool,
    #[command(flatten)]
    pub paging: Paging,
}

pub async fn status(at: &Invocation<'_>, args: &StatusArgs) -> Result<(), CommandError> {
    if let Some(name) = &args.name {
        return show(at, name).await;
    }
    let (_, store) = &at.store()?;
    let filter = BotFilter { enabled: (args.enabled || args.paused).then_some(args.enabled) };
    let page = store.learner().bots(filter, &args.paging.or(20)).await?;
    at.out.page(&page, "nobody learns; `perch learn add PERSONA` lets a persona learn", |bots| {
        let mut listing = Listing::new([
            whole("NAME"),
            whole("STATE"),
            number("A DAY"),
            whole("HOURS"),
            number("ARMS"),
            cut("CHANGED"),
        ]);
        for bot in bots {
            listing.row([
                cell(&bot.bot),
                cell(state(bot)).tone(if bot.enabled { Tone::Good } else { Tone::Warn }),
                cell(bot.spec.posts_per_day),
                cell(hours(&bot.spec.hours)),
                cell(if bot.spec.arms.is_empty() { "usual".to_owned() } else { bot.spec.arms.len().to_string() }),
                cell(one_line(&format!("{} by {}", from_now(bot.updated_at, Utc::now()), bot.updated_by))),
            ]);
        }
        listing
    })
}

fn state(bot: &LearnerBot) -> &'static str {
    if bot.enabled { "posts" } else { "paused" }
}

fn unhealthy(error: HealthError) -> CommandError {
    match error {
        HealthError::Store(error) => error.into(),
        HealthError::Config(error) => error.into(),
    }
}

/// Hours as ranges: 8-11, 20.
fn hours(hours: &[u8]) -> String {
    let mut sorted = hours.to_vec();
    sorted.sort_unstable();
    let mut ranges: Vec<(u8, u8)> = Vec::new();
    for hour in sorted {
        match ranges.last_mut() {
            Some((_, end)) if *end + 1 == hour => *end = hour,
            _ => ranges.push((hour, hour)),
        }
    }
    let one = |(from, to): &(u8, u8)| if from == to { from.to_string() } else { format!("{from}-{to}") };
    ranges.iter().map(one).collect::<Vec<_>>().join(", ")
}

async fn show(at: &Invocation<'_>, name: &PersonaName) -> Result<(), CommandError> {
    let (settings, store) = &at.store()?;
    let (bot, persona) = (one(store, name).await?, persona(store, name).await?);
    let health = health_of(store, settings, &bot).await.map_err(unhealthy)?;
    let arms = store.learner().by_arm(name).await?;
    let offered = bot.spec.arms_for(&persona.spec.topics);
    if at.out.is_json() {
        return at.out.json(&json!({ "bot": bot, "health": health, "arms": arms }));
    }
    let (out, now) = (&at.out, Utc::now());
    out.line(format_args!("{name}  {} as {}", state(&bot), persona.spec.account))?;
    if !persona.enabled {
        out.fact("persona", "is paused, so that nothing is posted; `perch personas resume` lets it post")?;
    }
    out.fact(
        "posts",
        format!("{} a day, at {} {}", bot.spec.posts_per_day, hours(&bot.spec.hours), persona.spec.timezone),
    )?;
    let LearnerHealth { policy, next_slot, troubles, candidates, rewards, .. } = &health;
    out.fact("policy", policy.as_str())?;
    if let Some(next) = next_slot {
        out.fact("next", exact(*next, now))?;
    }
    out.fact("candidates", format!("{candidates} to choose from"))?;
    out.fact("evidence", format!("{rewards} rewards"))?;
    for trouble in troubles {
        out.fact("trouble", trouble.words())?;
    }
    let mut listing =
        Listing::new([whole("ARM"), number("POSTS"), number("REWARDS"), number("MEAN REWARD"), number("ENGAGEMENTS")]);
    for arm in &offered {
        let name = arm.to_string();
        let of = arms.iter().find(|stats| stats.arm == name);
        listing.row([
            cell(one_line(&name)),
            cell(of.map_or(0, |of| of.posts)),
            cell(of.map_or(0, |of| of.rewarded)),
            cell(of.and_then(|of| of.mean_reward).map_or_else(|| "-".to_owned(), |mean| format!("{mean:+.3}"))),
            compact(of.map_or(0, |of| of.engagements)),
        ]);
    }
    out.table(&listing)
}

pub async fn stats(at: &Invocation<'_>, name: &PersonaName) -> Result<(), CommandError> {
    let (_, store) = &at.store()?;
    one(store, name).await?;
    let tables = store.learner();
    let (arms, days, curve) = (tables.by_arm(name).await?, tables.days(name).await?, tables.curve(name).await?);
    let account = persona(store, name).await?.spec.account;
    let followers = tables.followers(&account).await?;
    if at.out.is_json() {
        return at.out.json(&json!({ "arms": arms, "days": days, "curve": curve, "followers": followers }));
    }
    if days.is_empty() {
        return at.out.line("nothing is published yet");
    }
    let mean = |mean: Option<f64>| mean.map_or_else(|| "-".to_owned(), |mean| format!("{mean:+.3}"));
    let mut listing = Listing::new([whole("ARM"), number("POSTS"), number("MEAN REWARD"), number("ENGAGEMENTS")]);
    for arm in &arms {
        listing.row([cell(one_line(&arm.arm)), cell(arm.posts), cell(mean(arm.mean_reward)), compact(arm.engagements)]);
    }
    at.out.table(&listing)?;
    let mut listing = Listing::new([
        whole("DAY"),
        number("POSTS"),
        number("ENGAGEMENTS"),
        number("MEAN REWARD"),
        number("FOLLOWERS"),
        number("GAINED"),
    ]);
    let or_dash = |n: Option<i64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    for day in days.iter().take(14) {
        listing.row([
            cell(day.day),
            cell(day.posts),
            compact(day.engagements),
            cell(mean(day.mean_reward)),
            cell(or_dash(day.followers)),
            cell(day.followers_gained.map_or_else(|| "-".to_owned(), |n| format!("{n:+}"))),
        ]);
    }
    at.out.blank()?;
    at.out.table(&listing)?;
    if curve.iter().any(|point| point.learned.is_some() && point.uniform.is_some()) {
        let mut listing = Listing::new([whole("WEEK OF"), number("LEARNED"), number("UNIFORM")]);
        for point in &curve {
            listing.row([
                cell(point.week),
                cell(format!("{} ({})", mean(point.learned), point.learned_posts)),
                cell(format!("{} ({})", mean(point.uniform), point.uniform_posts)),
            ]);
        }
        at.out.blank()?;
        at.out.table(&listing)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_shown_as_ranges() {
        assert_eq!(hours(&[8, 9, 10, 20]), "8-10, 20");
        assert_eq!(hours(&[23, 0]), "0, 23");
    }
}
