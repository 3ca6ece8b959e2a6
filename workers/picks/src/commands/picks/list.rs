use chrono::{DateTime, Utc};
use perch_bot::cli::{
    CommandError, Invocation, Paging,
    format::{
        table::{Listing, Tone, cell, cut, number, whole},
        time::from_now,
    },
    parse::time::{PointInTime, when},
};

use super::{odds, tone, units, words};
use crate::store::{PickBody, PickFilter, PicksStore as _, TrackedPick, state_word};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only open picks
    #[arg(long, conflicts_with = "settled")]
    pub open: bool,
    /// Only settled picks
    #[arg(long)]
    pub settled: bool,
    /// Only picks that this account named
    #[arg(long, value_name = "HANDLE")]
    pub account: Option<String>,
    /// Only of this sport, such as nba; parlays with a leg of it too
    #[arg(long)]
    pub sport: Option<String>,
    /// Only of this market: moneyline, spread, total, prop, future, parlay
    #[arg(long)]
    pub market: Option<String>,
    /// Only unconfirmed picks, which only the rules have read
    #[arg(long)]
    pub unconfirmed: bool,
    /// Only picks first seen since then: how long ago, a day, or a time
    #[arg(long, value_parser = when, value_name = "TIME")]
    pub since: Option<PointInTime>,
    #[command(flatten)]
    pub paging: Paging,
}

pub async fn run(at: &Invocation<'_>, args: &Args) -> Result<(), CommandError> {
    let ((_, store), now) = (&at.store()?, Utc::now());
    let filter = PickFilter {
        open: (args.open || args.settled).then_some(args.open),
        account: args.account.as_deref().map(|handle| handle.trim_start_matches('@').to_owned()),
        sport: args.sport.clone(),
        market: args.market.clone(),
        unconfirmed: args.unconfirmed,
        since: args.since.map(|since| since.from(now)),
        until: None,
    };
    let page = store.tracking().list(&filter, &args.paging.or(20)).await?;
    at.out.page(&page, "there is no such pick", |picks| listing(picks, Utc::now()))
}

fn listing(picks: &[TrackedPick], now: DateTime<Utc>) -> Listing {
    let mut listing = Listing::new([
        number("NO"),
        cut("PICK"),
        whole("SPORT"),
        whole("ODDS"),
        cut("ACCOUNT"),
        number("BY"),
        whole("SEEN"),
        whole("STATE"),
        number("UNITS"),
    ]);
    for pick in picks {
        let sport = match &pick.pick {
            PickBody::Single(single) => single.sport.as_deref().unwrap_or("-"),
            PickBody::Parlay(_) => "parlay",
        };
        listing.row([
            cell(pick.number),
            cell(words(pick)),
            cell(sport),
            cell(odds(&pick.pick)),
            cell(&pick.author),
            cell(pick.accounts),
            cell(from_now(pick.first_seen, now)),
            cell(if pick.unconfirmed { "unconfirmed" } else { state_word(pick.grade) }).tone(if pick.unconfirmed {
                Tone::Warn
            } else {
                tone(pick.grade)
            }),
            cell(units(pick.units)),
        ]);
    }
    listing
}
