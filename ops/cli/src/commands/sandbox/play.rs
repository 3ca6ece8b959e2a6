//! `perch sandbox play`: a scripted day in a running sandbox.

use std::{collections::BTreeMap, time::Duration};

use chrono::Utc;
use perch_base::Settings;
use perch_bot::cli::Invocation;
use perch_play::{DAY, DayOptions, Expectation, ExpectedPick, MentionKind, Noise, Player, Script};
use serde_json::json;
use tokio::time::Instant;
use url::Url;

use super::stage::Stage;
use crate::{
    app::{App, bots, operator},
    error::CommandError,
    format::table::{Listing, cell, compact, cut, number, whole},
    parse::time::duration,
    process::{Stop, on_signals},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The sandbox, on this machine; sandbox.bind when it is left out
    #[arg(long)]
    pub url: Option<Url>,
    /// How many times faster than a real one the day passes
    #[arg(long, value_parser = speed, value_name = "N", conflicts_with = "within")]
    pub speed: Option<f64>,
    /// How long the day takes, such as 90s or 10m; 0s plays it at once
    #[arg(long, value_parser = duration, value_name = "DURATION", default_value = "10m")]
    pub within: Duration,
    /// How many accounts write; those that the bots watch are among them
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub accounts: usize,
    /// How often people write to the bot
    #[arg(long, value_name = "COUNT", default_value_t = 300)]
    pub mentions: usize,
    /// Whom they write to, a handle; the bots' own when it is left out
    #[arg(long, value_name = "HANDLE")]
    pub bot: Option<String>,
    /// The same seed plays the same day
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// So many weeks instead of a day, in minutes: what bots that learn make of readers with hidden tastes, beside chance
    #[arg(
        long,
        value_name = "N",
        conflicts_with_all = ["url", "speed", "within", "accounts", "mentions", "bot", "seed", "dry_run"]
    )]
    pub weeks: Option<u32>,
    /// Only name the accounts that would write, so that they can be watched first
    #[arg(long)]
    pub dry_run: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    let told = || format!("{text:?} is no speed; write how many times faster, such as 60 or 1440");
    text.parse().ok().filter(|speed: &f64| speed.is_finite() && *speed >= 0.01).ok_or_else(told)
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    if let Some(weeks) = args.weeks {
        return play_weeks(app, weeks);
    }
    let settings = app.settings()?;
    let script = Script::write(&options(&settings, args)?).map_err(|error| CommandError::Usage(error.to_string()))?;
    if args.dry_run {
        let names = script.accounts().iter().map(|name| format!("@{name}")).collect::<Vec<_>>().join(" ");
        return app.out.answer(&json!({ "accounts": script.accounts(), "acts": script.len() }), names);
    }
    let url = match &args.url {
        Some(url) => url.clone(),
        None => own_address(&settings)?,
    };
    let stage = Stage::open(url).await?;
    if !app.out.is_json() {
        let length = humantime::format_duration(Duration::from_secs(length(args).as_secs()));
        app.out.note(format_args!("a day of {} accounts in {length}; --dry-run names them", script.accounts().len()));
    }
    stage.flow(false).await?;
    let mut player = Player::new(&script);
    let outcome = carry_out(app, &stage, &script, &mut player, length(args)).await;
    stage.flow(true).await?;
    let is_whole = outcome?;
    let expectation = player.expectation();
    if app.out.is_json() {
        app.out.json(&expectation)?;
    } else {
        app.out.table(&listing(&expectation))?;
    }
    if is_whole {
        Ok(())
    } else {
        Err(CommandError::Refused("the day was broken off; what is said above was played".into()))
    }
}

/// Weeks of every bot that learns.
fn play_weeks(app: &App, weeks: u32) -> Result<(), CommandError> {
    let at = Invocation::new(app.out, operator(), app);
    let played: Vec<Result<(), CommandError>> = bots().iter().filter_map(|bot| bot.play_weeks(&at, weeks)).collect();
    if played.is_empty() {
        return Err(CommandError::Refused("no bot of this deployment learns from readers".into()));
    }
    played.into_iter().collect()
}

fn options(settings: &Settings, args: &Args) -> Result<DayOptions, CommandError> {
    let played = bots().sandbox_roles(settings)?;
    let own = played.spoken_to.and_then(|name| Some(settings.x.accounts.get(&name)?.username.clone()));
    let bot = args.bot.as_deref().map(|handle| handle.trim_start_matches('@').to_owned()).or(own);
    let bot =
        bot.ok_or_else(|| CommandError::Usage("no account is spoken to by default; name one with --bot".into()))?;
    let accounts = played.authors.into_iter().take(args.accounts).collect();
    Ok(DayOptions { accounts, size: args.accounts, mentions: args.mentions, bot, seed: args.seed })
}

fn own_address(settings: &Settings) -> Result<Url, CommandError> {
    let bind = settings.sandbox.bind;
    let host = if bind.ip().is_unspecified() { "127.0.0.1".to_owned() } else { bind.ip().to_string() };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    format!("http://{host}:{}", bind.port()).parse().map_err(|error| {
        CommandError::Usage(format!("sandbox.bind is no address to ask ({error}); name one with --url"))
    })
}

fn length(args: &Args) -> Duration {
    args.speed.map_or(args.within, |speed| DAY.div_f64(speed))
}

/// Plays the day within `length`; false when it was interrupted.
async fn carry_out(
    app: &App,
    stage: &Stage,
    script: &Script,
    player: &mut Player<'_>,
    length: Duration,
) -> Result<bool, CommandError> {
    let stop = Stop::default();
    on_signals(&stop)?;
    let bar = app.out.bar(script.len() as u64, "acts");
    let began = Instant::now();
    while let Some(due) = player.due() {
        let at = began + length.mul_f64(due.as_secs_f64() / DAY.as_secs_f64());
        tokio::select! {
            () = tokio::time::sleep_until(at) => {}
            () = stop.token().cancelled_owned() => {}
        }
        if stop.is_asked() {
            bar.abandon();
            return Ok(false);
        }
        let Some(order) = player.order(Utc::now()) else { break };
        let id = stage.carry_out(&order).await?;
        player.done(id);
        bar.inc(1);
        bar.set_message(clock(due));
    }
    bar.finish_and_clear();
    Ok(true)
}

/// A time of the day, such as 14:05.
fn clock(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

fn listing(expectation: &Expectation) -> Listing {
    let mut listing = Listing::new([whole("WHAT"), number("COUNT"), cut("OF THESE")]);
    let mut row = |what: &str, count: usize, more: String| {
        listing.row([cell(what), compact(count as u64), cell(more)]);
    };
    let (noise, bets): (Vec<_>, Vec<_>) = expectation.posts.iter().partition(|post| post.noise.is_some());
    let pictured = bets.iter().filter(|post| post.pictured).count();
    row("accounts", expectation.accounts.len(), String::new());
    row("posts with bets", bets.len(), format!("on pictures {pictured}"));
    let picks = &expectation.picks;
    let count = |of: &dyn Fn(&ExpectedPick) -> bool| picks.iter().filter(|pick| of(pick)).count();
    let (shared, parlays) = (count(&|pick| pick.posts.len() > 1), count(&|pick| pick.legs > 1));
    row("bets", picks.len(), format!("seen again {shared}, parlays {parlays}"));
    row("other posts", noise.len(), tally(noise.iter().filter_map(|post| post.noise.map(Noise::as_str))));
    let mentions = &expectation.mentions;
    row("mentions", mentions.len(), tally(mentions.iter().map(|mention| mention.deserves.as_str())));
    let kinds = mentions.iter().filter_map(|mention| mention.kind.map(MentionKind::as_str));
    row("of a kind", kinds.clone().count(), tally(kinds));
    let results = picks.iter().map(|pick| pick.result);
    row("bets settled", results.clone().count(), tally(results));
    listing
}

/// How often each word comes, the most frequent first.
fn tally<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.iter().map(|(word, count)| format!("{word} {count}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_a_number_over_nothing() {
        assert!(speed("1440").is_ok_and(|speed| (speed - 1440.0).abs() < 1e-9));
        for bad in ["0", "-3", "fast", "inf", "NaN", ""] {
            assert!(speed(bad).expect_err(bad).contains("no speed"), "{bad}");
        }
    }

    #[test]
    fn words_are_counted_and_times_written() {
        assert_eq!(tally(["a", "b", "b"].into_iter()), "b 2, a 1");
        assert_eq!(clock(Duration::from_secs(14 * 3600 + 5 * 60 + 59)), "14:05");
    }
}
