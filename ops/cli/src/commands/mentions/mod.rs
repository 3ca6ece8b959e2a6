//! `perch mentions`: the bots that answer mentions, how they stand and what they are told.

mod block;
mod list;
mod status;
mod switch;

use std::sync::Arc;

use perch_base::Settings;
use perch_bot_mentions::MentionsSettings;
use perch_jobs::AccountId;
use perch_queue::Redis;
use perch_store::{MentionControl, RateWindows};

use crate::{
    app::{App, store},
    error::OpsError,
};

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
    Blocked(OfAccount),
}

#[derive(Debug, clap::Args)]
pub struct OfAccount {
    /// The account, by its name in the configuration; may be left out when there is one
    #[arg(long)]
    pub account: Option<AccountId>,
}

pub async fn run(app: &App, command: &Mentions) -> Result<(), OpsError> {
    use switch::Switch;
    match command {
        Mentions::Status(args) => status::run(app, args).await,
        Mentions::Start(args) => switch::run(app, args, Switch::Start).await,
        Mentions::Stop(args) => switch::run(app, args, Switch::Stop).await,
        Mentions::Resume(args) => switch::run(app, args, Switch::Resume).await,
        Mentions::Pause(args) => switch::run(app, args, Switch::Pause).await,
        Mentions::Fetch(args) => switch::fetch(app, args).await,
        Mentions::Interval(args) => switch::interval(app, args).await,
        Mentions::List(args) => list::run(app, args).await,
        Mentions::Block(args) => block::block(app, args).await,
        Mentions::Unblock(args) => block::unblock(app, args).await,
        Mentions::Blocked(args) => block::list(app, args).await,
    }
}

fn redis(settings: &Settings) -> Result<Redis, OpsError> {
    Ok(Redis::new(settings.redis_url()?, &settings.redis)?)
}

fn control(settings: &Settings) -> Result<MentionControl, OpsError> {
    Ok(MentionControl::new(redis(settings)?, store(settings)?))
}

fn windows(settings: &Settings) -> Result<RateWindows, OpsError> {
    Ok(RateWindows::new(redis(settings)?, settings.env))
}

/// The settings of the bot.
pub(super) fn own(settings: &Settings) -> Result<Arc<MentionsSettings>, OpsError> {
    Ok(settings.sections.get::<MentionsSettings>()?)
}

/// The account that is meant: the one named, or the only one there is.
pub(super) fn one(settings: &Settings, named: Option<&AccountId>) -> Result<AccountId, OpsError> {
    let accounts = &own(settings)?.accounts;
    let known = || accounts.iter().map(AccountId::as_str).collect::<Vec<_>>().join(", ");
    match (named, accounts.as_slice()) {
        (Some(named), _) if accounts.contains(named) => Ok(named.clone()),
        (_, []) => Err(OpsError::Refused("no account answers mentions; name some in mentions.accounts".into())),
        (Some(named), _) => {
            Err(OpsError::Refused(format!("{named} answers no mentions; mentions.accounts has {}", known())))
        }
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(OpsError::Usage(format!("--account must name one of {}", known()))),
    }
}
