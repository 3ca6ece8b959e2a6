//! `perch completions`: prints shell completions, with the queues, kinds, accounts and cron entries of this
//! deployment. It needs no server.

use std::{any::TypeId, io::Write as _};

use clap::{Arg, Command, builder::PossibleValuesParser};
use clap_complete::Shell;
use perch_base::Settings;
use perch_jobs::{AccountId, JobKind, QueueName};

use crate::{app::App, cli, error::CommandError};

/// Completions for a shell
///
/// For bash: `perch completions bash > ~/.local/share/bash-completion/completions/perch`. They know the queues, kinds, accounts and cron
/// entries of the configuration in force; make them again when those change.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

pub fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut ArgumentValues::of(app).within(cli::command()), "perch", &mut script);
    app.out.verbatim().write_all(&script).map_err(CommandError::Output)
}

/// The known values of arguments.
struct ArgumentValues {
    queues: Vec<String>,
    kinds: Vec<String>,
    accounts: Vec<String>,
    cron: Vec<String>,
}

impl ArgumentValues {
    /// From the configuration, or the built-in kinds and queues when none can be loaded.
    fn of(app: &App) -> Self {
        let types = crate::app::bots().job_types();
        let settings: Option<Settings> = app.settings().or_else(|_| app.settings_of_staging()).ok();
        let mut queues: Vec<String> = match &settings {
            Some(settings) => settings.queues.keys().map(ToString::to_string).collect(),
            None => types.iter().map(|job_type| job_type.queue.to_string()).collect(),
        };
        queues.sort();
        queues.dedup();
        let of = |names: fn(&Settings) -> Vec<String>| settings.as_ref().map(names).unwrap_or_default();
        Self {
            queues,
            kinds: types.iter().map(|job_type| job_type.kind.to_string()).collect(),
            accounts: of(|settings| settings.x.accounts.keys().map(ToString::to_string).collect()),
            cron: of(|settings| settings.cron.keys().cloned().collect()),
        }
    }

    /// Adds these values to the arguments of a command.
    fn within(&self, command: Command) -> Command {
        let is_cron = command.get_name() == "cron";
        command.mut_args(|arg| self.of_argument(arg)).mut_subcommands(|sub| {
            let sub = if is_cron && sub.get_name() == "run" {
                sub.mut_arg("entry", |arg| arg.value_parser(PossibleValuesParser::new(self.cron.clone())))
            } else {
                sub
            };
            self.within(sub)
        })
    }

    /// Selected by the type of the argument, so that no argument can be forgotten.
    fn of_argument(&self, arg: Arg) -> Arg {
        let of_type = arg.get_value_parser().type_id();
        let values = [
            (TypeId::of::<QueueName>(), &self.queues),
            (TypeId::of::<JobKind>(), &self.kinds),
            (TypeId::of::<AccountId>(), &self.accounts),
        ];
        match values.into_iter().find(|(id, _)| of_type == *id) {
            Some((_, values)) if !values.is_empty() => arg.value_parser(PossibleValuesParser::new(values.clone())),
            _ => arg,
        }
    }
}
