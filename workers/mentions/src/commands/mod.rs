//! `perch mentions`: status and switches of the bots that answer mentions. `perch review`: the replies that wait for a person.

mod block;
mod list;
mod review;
mod status;
mod switch;

use std::sync::Arc;

use clap::{ArgMatches, FromArgMatches as _};
use perch_base::Settings;
use perch_bot::{
    Platform,
    cli::{CommandError, Invocation},
};
use perch_jobs::AccountId;

use crate::{MentionControl, MentionsSettings};

/// The subcommands of the bot.
#[derive(Debug, clap::Subcommand)]
pub enum Commands {
    /// The bots that answer mentions: status, start, stop, fetch, interval, pause, resume, list, block
    #[command(subcommand)]
    Mentions(Mentions),
    /// Replies that wait for a person: list, show, approve, reject
    #[command(subcommand)]
    Review(review::Reviews),
}

#[derive(Debug, clap::Subcommand)]
pub enum Mentions {
    /// Whether they read and reply, how far they are, what became of the mentions of the last day
    Status(OfAccount),
    /// Lets mentions be read again
    Start(OfAccount),
    /// Stops the reading of mentions; those that were read are still answered
    Stop(OfAccount),
    /// Lets mentions be replied to again
    Resume(OfAccount),
    /// Stops replying; mentions are read and wait
    Pause(OfAccount),
    /// Reads the mentions now, also while their reading is stopped
    Fetch(OfAccount),
    /// Sets how often mentions are read
    Interval(switch::IntervalArgs),
    /// Mentions and what became of them, the latest first
    List(list::Args),
    /// Keeps a user from being answered
    Block(block::BlockArgs),
    /// Lets a user be answered again
    Unblock(block::UnblockArgs),
    /// Users who are not answered
    Blocked(block::BlockedArgs),
}

#[derive(Debug, clap::Args)]
pub struct OfAccount {
    /// The account, by its name in the configuration; may be left out when there is one
    #[arg(long)]
    pub account: Option<AccountId>,
}

/// Runs the subcommand in the arguments of `perch`.
pub async fn run(at: &Invocation<'_>, matches: &ArgMatches) -> Result<(), CommandError> {
    match Commands::from_arg_matches(matches).map_err(|error| CommandError::Usage(error.to_string()))? {
        Commands::Mentions(command) => mentions(at, &command).await,
        Commands::Review(command) => review::run(at, &command).await,
    }
}

async fn mentions(at: &Invocation<'_>, command: &Mentions) -> Result<(), CommandError> {
    use switch::Switch;
    match command {
        Mentions::Status(args) => status::run(at, args).await,
        Mentions::Start(args) => switch::run(at, args, Switch::Start).await,
        Mentions::Stop(args) => switch::run(at, args, Switch::Stop).await,
        Mentions::Resume(args) => switch::run(at, args, Switch::Resume).await,
        Mentions::Pause(args) => switch::run(at, args, Switch::Pause).await,
        Mentions::Fetch(args) => switch::fetch(at, args).await,
        Mentions::Interval(args) => switch::interval(at, args).await,
        Mentions::List(args) => list::run(at, args).await,
        Mentions::Block(args) => block::block(at, args).await,
        Mentions::Unblock(args) => block::unblock(at, args).await,
        Mentions::Blocked(args) => block::list(at, args).await,
    }
}

fn control(platform: &Platform) -> MentionControl {
    MentionControl::new(platform.client.queues().redis().clone(), platform.store.clone())
}

/// The settings of the bot.
fn own(settings: &Settings) -> Result<Arc<MentionsSettings>, CommandError> {
    Ok(settings.sections.get::<MentionsSettings>()?)
}

/// The account that was named, or the only one.
fn one(settings: &Settings, named: Option<&AccountId>) -> Result<AccountId, CommandError> {
    let accounts = &own(settings)?.accounts;
    let known = || accounts.iter().map(AccountId::as_str).collect::<Vec<_>>().join(", ");
    match (named, accounts.as_slice()) {
        (Some(named), _) if accounts.contains(named) => Ok(named.clone()),
        (_, []) => Err(CommandError::Refused("no account answers mentions; name some in mentions.accounts".into())),
        (Some(named), _) => {
            Err(CommandError::Refused(format!("{named} answers no mentions; mentions.accounts has {}", known())))
        }
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(CommandError::Usage(format!("--account must name one of {}", known()))),
    }
}
