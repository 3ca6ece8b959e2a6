use std::{fs, path::PathBuf};

use perch_bot::cli::{CommandError, Invocation};

use super::said;
use crate::simulate::{Options, run as simulate};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many weeks
    #[arg(long, value_name = "N", default_value_t = 12)]
    pub weeks: u32,
    /// Posts of a day
    #[arg(long, value_name = "N", default_value_t = 12)]
    pub posts_per_day: u8,
    /// How many accounts, each with other readers
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub seeds: u32,
    /// Readers change their minds half-way
    #[arg(long)]
    pub drift: bool,
    /// What follows count in the policy that is to grow; 0 simulates none
    #[arg(long, value_name = "WEIGHT", default_value_t = 1.0)]
    pub growth: f64,
    /// Where the plots are written, as SVG
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

impl Args {
    /// Weeks with the usual options.
    pub fn weeks(weeks: u32) -> Self {
        Self { weeks, posts_per_day: 12, seeds: 20, drift: false, growth: 1.0, svg: None }
    }
}

pub fn run(at: &Invocation<'_>, args: &Args) -> Result<(), CommandError> {
    let options = Options {
        weeks: args.weeks,
        posts_per_day: args.posts_per_day,
        seeds: args.seeds,
        drift: args.drift,
        growth_weight: args.growth,
        ..Options::default()
    };
    if let Some((field, reason)) = options.problem() {
        return Err(CommandError::Usage(format!("{field} {reason}")));
    }
    let bar = at.out.bar(options.runs(), "accounts");
    let report = simulate(&options, &|| bar.inc(1));
    bar.finish_and_clear();
    let report = report.map_err(|error| CommandError::Refused(error.to_string()))?;
    if let Some(file) = &args.svg {
        fs::write(file, report.svg())
            .map_err(|error| CommandError::Refused(format!("{} cannot be written: {error}", file.display())))?;
    }
    said(at, &report)
}
