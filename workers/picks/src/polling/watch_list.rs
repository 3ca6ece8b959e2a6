//! Which accounts are watched: those that the configuration names and those that operators added. The decision of an operator about an
//! account overrides the configuration.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use perch_base::{ConfigError, CronSchedule, Page, Paging, Settings, settings::FileSettings};
use perch_jobs::{Job as _, PollAccounts, PostId};
use perch_store::{Store, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    PicksSettings,
    store::{AccountChange, AccountRecord, PicksStore as _, PollOutcome},
};

/// Where an account is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = AccountSource)]
pub enum AccountSource {
    /// In `[picks] watch`.
    Config,
    /// An operator added it.
    Operator,
}

/// A watched account, or one that was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = WatchedAccount)]
pub struct WatchedAccount {
    /// Its handle in lower case.
    pub username: String,
    /// Its handle as it was given.
    pub handle: String,
    /// Where it is named.
    pub source: AccountSource,
    /// Whether it is polled.
    pub watched: bool,
    /// Who added it.
    pub added_by: Option<String>,
    /// When.
    pub added_at: Option<DateTime<Utc>>,
    /// Who removed it.
    pub removed_by: Option<String>,
    /// When.
    pub removed_at: Option<DateTime<Utc>>,
    /// What an operator wrote about it.
    pub note: Option<String>,
    /// A schedule of its own, as cron fields; without one it is polled with the others.
    pub schedule: Option<String>,
    /// The time zone of its own schedule.
    pub timezone: Option<String>,
    /// Posts on a page.
    pub posts_per_poll: u8,
    /// The most pages of a poll.
    pub pages: u8,
    /// The age in milliseconds from which posts are skipped.
    pub max_age_ms: u64,
    /// When it is polled next, if nothing changes.
    pub next_poll: Option<DateTime<Utc>>,
    /// When it was last polled.
    pub last_poll: Option<DateTime<Utc>>,
    /// How that ended: `polled`, `not_found`, `suspended`, `protected`.
    #[schema(value_type = Option<String>)]
    pub last_outcome: Option<PollOutcome>,
    /// What X said if the account could not be read.
    pub last_error: Option<String>,
    /// Polls in a row that could not read it.
    pub failures: u32,
    /// How many further ticks it is passed over because of those failures.
    pub passes_over: u32,
    /// The newest post up to which everything is done, as Postgres knows it.
    #[schema(value_type = Option<String>)]
    pub since_id: Option<PostId>,
    /// Its id on X.
    pub user_id: Option<String>,
    #[serde(skip)]
    #[schema(ignore)]
    pub(super) scheduled_to: Option<DateTime<Utc>>,
}

/// An account, or a change of one, is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct InvalidAccount {
    /// Which value.
    pub field: &'static str,
    /// What is wrong with it, and what is allowed.
    pub reason: String,
}

/// The watched accounts, from the configuration and Postgres.
#[derive(Debug)]
pub struct WatchList {
    settings: Arc<PicksSettings>,
    /// When accounts without a schedule of their own are polled.
    common: Vec<CronSchedule>,
}

impl WatchList {
    /// The list for these settings.
    ///
    /// # Errors
    ///
    /// Fails if the process was started without the bot.
    pub fn new(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self::of(settings.sections.get()?, settings))
    }

    /// The list for the settings of the bot and of the platform.
    pub(crate) fn of(own: Arc<PicksSettings>, platform: &Settings) -> Self {
        Self { settings: own, common: common_schedules(&platform.file) }
    }

    /// All accounts by handle: those that are watched, and those that were removed or disabled.
    pub async fn all(&self, store: &Store) -> Result<Vec<WatchedAccount>, StoreError> {
        let now = Utc::now();
        let rows = store.accounts().list().await?;
        let mut accounts: BTreeMap<String, AccountRecord> =
            rows.into_iter().map(|row| (row.username.clone(), row)).collect();
        for handle in &self.settings.watch {
            accounts.entry(handle.to_lowercase()).or_insert_with(|| AccountRecord::named(handle));
        }
        Ok(accounts.into_values().filter_map(|row| self.seen(row, now)).collect())
    }

    /// The accounts that are watched, by handle, page by page; with `all`, the others too.
    pub async fn page(&self, store: &Store, all: bool, paging: &Paging) -> Result<Page<WatchedAccount>, StoreError> {
        let mut accounts = self.all(store).await?;
        accounts.retain(|account| all || account.watched);
        Ok(Page::of_all("accounts", accounts, paging, |account| account.username.clone())?)
    }

    /// One account by its handle, in any case.
    pub async fn one(&self, store: &Store, handle: &str) -> Result<Option<WatchedAccount>, StoreError> {
        let row = match store.accounts().get(handle).await? {
            Some(row) => row,
            None => AccountRecord::named(self.listed(handle).unwrap_or(handle)),
        };
        Ok(self.seen(row, Utc::now()))
    }

    /// Combines the row of an account with the configuration. `None` for an account that was only ever polled by hand.
    pub fn seen(&self, row: AccountRecord, now: DateTime<Utc>) -> Option<WatchedAccount> {
        let is_listed = self.listed(&row.username).is_some();
        if !is_listed && row.added_at.is_none() && row.removed_at.is_none() {
            return None;
        }
        let watched = row.enabled && row.removed_at.is_none();
        let plan = PollLimits::of(Some(&row), &self.settings);
        let next_poll = if watched { self.next_poll(&row, now) } else { None };
        Some(WatchedAccount {
            source: if is_listed { AccountSource::Config } else { AccountSource::Operator },
            watched,
            next_poll,
            posts_per_poll: plan.posts_per_poll,
            pages: plan.pages,
            max_age_ms: u64::try_from(plan.max_age.as_millis()).unwrap_or(u64::MAX),
            username: row.username,
            handle: row.handle,
            added_by: row.added_by,
            added_at: row.added_at,
            removed_by: row.removed_by,
            removed_at: row.removed_at,
            note: row.note,
            schedule: row.schedule,
            timezone: row.timezone,
            last_poll: row.last_poll,
            last_outcome: row.last_outcome,
            last_error: row.last_error,
            failures: row.failures,
            passes_over: row.passes_over,
            since_id: row.since_id,
            user_id: row.user_id,
            scheduled_to: row.scheduled_to,
        })
    }

    fn listed(&self, handle: &str) -> Option<&str> {
        let watch = &self.settings.watch;
        watch.iter().map(String::as_str).find(|listed| listed.eq_ignore_ascii_case(handle))
    }

    fn next_poll(&self, row: &AccountRecord, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let after = |time| self.tick_after(row, time);
        (0..row.passes_over).try_fold(after(now)?, |tick, _| after(tick))
    }

    fn tick_after(&self, row: &AccountRecord, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &row.schedule {
            Some(schedule) => own_schedule(schedule, row.timezone.as_deref()).and_then(|own| own.next_after(time)),
            None => self.common.iter().filter_map(|common| common.next_after(time)).min(),
        }
    }

    /// The most pages of a poll at `now`. A late poll replaces every tick since the account was last read, and may read as many pages as
    /// all of them together.
    pub(super) fn pages(&self, row: &AccountRecord, now: DateTime<Utc>) -> u8 {
        let pages = PollLimits::of(Some(row), &self.settings).pages;
        let Some(read_to) = row.read_to else { return pages };
        let ticks = std::iter::successors(self.tick_after(row, read_to), |tick| self.tick_after(row, *tick));
        let passed = ticks.take_while(|tick| *tick <= now).take(usize::from(MOST_PAGES)).count();
        pages.saturating_mul(u8::try_from(passed).unwrap_or(MOST_PAGES).max(1)).min(MOST_PAGES)
    }
}

impl WatchedAccount {
    /// The latest tick of its own schedule that it was not polled for yet. Missed ticks count as one.
    pub(super) fn due(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let schedule = own_schedule(self.schedule.as_deref()?, self.timezone.as_deref())?;
        let tick = schedule.previous_at_or_before(now)?;
        self.scheduled_to.is_none_or(|done| tick > done).then_some(tick)
    }
}

/// How much of an account one poll reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PollLimits {
    pub posts_per_poll: u8,
    pub pages: u8,
    pub max_age: Duration,
}

impl PollLimits {
    pub(super) fn of(account: Option<&AccountRecord>, picks: &PicksSettings) -> Self {
        Self {
            posts_per_poll: account.and_then(|account| account.posts_per_poll).unwrap_or(picks.posts_per_poll),
            pages: account.and_then(|account| account.pages).unwrap_or(picks.pages),
            max_age: account.and_then(|account| account.max_age_ms).map_or(picks.max_age, Duration::from_millis),
        }
    }
}

/// Validates a handle and strips its `@`.
pub fn handle(given: &str) -> Result<&str, InvalidAccount> {
    let handle = given.strip_prefix('@').unwrap_or(given);
    let fits = (1..=15).contains(&handle.len()) && handle.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if fits {
        return Ok(handle);
    }
    let shown: String = given.chars().take(40).collect();
    Err(InvalidAccount { field: "handle", reason: format!("{shown:?} is no handle: 1 to 15 letters, digits and _") })
}

/// The most pages of a poll, the same bound as for `picks.pages`.
const MOST_PAGES: u8 = 64;
/// Longest note in characters.
const LONGEST_NOTE: usize = 500;
/// The highest `max_age_ms`: a year, the same bound as for `picks.max_age`.
const OLDEST_MS: u64 = 365 * 86_400_000;

/// Validates a change. The bounds are those of the settings of `[picks]`.
pub fn check(change: &AccountChange) -> Result<(), InvalidAccount> {
    let refuse = |field, reason: String| Err(InvalidAccount { field, reason });
    if let Some(Some(note)) = &change.note
        && note.chars().count() > LONGEST_NOTE
    {
        return refuse("note", format!("it is longer than {LONGEST_NOTE} characters"));
    }
    let zone = change.timezone.as_ref().and_then(Option::as_deref);
    match (change.schedule.as_ref().and_then(Option::as_deref), zone) {
        (None, Some(_)) => return refuse("timezone", "it goes with a schedule; give both".into()),
        (_, Some(zone)) if zone.parse::<chrono_tz::Tz>().is_err() => {
            let shown: String = zone.chars().take(60).collect();
            return refuse("timezone", format!("{shown:?} is no IANA name such as Europe/Berlin"));
        }
        (Some(schedule), zone) => {
            let zone = zone.and_then(|zone| zone.parse().ok()).unwrap_or(chrono_tz::UTC);
            if let Err(error) = CronSchedule::parse(schedule, zone) {
                return refuse("schedule", error.to_string());
            }
        }
        (None, None) => {}
    }
    let outside =
        |value: Option<u64>, allowed: std::ops::RangeInclusive<u64>| value.filter(|value| !allowed.contains(value));
    if let Some(posts) = outside(change.posts_per_poll.flatten().map(u64::from), 5..=100) {
        return refuse("posts_per_poll", format!("it is {posts}; allowed: 5 to 100"));
    }
    if let Some(pages) = outside(change.pages.flatten().map(u64::from), 1..=MOST_PAGES.into()) {
        return refuse("pages", format!("it is {pages}; allowed: 1 to {MOST_PAGES}"));
    }
    if let Some(age) = outside(change.max_age_ms.flatten(), 60_000..=OLDEST_MS) {
        return refuse("max_age_ms", format!("it is {age}; allowed: 60000 to {OLDEST_MS}, a minute to a year"));
    }
    Ok(())
}

fn own_schedule(schedule: &str, timezone: Option<&str>) -> Option<CronSchedule> {
    let zone = timezone.and_then(|zone| zone.parse().ok()).unwrap_or(chrono_tz::UTC);
    CronSchedule::parse(schedule, zone).ok()
}

fn common_schedules(settings: &FileSettings) -> Vec<CronSchedule> {
    let entries = settings.cron.values().filter(|entry| entry.enabled && entry.kind.as_str() == PollAccounts::KIND);
    entries.filter_map(|entry| CronSchedule::parse(&entry.schedule, entry.timezone).ok()).collect()
}

#[cfg(test)]
mod tests {
    use perch_bot::Bots;

    use super::*;
    use crate::PicksBot;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("tests write valid times")
    }

    fn schema() -> perch_base::ConfigSchema {
        Bots::default().with(PicksBot).config_schema()
    }

    fn with_schedule(schedule: &str, timezone: &str, scheduled_to: Option<DateTime<Utc>>) -> WatchedAccount {
        let row = AccountRecord {
            schedule: Some(schedule.into()),
            timezone: Some(timezone.into()),
            added_at: Some(at("2026-01-01T00:00:00Z")),
            scheduled_to,
            ..AccountRecord::named("Sharp_Sally")
        };
        let config = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
        let settings =
            Settings::load_from(&config, schema(), [("APP_ENV".to_owned(), "staging".to_owned())]).expect("shipped");
        WatchList::new(&settings)
            .expect("the bot is there")
            .seen(row, at("2026-01-01T00:00:00Z"))
            .expect("it was added")
    }

    #[test]
    fn an_account_is_due_once_for_all_ticks_that_were_missed() {
        let (since, now) = (at("2026-01-01T00:30:00Z"), at("2026-01-01T05:10:00Z"));
        let hourly = with_schedule("0 * * * *", "UTC", Some(since));
        assert_eq!(hourly.due(now), Some(at("2026-01-01T05:00:00Z")));
        let done = WatchedAccount { scheduled_to: hourly.due(now), ..hourly.clone() };
        assert_eq!(done.due(now), None);
        assert_eq!(done.due(at("2026-01-01T06:00:00Z")), Some(at("2026-01-01T06:00:00Z")));
    }

    #[test]
    fn a_schedule_of_its_own_follows_its_own_time_zone() {
        let morning = with_schedule("0 9 * * *", "Europe/Berlin", Some(at("2026-01-01T00:00:00Z")));
        assert_eq!(morning.due(at("2026-01-01T07:59:00Z")), None);
        assert_eq!(morning.due(at("2026-01-01T08:00:00Z")), Some(at("2026-01-01T08:00:00Z")));
        assert_eq!(morning.next_poll, Some(at("2026-01-01T08:00:00Z")));
    }

    #[test]
    fn a_poll_that_comes_late_may_read_as_many_pages_as_the_ticks_that_it_stands_for() {
        let config = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
        let settings =
            Settings::load_from(&config, schema(), [("APP_ENV".to_owned(), "staging".to_owned())]).expect("shipped");
        let hourly = AccountRecord { schedule: Some("0 * * * *".into()), ..AccountRecord::named("Sharp_Sally") };
        let pages = |pages, read_to: Option<&str>| {
            let row = AccountRecord { pages: Some(pages), read_to: read_to.map(at), ..hourly.clone() };
            WatchList::new(&settings).expect("the bot is there").pages(&row, at("2026-01-02T05:00:10Z"))
        };
        assert_eq!(pages(2, None), 2);
        assert_eq!(pages(2, Some("2026-01-02T04:30:00Z")), 2);
        assert_eq!(pages(2, Some("2026-01-02T05:00:05Z")), 2);
        assert_eq!(pages(2, Some("2026-01-02T01:30:00Z")), 8);
        assert_eq!(pages(2, Some("2025-01-01T00:00:00Z")), 64);
    }

    #[test]
    fn what_cannot_work_is_refused_by_its_field() {
        let field = |change: AccountChange| check(&change).expect_err("it cannot work").field;
        let text = |text: &str| Some(Some(text.to_owned()));
        assert_eq!(field(AccountChange { schedule: text("61 * * * *"), ..AccountChange::default() }), "schedule");
        let nowhere =
            AccountChange { timezone: text("Nowhere"), schedule: text("0 9 * * *"), ..AccountChange::default() };
        assert_eq!(field(nowhere), "timezone");
        assert_eq!(field(AccountChange { timezone: text("UTC"), ..AccountChange::default() }), "timezone");
        assert_eq!(field(AccountChange { pages: Some(Some(65)), ..AccountChange::default() }), "pages");
        assert_eq!(
            field(AccountChange { posts_per_poll: Some(Some(4)), ..AccountChange::default() }),
            "posts_per_poll"
        );
        assert_eq!(field(AccountChange { max_age_ms: Some(Some(1)), ..AccountChange::default() }), "max_age_ms");
        assert!(check(&AccountChange { schedule: Some(None), ..AccountChange::default() }).is_ok());
        assert!(handle("@sharp_sally").is_ok_and(|handle| handle == "sharp_sally") && handle("not a handle").is_err());
    }
}
