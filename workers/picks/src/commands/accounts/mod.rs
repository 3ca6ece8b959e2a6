//! `perch accounts`: the watched accounts and their polls.

mod add;
mod list;
mod show;

use perch_bot::cli::{CommandError, Invocation};
use serde_json::json;

use crate::{
    store::PicksStore as _,
    watch_list::{self, InvalidAccount, WatchList},
};

#[derive(Debug, clap::Subcommand)]
pub enum Accounts {
    /// Watches accounts, or changes the settings of watched ones
    Add(add::Args),
    /// Stops watching accounts, also those that the configuration names
    Remove(RemoveArgs),
    /// Lists the watched accounts, and how their last poll ended
    List(list::Args),
    /// Shows an account: its settings, its latest polls and their totals
    Show(show::Args),
}

#[derive(Debug, clap::Args)]
pub struct RemoveArgs {
    /// Their handles, with or without @
    #[arg(required = true, value_name = "HANDLE")]
    pub handles: Vec<String>,
}

pub async fn run(at: &Invocation<'_>, command: &Accounts) -> Result<(), CommandError> {
    match command {
        Accounts::Add(args) => add::run(at, args).await,
        Accounts::Remove(args) => remove(at, args).await,
        Accounts::List(args) => list::run(at, args).await,
        Accounts::Show(args) => show::run(at, args).await,
    }
}

async fn remove(at: &Invocation<'_>, args: &RemoveArgs) -> Result<(), CommandError> {
    let (settings, store) = &at.store()?;
    let list = WatchList::new(settings)?;
    let mut handles = Vec::new();
    for given in &args.handles {
        let known = list.one(store, watch_list::handle(given).map_err(refused)?).await?;
        let account = known.filter(|account| account.removed_at.is_none()).ok_or_else(|| not_watched(given))?;
        handles.push(account.handle);
    }
    let mut removed = Vec::new();
    for handle in &handles {
        let row = store.accounts().remove(handle, &at.operator).await?;
        at.audit("account.remove", &row.username, &json!({})).await;
        removed.push(row.username);
    }
    at.out.answer(&json!({ "removed": removed }), format_args!("{} no longer watched", removed.join(", ")))
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that map_err asks for")]
fn refused(error: InvalidAccount) -> CommandError {
    CommandError::Usage(error.to_string())
}

fn not_watched(handle: &str) -> CommandError {
    let handle: String = handle.chars().take(40).collect();
    CommandError::Refused(format!("{handle:?} is not watched; see `perch accounts list`"))
}
