//! What the command line may say.

#[cfg(test)]
mod documented;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, ValueEnum};
use perch_base::Environment;
use perch_bot::{Bot, Bots, cli::Looks};

use crate::{app::bots, commands::Command};

/// Durable job queues for bots: workers, scheduler, HTTP API, and everything an operator does.
#[derive(Debug, Parser)]
#[command(name = "perch", version, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What the arguments of a process ask for.
#[derive(Debug)]
pub struct Asked {
    pub global: Global,
    pub what: What,
}

/// Who carries it out.
#[derive(Debug)]
pub enum What {
    /// Perch.
    Perch(Command),
    /// A bot of the deployment.
    Bot(Arc<dyn Bot>, ArgMatches),
}

impl Asked {
    /// Reads the arguments of this process.
    pub fn parse() -> Result<Self, clap::Error> {
        let matches = command().try_get_matches()?;
        let global = Global::from_arg_matches(&matches)?;
        let of_bot = matches.subcommand_name().and_then(|name| bots().iter().find(|bot| is_of(bot, name)));
        let what = match of_bot {
            Some(bot) => What::Bot(bot.clone(), matches),
            None => What::Perch(Cli::from_arg_matches(&matches)?.command),
        };
        Ok(Self { global, what })
    }
}

/// The subcommands that a bot brings.
fn commands_of(bot: &Arc<dyn Bot>) -> clap::Command {
    bot.commands(clap::Command::new("perch"))
}

fn is_of(bot: &Arc<dyn Bot>, name: &str) -> bool {
    commands_of(bot).find_subcommand(name).is_some()
}

/// What is wrong with a command of a bot: its name is that of one of Perch, or of another bot.
pub fn wrong_command(bots: &Bots) -> Option<String> {
    let names = |command: &clap::Command| -> Vec<String> {
        [command.get_name()].into_iter().chain(command.get_all_aliases()).map(str::to_owned).collect()
    };
    let perch = Cli::command();
    let of_perch = perch.get_subcommands().flat_map(names).chain(["help".to_owned()]);
    let mut taken: BTreeMap<String, String> = of_perch.map(|name| (name, "Perch itself".to_owned())).collect();
    for bot in bots.iter() {
        for name in commands_of(bot).get_subcommands().flat_map(names) {
            if let Some(owner) = taken.insert(name.clone(), format!("the bot {}", bot.name())) {
                return Some(format!(
                    "the bot {} cannot have the command `perch {name}`: it is one of {owner}; give it another name",
                    bot.name()
                ));
            }
        }
    }
    None
}

/// The command line of this deployment: the commands of Perch, and those of its bots.
pub fn command() -> clap::Command {
    // Only the subcommands: what else a bot says of `perch`, such as what it is for, is not for it to say.
    let of_bots = bots().iter().flat_map(|bot| commands_of(bot).get_subcommands().cloned().collect::<Vec<_>>());
    Cli::command().subcommands(of_bots)
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// Which environment; APP_ENV when it is left out
    #[arg(long, global = true, value_enum)]
    pub env: Option<EnvName>,
    /// Answers in JSON: lists as an array, single things as an object
    #[arg(long, global = true)]
    pub json: bool,
    /// The folder with base.toml; PERCH_CONFIG_DIR or ./config when it is left out
    #[arg(long, global = true, value_name = "DIR")]
    pub config_dir: Option<PathBuf>,
    /// Colours; NO_COLOR turns off `auto`
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    pub color: Colour,
    /// Columns that text is made for; those of the terminal when it is left out, and no bound in a file or a pipe
    #[arg(long, global = true, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(40..=1_000))]
    pub width: Option<u16>,
}

impl Global {
    /// How answers look.
    pub fn looks(&self) -> Looks {
        let colour = match self.color {
            Colour::Always => Some(true),
            Colour::Never => Some(false),
            Colour::Auto => None,
        };
        Looks { json: self.json, colour, width: self.width }
    }
}

/// An environment on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum EnvName {
    /// Keys under stg:
    Staging,
    /// Keys under prod:
    Production,
}

impl From<EnvName> for Environment {
    fn from(name: EnvName) -> Self {
        match name {
            EnvName::Staging => Self::Staging,
            EnvName::Production => Self::Production,
        }
    }
}

/// When there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal
    Auto,
    /// Even in a file or a pipe
    Always,
    /// Not at all
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        command().debug_assert();
    }

    #[test]
    fn no_line_of_help_is_wider_than_the_terminals_it_is_made_for() {
        let help = command().render_long_help().to_string();
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
        assert!(
            help.starts_with("Durable job queues for bots"),
            "it says what Perch is, and not what a bot is: {help}"
        );
    }
}
