//! `perch spend`: shows what calls to paid services cost.

use chrono::Utc;
use perch_core::spending::report::{CostLine, ProviderCost, SpendReport, report};

use crate::{
    app::App,
    error::CommandError,
    format::{
        table::{Listing, Tone, cell, cut, number, whole},
        text::thousands,
    },
    output::Paging,
    parse::time::{PointInTime, when},
    process::{Overlay, without_budgets},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Lines from then on: how long ago, a day, or a time; the beginning of this month when it is left out
    #[arg(long, value_parser = when, value_name = "TIME")]
    pub since: Option<PointInTime>,
    /// Lines up to then; now when it is left out
    #[arg(long, value_parser = when, value_name = "TIME")]
    pub until: Option<PointInTime>,
    #[command(flatten)]
    pub paging: Paging,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let (mut settings, store) = app.store()?;
    let (_, queues) = app.queues()?;
    let played = Overlay::needed(&settings);
    without_budgets(&mut settings, &played);
    let now = Utc::now();
    let (since, until) = (args.since.map(|since| since.from(now)), args.until.map(|until| until.from(now)));
    let report = report(&settings, &store, queues.redis(), since, until, &args.paging.or(20)).await?;
    if app.out.is_json() {
        return app.out.json(&report);
    }
    app.out.table(&providers(&report))?;
    if report.lines.items.is_empty() {
        return app.out.line("nothing was spent in that time");
    }
    app.out.line("")?;
    app.out.table(&lines(&report.lines.items))?;
    app.out.more(report.lines.next.as_ref());
    Ok(())
}

fn providers(report: &SpendReport) -> Listing {
    let mut listing = Listing::new([
        whole("PROVIDER"),
        number("TODAY"),
        number("OF"),
        number("MONTH"),
        number("OF"),
        number("FORECAST"),
        cut("STATE"),
    ]);
    for cost in &report.providers {
        let over = cost.monthly_budget > 0.0 && cost.forecast > cost.monthly_budget;
        listing.row([
            cell(&cost.provider),
            cell(dollars(cost.today)),
            cell(budget(cost.daily_budget)),
            cell(dollars(cost.month)),
            cell(budget(cost.monthly_budget)),
            cell(dollars(cost.forecast)).tone_if(over, Tone::Warn),
            cell(state(cost)).tone_if(cost.held_by.is_some(), Tone::Bad),
        ]);
    }
    listing
}

fn state(cost: &ProviderCost) -> &'static str {
    match cost.held_by {
        Some("month") => "held until next month",
        Some(_) => "held until tomorrow (UTC)",
        None => "",
    }
}

fn lines(lines: &[CostLine]) -> Listing {
    let mut listing = Listing::new([
        number("COST"),
        whole("PROVIDER"),
        whole("BOT"),
        cut("ACCOUNT"),
        whole("KIND"),
        number("CALLS"),
        number("UNITS"),
        number("TOKENS"),
    ]);
    let counted = |n: i64| thousands(u64::try_from(n).unwrap_or(0));
    for line in lines {
        listing.row([
            cell(dollars(line.cost)),
            cell(&line.provider),
            cell(&line.bot),
            cell(if line.account.is_empty() { "-" } else { &line.account }),
            cell(&line.kind),
            cell(counted(line.calls)),
            cell(counted(line.units)),
            cell(counted(line.tokens)),
        ]);
    }
    listing
}

fn dollars(amount: f64) -> String {
    format!("{amount:.3}")
}

fn budget(amount: f64) -> String {
    if amount > 0.0 { format!("{amount:.2}") } else { "-".into() }
}
