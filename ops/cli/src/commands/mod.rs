//! The commands, one file each.

mod api;
mod audit;
mod backup;
pub mod brake;
mod completions;
mod config;
mod cron;
pub mod dead;
pub mod doctor;
mod drain;
mod effects;
mod enqueue;
mod filter;
mod health;
mod jobs;
mod keys;
mod limits;
mod migrate;
pub mod of_bots;
mod openapi;
pub mod pause;
mod purge;
pub mod queues;
mod recover;
mod roles;
mod sandbox;
mod scheduler;
mod spend;
pub mod tail;
mod top;
mod up;
mod worker;
mod workers;

use crate::{app::App, error::CommandError};

/// What `perch` can do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Everything in one process: API, scheduler, all pools, the sandbox where credentials are missing
    Up(up::Args),
    /// Drain queues
    Worker(worker::Args),
    /// Serve the HTTP API
    Api(api::Args),
    /// Fire cron entries, take in what other services push, prune
    Scheduler(scheduler::Args),
    /// Local stand-ins for X and the language models
    Sandbox(sandbox::Args),
    /// Depth and state of every queue
    Queues(queues::Args),
    /// Single jobs: list, show, cancel, run now
    #[command(subcommand)]
    Jobs(jobs::Jobs),
    /// Hand over a job, or many
    Enqueue(enqueue::Args),
    /// Stop all workers from fetching from a queue
    Pause(pause::Args),
    /// Let workers fetch again
    Resume(pause::Args),
    /// The emergency brake, which stops all publishing: on, off, status
    #[command(subcommand)]
    Brake(brake::BrakeCommand),
    /// What X, the models, the accounts and the pools have left of their limits
    Limits(limits::Args),
    /// Wait until a queue has nothing left to do
    Drain(drain::Args),
    /// Remove the waiting jobs of a queue for good
    Purge(purge::Args),
    /// Dead letters: list, stats, show, replay, discard, export
    #[command(subcommand)]
    Dead(dead::Dead),
    /// What was done outside, and what is not known of it: list, show, resolve
    #[command(subcommand)]
    Effects(effects::Effects),
    /// What calls to X and to models cost: today, this month, and where the month is heading, in US dollars
    Spend(spend::Args),
    /// Who works on what
    Workers(workers::Args),
    /// What happens, as it happens
    Tail(tail::Args),
    /// The queues on the whole screen, live
    Top(top::Args),
    /// Cron entries: list, run
    #[command(subcommand)]
    Cron(cron::Cron),
    /// Rebuild the queues of an empty or rolled-back Redis from Postgres
    Recover(recover::Args),
    /// Backups: check
    #[command(subcommand)]
    Backup(backup::Backup),
    /// Bring the database to the schema of this release
    Migrate(migrate::Args),
    /// Roles of Postgres for one environment: bind, release, list
    #[command(subcommand)]
    Roles(roles::Roles),
    /// Look for what is wrong, and say how to mend it
    Doctor(doctor::Args),
    /// The configuration: check, show
    #[command(subcommand)]
    Config(config::Config),
    /// Keys of the HTTP API: create, list, revoke
    #[command(subcommand)]
    Keys(keys::Keys),
    /// What was changed, and by whom
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Ask a running process whether it is well
    Health(health::Args),
    Completions(completions::Args),
    /// The description of the HTTP API
    Openapi(openapi::Args),
    /// Changes payloads; `perch dead replay --edit` runs it
    #[command(name = dead::edit_process::COMMAND, hide = true)]
    ApplyEdit,
}

/// Carries out a command.
pub async fn run(app: &App, command: Command) -> Result<(), CommandError> {
    match &command {
        Command::Up(args) => up::run(app, args).await,
        Command::Worker(args) => worker::run(app, args).await,
        Command::Api(args) => api::run(app, args).await,
        Command::Scheduler(args) => scheduler::run(app, args).await,
        Command::Sandbox(args) => sandbox::run(app, args).await,
        Command::Queues(args) => queues::run(app, args).await,
        Command::Jobs(jobs) => jobs::run(app, jobs).await,
        Command::Enqueue(args) => enqueue::run(app, args).await,
        Command::Pause(args) => pause::run(app, args, pause::Switch::Pause).await,
        Command::Resume(args) => pause::run(app, args, pause::Switch::Resume).await,
        Command::Brake(brake) => brake::run(app, brake).await,
        Command::Limits(args) => limits::run(app, args).await,
        Command::Drain(args) => drain::run(app, args).await,
        Command::Purge(args) => purge::run(app, args).await,
        Command::Dead(dead) => dead::run(app, dead).await,
        Command::Effects(effects) => effects::run(app, effects).await,
        Command::Spend(args) => spend::run(app, args).await,
        Command::Workers(args) => workers::run(app, args).await,
        Command::Tail(args) => tail::run(app, args).await,
        Command::Top(args) => top::run(app, args).await,
        Command::Cron(cron) => cron::run(app, cron).await,
        Command::Recover(args) => recover::run(app, args).await,
        Command::Backup(backup) => backup::run(app, backup).await,
        Command::Migrate(args) => migrate::run(app, args).await,
        Command::Roles(roles) => roles::run(app, roles).await,
        Command::Doctor(args) => doctor::run(app, args).await,
        Command::Config(config) => config::run(app, config),
        Command::Keys(keys) => keys::run(app, keys).await,
        Command::Audit(audit) => audit::run(app, audit).await,
        Command::Health(args) => health::run(app, args).await,
        Command::Completions(args) => completions::run(app, args),
        Command::Openapi(args) => openapi::run(app, args),
        // `main` has already run it, since it needs no settings.
        Command::ApplyEdit => Ok(()),
    }
}
