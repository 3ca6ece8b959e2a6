use std::time::Duration;

use chrono::Utc;
use perch_bot::cli::{CommandError, Invocation, format::time::from_now, parse::time::duration};
use serde_json::json;

use super::refused;
use crate::{
    store::{AccountChange, PicksStore as _},
    watch_list::{self, WatchList, WatchedAccount},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Their handles, with or without @
    #[arg(required = true, value_name = "HANDLE")]
    pub handles: Vec<String>,
    /// A schedule of their own: five cron fields (minute hour day month weekday) in quotes
    #[arg(long, value_name = "CRON")]
    pub schedule: Option<String>,
    /// The time zone of that schedule, such as Europe/Berlin; UTC when it is left out
    #[arg(long, value_name = "ZONE", requires = "schedule")]
    pub timezone: Option<String>,
    /// The most pages of one poll
    #[arg(long, value_name = "NUMBER")]
    pub pages: Option<u8>,
    /// Posts on a page, 5 to 100
    #[arg(long, value_name = "NUMBER")]
    pub posts: Option<u8>,
    /// Skips posts older than this, such as 24h
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub max_age: Option<Duration>,
    /// Why they are watched
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

pub async fn run(at: &Invocation<'_>, args: &Args) -> Result<(), CommandError> {
    let change = AccountChange {
        enabled: None,
        note: args.note.clone().map(Some),
        schedule: args.schedule.clone().map(Some),
        timezone: args.timezone.clone().map(Some),
        posts_per_poll: args.posts.map(Some),
        pages: args.pages.map(Some),
        max_age_ms: args.max_age.map(|age| Some(u64::try_from(age.as_millis()).unwrap_or(u64::MAX))),
    };
    watch_list::check(&change).map_err(refused)?;
    let handles = args.handles.iter().map(|handle| watch_list::handle(handle).map_err(refused));
    let handles = handles.collect::<Result<Vec<&str>, CommandError>>()?;
    let (settings, store) = &at.store()?;
    let list = WatchList::new(settings)?;
    let mut added: Vec<WatchedAccount> = Vec::new();
    for handle in handles {
        let row = store.accounts().add(handle, &change, &at.operator).await?;
        at.audit("account.add", &row.username, &json!(change)).await;
        added.extend(list.seen(row, Utc::now()));
    }
    if at.out.is_json() {
        return at.out.json(&added);
    }
    let now = Utc::now();
    for account in &added {
        let next = account.next_poll.map_or_else(|| "never: nothing polls it".to_owned(), |at| from_now(at, now));
        at.out.line(format_args!("{} is watched; next poll {next}", account.handle))?;
    }
    Ok(())
}
