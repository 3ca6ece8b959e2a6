//! The arguments of the command line.

#[cfg(test)]
mod documented;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, ValueEnum};
use perch_base::Environment;
use perch_bot::{Bot, Bots, cli::OutputStyle};

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

/// The parsed arguments of a process.
#[derive(Debug)]
pub struct Invocation {
    pub global: Global,
    pub source: CommandSource,
}

/// The command to run, and who provides it.
#[derive(Debug)]
pub enum CommandSource {
    /// A command of Perch.
    Perch(Command),
    /// A command of a bot of this deployment.
    Bot(Arc<dyn Bot>, ArgMatches),
}

impl Invocation {
    /// Reads the arguments of this process.
    pub fn parse() -> Result<Self, clap::Error> {
        let matches = command().try_get_matches()?;
        let global = Global::from_arg_matches(&matches)?;
        let of_bot = matches.subcommand_name().and_then(|name| bots().iter().find(|bot| is_of(bot, name)));
        let source = match of_bot {
            Some(bot) => CommandSource::Bot(bot.clone(), matches),
            None => CommandSource::Perch(Cli::from_arg_matches(&matches)?.command),
        };
        Ok(Self { global, source })
    }
}

/// The subcommands of a bot.
fn commands_of(bot: &Arc<dyn Bot>) -> clap::Command {
    bot.commands(clap::Command::new("perch"))
}

fn is_of(bot: &Arc<dyn Bot>, name: &str) -> bool {
    commands_of(bot).find_subcommand(name).is_some()
}

/// An error text when a command of a bot has the name of a command of Perch or of another bot.
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
    // Only the subcommands: a bot must not change anything else of `perch`, such as its description.
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
    /// Answers in JSON: single things as an object, lists as `items` and `next`
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
    /// How output looks.
    pub fn looks(&self) -> OutputStyle {
        let colour = match self.color {
            Colour::Always => Some(true),
            Colour::Never => Some(false),
            Colour::Auto => None,
        };
        OutputStyle { json: self.json, colour, width: self.width }
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

    /// The query parameters of `GET path` by the OpenAPI document: names, and whether one may be repeated.
    fn query_of(path: &str) -> BTreeMap<String, bool> {
        let document = serde_json::to_value(perch_api::openapi(bots())).expect("it is JSON");
        let parameters = document["paths"][path]["get"]["parameters"].as_array().cloned().unwrap_or_default();
        let in_query = parameters.iter().filter(|parameter| parameter["in"] == "query");
        let named = in_query.map(|parameter| {
            let is_list = parameter["schema"]["type"] == "array";
            (parameter["name"].as_str().expect("a name").to_owned(), is_list)
        });
        named.collect()
    }

    /// The flags that belong to a command alone.
    fn flags_of(command: &clap::Command) -> BTreeMap<String, bool> {
        let own = command.get_arguments().filter(|arg| !arg.is_global_set() && arg.get_long().is_some());
        let is_list = |arg: &clap::Arg| matches!(arg.get_action(), clap::ArgAction::Append);
        own.map(|arg| (arg.get_long().unwrap_or_default().replace('-', "_"), is_list(arg))).collect()
    }

    #[test]
    fn what_get_jobs_takes_is_what_perch_jobs_list_takes() {
        let perch = command();
        let list = perch.find_subcommand("jobs").and_then(|jobs| jobs.find_subcommand("list")).expect("it is there");
        let flags = flags_of(list);
        assert!(flags.len() >= 10, "{flags:?}");
        assert_eq!(query_of("/api/v1/jobs"), flags);
    }

    #[test]
    fn every_list_is_paged_by_cursor_and_limit_in_the_api_and_on_the_command_line() {
        let document = serde_json::to_value(perch_api::openapi(bots())).expect("it is JSON");
        let has_page = |name: &str| {
            let schema = &document["components"]["schemas"][name];
            let parts = schema["allOf"].as_array().into_iter().flatten().chain([schema]);
            parts
                .flat_map(|part| [part.clone(), document["components"]["schemas"][reference(part)].clone()])
                .any(|part| part["properties"]["items"].is_object() && part["properties"]["next"].is_object())
        };
        let mut paged = 0;
        for (path, item) in document["paths"].as_object().expect("paths") {
            let answer = &item["get"]["responses"]["200"]["content"]["application/json"]["schema"];
            let query = query_of(path);
            let is_paged = query.contains_key("cursor") && query.contains_key("limit");
            assert_eq!(is_paged, has_page(reference(answer)), "{path}: {answer}");
            assert!(!["offset", "before", "after"].iter().any(|name| query.contains_key(*name)), "{path}: {query:?}");
            paged += usize::from(is_paged);
        }
        assert!(paged >= 12, "{paged} lists");
        for (parent, name) in [
            ("audit", "list"),
            ("cron", "list"),
            ("dead", "list"),
            ("effects", "list"),
            ("jobs", "list"),
            ("keys", "list"),
            ("roles", "list"),
            ("picks", "list"),
            ("accounts", "list"),
            ("mentions", "list"),
            ("mentions", "blocked"),
            ("review", "list"),
        ] {
            let perch = command();
            let flags =
                flags_of(perch.find_subcommand(parent).and_then(|c| c.find_subcommand(name)).expect("it is there"));
            assert!(flags.contains_key("cursor") && flags.contains_key("limit"), "perch {parent} {name}: {flags:?}");
        }
        for name in ["queues", "workers", "spend"] {
            let perch = command();
            let flags = flags_of(perch.find_subcommand(name).expect("it is there"));
            assert!(flags.contains_key("cursor") && flags.contains_key("limit"), "perch {name}: {flags:?}");
        }
    }

    fn reference(schema: &serde_json::Value) -> &str {
        schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default()
    }
}
