//! The program `bench`; see the library.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use perch_bench::{
    error::{BenchError, Outcome},
    part,
    report::Report,
    scenario::{Bench, Scenario},
};

// As `perch` has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Measures Perch on this machine and says which goals are reached.
#[derive(Debug, Parser)]
#[command(name = "bench", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    hidden: Option<Hidden>,
    /// Small numbers and one round, to see that everything runs. The figures mean little.
    #[arg(long)]
    quick: bool,
    /// How often each scenario is run, in turn with its baseline
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// Run only this scenario; may be given more than once
    #[arg(long, value_enum, value_name = "NAME")]
    only: Vec<Scenario>,
    /// Where the report goes as JSON; a file named after the time in .data/bench when it is left out
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
    /// Also run the peers of the Node world with the same work; npm installs them into .data/bench
    #[arg(long)]
    peers: bool,
    /// A folder with data that is not part of the project, for the scenario learning: `upworthy` and `own-posts`
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// End with 1 when a goal is not reached
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Subcommand)]
enum Hidden {
    /// Plays a role in a scenario.
    #[command(hide = true)]
    Part {
        /// The role, as JSON.
        role: String,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.hidden {
        Some(Hidden::Part { role }) => part::play(role).await.map(|()| true),
        None => measure(&arguments).await,
    };
    match done {
        Ok(all_met) if arguments.check && !all_met => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs the scenarios. A scenario that cannot be run is told and the others are run all the same.
async fn measure(arguments: &Arguments) -> Outcome<bool> {
    let rounds = if arguments.quick { 1 } else { usize::from(arguments.rounds) };
    let database = std::env::var("PERCH_BENCH_DATABASE_URL").ok();
    let bench = Bench { quick: arguments.quick, rounds, database, data: arguments.data.clone() };
    let mut report = Report::default();
    let mut failed = false;
    let path = arguments
        .json
        .clone()
        .unwrap_or_else(|| format!(".data/bench/{}.json", chrono::Utc::now().format("%Y%m%dT%H%M%SZ")).into());
    for scenario in Scenario::chosen(&arguments.only, arguments.peers) {
        if let Err(error) = scenario.run(&bench, &mut report).await {
            eprintln!("bench: {}: {error}", scenario.name());
            report.remark(format!("broken off: {error}"));
            failed = true;
        }
        // After each, so that a run that is stopped leaves what it has measured.
        write(&path, &report)?;
    }
    println!("{}", report.text());
    println!("\nThe same as JSON, with every sample: {}", path.display());
    Ok(report.all_met() && !failed)
}

fn write(path: &Path, report: &Report) -> Outcome {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(BenchError::io("make the folder of the report"))?;
    }
    std::fs::write(path, serde_json::to_vec_pretty(report)?).map_err(BenchError::io("write the report"))
}
