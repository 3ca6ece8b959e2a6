//! `perch learn`: the learning posters, what they try, what they decide and why.

mod bots;
mod candidates;
mod decisions;
mod edit;
mod evaluate;
mod evaluate_times;
mod policies;
pub mod simulate;

use std::fmt;

use clap::{ArgMatches, FromArgMatches as _};
use perch_bot::cli::{CommandError, Invocation};
use perch_core::personas::{Persona, PersonaStore as _};
use perch_jobs::PersonaName;
use perch_store::Store;
use serde::Serialize;

use crate::store::{LearnerBot, LearnerStore as _};

/// The subcommands of the bot.
#[derive(Debug, clap::Subcommand)]
pub enum Commands {
    /// The learning posters: status, add, edit, candidates, decisions, explain, policies, evaluate, simulate
    #[command(subcommand)]
    Learn(Learn),
}

#[derive(Debug, clap::Subcommand)]
pub enum Learn {
    /// The learning posters, or everything about one
    Status(bots::StatusArgs),
    /// Lets a persona learn
    Add(edit::AddArgs),
    /// Changes what is given and leaves the rest
    Edit(edit::EditArgs),
    /// Ends the learning of a persona; its log stays
    Remove(edit::RemoveArgs),
    /// Stops a learning poster
    Pause(OfBot),
    /// Lets a learning poster go on, also one that stopped itself
    Resume(OfBot),
    /// What models wrote for the slots to come, the latest first
    Candidates(candidates::ListArgs),
    /// Lets a candidate that waits for a person be chosen
    Approve(candidates::ApproveArgs),
    /// Takes a candidate out
    Reject(candidates::RejectArgs),
    /// What was decided and what came of it, the latest first
    #[command(visible_alias = "posts")]
    Decisions(decisions::ListArgs),
    /// Says why a post went out
    Explain(decisions::ExplainArgs),
    /// The times of a bot and what became of them, the latest first
    Slots(decisions::SlotsArgs),
    /// Figures by arm, by day and by week
    Stats(OfBot),
    /// The versions of a bot's policy, the latest first
    Policies(policies::ListArgs),
    /// Adds a version of a policy, which waits to be promoted
    Propose(policies::ProposeArgs),
    /// Lets a version choose, if the log of decisions speaks for it
    Promote(policies::PromoteArgs),
    /// Goes back to the version before
    Rollback(OfBot),
    /// Estimates what a policy would have earned, or judges a model on randomised tests
    Evaluate(evaluate::Args),
    /// Simulates accounts with readers of hidden tastes, learned against uniform
    Simulate(simulate::Args),
}

#[derive(Debug, clap::Args)]
pub struct OfBot {
    /// The persona that it posts as
    pub name: PersonaName,
}

/// Runs the subcommand in the arguments of `perch`.
pub async fn run(at: &Invocation<'_>, matches: &ArgMatches) -> Result<(), CommandError> {
    let Commands::Learn(command) =
        Commands::from_arg_matches(matches).map_err(|error| CommandError::Usage(error.to_string()))?;
    match &command {
        Learn::Status(args) => bots::status(at, args).await,
        Learn::Add(args) => edit::add(at, args).await,
        Learn::Edit(args) => edit::edit(at, args).await,
        Learn::Remove(args) => edit::remove(at, args).await,
        Learn::Pause(args) => edit::switch(at, &args.name, false).await,
        Learn::Resume(args) => edit::switch(at, &args.name, true).await,
        Learn::Candidates(args) => candidates::list(at, args).await,
        Learn::Approve(args) => candidates::approve(at, args).await,
        Learn::Reject(args) => candidates::reject(at, args).await,
        Learn::Decisions(args) => decisions::list(at, args).await,
        Learn::Explain(args) => decisions::explain(at, args).await,
        Learn::Slots(args) => decisions::slots(at, args).await,
        Learn::Stats(args) => bots::stats(at, &args.name).await,
        Learn::Policies(args) => policies::list(at, args).await,
        Learn::Propose(args) => policies::propose(at, args).await,
        Learn::Promote(args) => policies::promote(at, args).await,
        Learn::Rollback(args) => policies::rollback(at, &args.name).await,
        Learn::Evaluate(args) => evaluate::run(at, args).await,
        Learn::Simulate(args) => simulate::run(at, args),
    }
}

/// An answer of several lines.
fn said<T: Serialize + fmt::Display>(at: &Invocation<'_>, answer: &T) -> Result<(), CommandError> {
    if at.out.is_json() {
        return at.out.json(answer);
    }
    answer.to_string().lines().try_for_each(|line| at.out.line(line))
}

async fn one(store: &Store, name: &PersonaName) -> Result<LearnerBot, CommandError> {
    store.learner().bot(name).await?.ok_or_else(|| unknown(name))
}

async fn persona(store: &Store, name: &PersonaName) -> Result<Persona, CommandError> {
    store.personas().get(name).await?.ok_or_else(|| {
        CommandError::Refused(format!(
            "there is no persona {name}; `perch personas add` adds one, which then can learn"
        ))
    })
}

fn unknown(name: &PersonaName) -> CommandError {
    CommandError::Refused(format!("{name} does not learn; `perch learn status` shows who does"))
}
