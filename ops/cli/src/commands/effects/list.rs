use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use perch_jobs::AccountId;
use perch_store::{EffectFilter, StoredEffect};

use super::{State, tone};
use crate::{
    app::App,
    error::CommandError,
    format::{
        table::{Listing, Tone, cell, cut, key, whole},
        time::from_now,
    },
    parse::time::duration,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only in this state
    #[arg(long, value_enum)]
    pub state: Option<State>,
    /// Only of this account
    #[arg(long)]
    pub account: Option<AccountId>,
    /// Only of this kind: post, reply, retweet
    #[arg(long)]
    pub kind: Option<String>,
    /// Only those last attempted longer ago than this, such as 2h
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub older_than: Option<Duration>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let (_, store) = app.store()?;
    // Effects are dated by Postgres.
    let now = store.server().await?.clock;
    let age = args.older_than.map(TimeDelta::from_std).transpose();
    let age = age.map_err(|_| CommandError::Usage("--older-than: nothing is that old".into()))?;
    let filter = EffectFilter {
        state: args.state.map(Into::into),
        account: args.account.as_ref().map(ToString::to_string),
        kind: args.kind.clone(),
        before: age.and_then(|age| now.checked_sub_signed(age)),
        limit: args.limit,
    };
    let effects = store.effects().list(&filter).await?;
    if app.out.is_json() {
        return app.out.json(&effects);
    }
    if effects.is_empty() {
        return app.out.line("there is no such effect");
    }
    app.out.table(&listing(&effects, now))?;
    if effects.len() >= args.limit as usize {
        app.out.note(format_args!("there may be more; these are the latest {} (--limit)", args.limit));
    }
    Ok(())
}

fn listing(effects: &[StoredEffect], now: DateTime<Utc>) -> Listing {
    let mut listing = Listing::new([
        key("KEY"),
        whole("KIND"),
        cut("ACCOUNT"),
        whole("STATE"),
        whole("WHEN"),
        key("EXTERNAL ID"),
        cut("ERROR"),
    ]);
    for effect in effects {
        listing.row([
            cell(&effect.key),
            cell(&effect.kind),
            cell(&effect.account),
            cell(effect.state.as_str()).tone(tone(effect.state)),
            cell(from_now(effect.settled_at.unwrap_or(effect.intended_at), now)),
            cell(effect.external_id.as_deref().unwrap_or("-")),
            cell(effect.error.as_deref().unwrap_or_default()).tone(Tone::Faint),
        ]);
    }
    listing
}
