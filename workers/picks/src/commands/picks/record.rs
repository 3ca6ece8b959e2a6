use chrono::Utc;
use perch_bot::cli::{
    CommandError, Invocation,
    format::table::{Cell, Listing, Tone, cell, cut, number, whole},
    parse::time::{PointInTime, when},
};
use perch_odds::record::{GroupBy, Record};
use serde_json::json;

use super::{percent, units};
use crate::{store::BetFilter, tracking};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only bets of this account
    #[arg(long, value_name = "HANDLE")]
    pub account: Option<String>,
    /// Only bets of this sport, such as nba
    #[arg(long)]
    pub sport: Option<String>,
    /// Only bets of this market: moneyline, spread, total, prop, future, parlay
    #[arg(long)]
    pub market: Option<String>,
    /// Only bets posted since then: how long ago, a day, or a time
    #[arg(long, value_parser = when, value_name = "TIME")]
    pub since: Option<PointInTime>,
    /// Only bets posted before then
    #[arg(long, value_parser = when, value_name = "TIME")]
    pub until: Option<PointInTime>,
    /// Groups by account, sport, market, day, week, month or year
    #[arg(long, default_value = "account", value_parser = grouping, value_name = "WHAT")]
    pub by: GroupBy,
}

fn grouping(text: &str) -> Result<GroupBy, String> {
    text.parse().map_err(|error: perch_odds::record::UnknownGrouping| error.to_string())
}

pub async fn run(at: &Invocation<'_>, args: &Args) -> Result<(), CommandError> {
    let ((_, store), now) = (&at.store()?, Utc::now());
    let filter = BetFilter {
        account: args.account.as_deref().map(|handle| handle.trim_start_matches('@').to_owned()),
        sport: args.sport.clone(),
        market: args.market.clone(),
        since: args.since.map(|since| since.from(now)),
        until: args.until.map(|until| until.from(now)),
    };
    let (total, groups) = tracking::record(store, &filter, args.by).await?;
    if at.out.is_json() {
        let groups: Vec<_> = groups.iter().map(|(group, record)| json!({ "group": group, "record": record })).collect();
        return at.out.json(&json!({ "by": args.by.to_string(), "total": total, "groups": groups }));
    }
    if groups.is_empty() {
        return at.out.line("no such bet is settled; see `perch picks list --open` and `perch picks settle`");
    }
    at.out.table(&listing(args.by, &groups, &total))
}

fn listing(by: GroupBy, groups: &[(String, Record)], total: &Record) -> Listing {
    let title = match by {
        GroupBy::Account => "ACCOUNT",
        GroupBy::Sport => "SPORT",
        GroupBy::Market => "MARKET",
        GroupBy::Period(_) => "PERIOD",
    };
    let mut listing = Listing::new([
        cut(title),
        number("BETS"),
        whole("W-L-P"),
        number("STAKED"),
        number("UNITS"),
        number("ROI"),
        number("HITS"),
        number("CLV"),
        number("STREAK"),
        whole("BEST/WORST"),
    ]);
    for (name, record) in groups {
        listing.row(row(name, record));
    }
    if groups.len() > 1 {
        listing.row(row("all", total));
    }
    listing
}

fn row(name: &str, record: &Record) -> [Cell; 10] {
    let tone = if record.units < 0.0 { Tone::Bad } else { Tone::Good };
    [
        cell(name),
        cell(record.bets),
        cell(record.tally()),
        cell(format_args!("{:.2}", record.staked)),
        cell(units(Some(record.units))).tone(tone),
        cell(percent(record.roi, true)),
        cell(percent(record.hit_rate, false)),
        cell(percent(record.clv, true)),
        cell(format_args!("{:+}", record.streak)),
        cell(format_args!("+{}/-{}", record.longest_won, record.longest_lost)),
    ]
}
