use chrono::{DateTime, Utc};
use perch_jobs::AccountId;
use perch_store::{EffectFilter, EffectState, StoredEffect};

use super::tone;
use crate::{
    app::App,
    error::CommandError,
    format::{
        table::{Listing, Tone, cell, cut, key, whole},
        time::from_now,
    },
    output::Paging,
    parse::time::{PointInTime, when},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only in this state
    #[arg(long, value_enum)]
    pub state: Option<EffectState>,
    /// Only of this account
    #[arg(long)]
    pub account: Option<AccountId>,
    /// Only of this kind: post, reply, retweet
    #[arg(long)]
    pub kind: Option<String>,
    /// Only those last attempted before then: how long ago, such as 2h, a day, or a time
    #[arg(long, value_parser = when, value_name = "TIME")]
    pub until: Option<PointInTime>,
    #[command(flatten)]
    pub paging: Paging,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let (_, store) = app.store()?;
    // Times of effects follow the clock of Postgres.
    let now = store.server().await?.clock;
    let filter = EffectFilter {
        state: args.state,
        account: args.account.as_ref().map(ToString::to_string),
        kind: args.kind.clone(),
        before: args.until.map(|until| until.from(now)),
    };
    let page = store.effects().list(&filter, &args.paging.or(20)).await?;
    app.out.page(&page, "there is no such effect", |effects| listing(effects, now))
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
