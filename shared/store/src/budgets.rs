use std::{sync::LazyLock, time::Duration};

use chrono::{DateTime, Datelike as _, Days, Months, NaiveDate, Utc};
use perch_base::Environment;
use perch_queue::Redis;
use redis::Script;
use serde::Serialize;

use crate::{Store, StoreError};

/// The budgets and the rate limit of one provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Millionths of a US dollar a day (UTC); 0 sets no budget.
    pub day: i64,
    /// Millionths of a US dollar a month (UTC); 0 sets no budget.
    pub month: i64,
    /// So many calls in a time, over all processes.
    pub rate: Option<(u32, Duration)>,
}

/// The limit that stops a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SpendLimit {
    /// The budget of the day is used up.
    Day,
    /// The budget of the month is used up.
    Month,
    /// The rate of calls is used up.
    Rate,
}

/// The result of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reservation {
    /// The money is reserved.
    Made {
        /// The time whose day and month it counts for.
        at: DateTime<Utc>,
    },
    /// A limit is used up; nothing is reserved.
    Refused {
        /// Which limit.
        spent: SpendLimit,
        /// How long until it can be tried again.
        after: Duration,
    },
}

/// What was spent in a day and its month, as the budgets count it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Balance {
    /// Millionths of a US dollar on the day.
    pub day: i64,
    /// In the month.
    pub month: i64,
}

/// The last call that a budget refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetRefusal {
    /// Which budget was used up.
    pub spent: SpendLimit,
    /// When it was refused.
    pub at: DateTime<Utc>,
    /// What it would have cost at most, in millionths of a US dollar.
    pub micros: i64,
}

/// The budgets of paid services, counted in Redis for all processes.
///
/// Money is reserved before a call and corrected after it, so that concurrent calls do not overspend together. The reservations of a
/// process that died stay counted in its day and its month: a budget is rather undershot than overshot. When Redis has lost the
/// sums, they are read from Postgres, without what the sync had not moved yet. While Redis is away Postgres alone decides, and nothing is
/// reserved: concurrent calls may overspend together then.
#[derive(Debug, Clone)]
pub struct Budgets {
    redis: Redis,
    store: Store,
    prefix: &'static str,
}

static RESERVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/reserve.lua")));
static RAISE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/raise.lua")));
static CORRECT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/correct.lua")));
const DAY_KEPT: Duration = Duration::from_secs(2 * 86_400);
const MONTH_KEPT: Duration = Duration::from_secs(40 * 86_400);
/// Added to waits that end with a day or a month; also the wait when Redis has lost the sums twice in a row.
const AFTER_MIDNIGHT: Duration = Duration::from_secs(1);

impl Budgets {
    /// The budgets of `env`.
    pub fn new(redis: Redis, store: Store, env: Environment) -> Self {
        Self { redis, store, prefix: env.prefix() }
    }

    /// Reserves what a call costs at most, unless a budget or the rate is used up. Fails when neither Redis nor Postgres can say what
    /// was spent.
    pub async fn reserve(
        &self,
        provider: &str,
        micros: i64,
        allowed: Allowance,
        now: DateTime<Utc>,
    ) -> Result<Reservation, StoreError> {
        match self.reserve_in_redis(provider, micros, allowed, now).await {
            Err(StoreError::Redis(error)) if error.is_unavailable() => {
                self.ask_postgres(provider, micros, allowed, now).await
            }
            answer => answer,
        }
    }

    /// Whether the budgets leave so much by what Postgres has on record. The rate is not known there.
    async fn ask_postgres(
        &self,
        provider: &str,
        micros: i64,
        allowed: Allowance,
        now: DateTime<Utc>,
    ) -> Result<Reservation, StoreError> {
        let budgets = [
            (SpendLimit::Day, allowed.day, day(now), next_day(now)),
            (SpendLimit::Month, allowed.month, month(now), next_month(now)),
        ];
        for (spent, budget, from, over) in budgets {
            if budget > 0 && self.store.spend().since(provider, from).await? + micros > budget {
                return Ok(Reservation::Refused { spent, after: until(now, over) });
            }
        }
        Ok(Reservation::Made { at: now })
    }

    async fn reserve_in_redis(
        &self,
        provider: &str,
        micros: i64,
        allowed: Allowance,
        now: DateTime<Utc>,
    ) -> Result<Reservation, StoreError> {
        let keys = self.keys(provider, now);
        for _ in 0..2 {
            let mut call = RESERVE.prepare_invoke();
            call.key(&keys).arg(micros).arg(allowed.day).arg(allowed.month);
            call.arg(millis(DAY_KEPT)).arg(millis(MONTH_KEPT));
            let (step, burst) =
                allowed.rate.map_or((0, 1), |(count, per)| (millis(per) / u64::from(count.max(1)), count));
            call.arg(step).arg(burst);
            let answer: String = self
                .redis
                .call("set money aside", |mut conn| async move { call.invoke_async(&mut conn).await })
                .await?;
            let held = |spent, after| Ok(Reservation::Refused { spent, after });
            match answer.as_str() {
                "ok" => return Ok(Reservation::Made { at: now }),
                "day" => return held(SpendLimit::Day, until(now, next_day(now))),
                "month" => return held(SpendLimit::Month, until(now, next_month(now))),
                "unknown" => self.raise(provider, now).await?,
                wait => return held(SpendLimit::Rate, Duration::from_millis(wait.parse().unwrap_or(1_000))),
            }
        }
        // Redis lost the sums again right after they were restored: it is being wiped, or is out of memory.
        Ok(Reservation::Refused { spent: SpendLimit::Day, after: AFTER_MIDNIGHT })
    }

    /// Changes what was reserved at `at` by `micros`.
    pub async fn correct(&self, provider: &str, micros: i64, at: DateTime<Utc>) -> Result<(), StoreError> {
        if micros == 0 {
            return Ok(());
        }
        let [day, month, ..] = self.keys(provider, at);
        let mut call = CORRECT.prepare_invoke();
        call.key(day).key(month).arg(micros);
        self.redis
            .call::<(), _, _>("correct what was spent", |mut conn| async move { call.invoke_async(&mut conn).await })
            .await?;
        Ok(())
    }

    /// What counts as spent at `now`: what was paid, and what is reserved for calls under way.
    pub async fn balance(&self, provider: &str, now: DateTime<Utc>) -> Result<Balance, StoreError> {
        let [day, month, ..] = self.keys(provider, now);
        let mut get = redis::cmd("MGET");
        get.arg(day).arg(month);
        let (day, month): (Option<i64>, Option<i64>) = self.redis.cmd("read what was spent", &get).await?;
        Ok(Balance { day: day.unwrap_or(0), month: month.unwrap_or(0) })
    }

    /// The last call that a budget refused; it is kept for 40 days.
    pub async fn last_refusal(&self, provider: &str, now: DateTime<Utc>) -> Result<Option<BudgetRefusal>, StoreError> {
        let [.., held] = self.keys(provider, now);
        let text: Option<String> = self.redis.cmd("read what was held back", redis::cmd("GET").arg(held)).await?;
        Ok(text.as_deref().and_then(parse_refusal))
    }

    /// Raises the sums of the day and the month in Redis to what Postgres has on record: after Redis has lost them, or was away while money
    /// was spent.
    pub async fn raise(&self, provider: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
        let [day_key, month_key, ..] = self.keys(provider, now);
        let mut call = RAISE.prepare_invoke();
        call.key(day_key).key(month_key);
        for from in [day(now), month(now)] {
            call.arg(self.store.spend().since(provider, from).await?);
        }
        call.arg(millis(DAY_KEPT)).arg(millis(MONTH_KEPT));
        self.redis
            .call::<(), _, _>("remember what was spent", |mut conn| async move { call.invoke_async(&mut conn).await })
            .await?;
        Ok(())
    }

    fn keys(&self, provider: &str, at: DateTime<Utc>) -> [String; 4] {
        let base = format!("{}{{spend:{provider}}}", self.prefix);
        let (day, month) = (at.format("%Y-%m-%d"), at.format("%Y-%m"));
        [format!("{base}:{day}"), format!("{base}:{month}"), format!("{base}:next"), format!("{base}:held")]
    }
}

fn parse_refusal(text: &str) -> Option<BudgetRefusal> {
    let mut words = text.split(' ');
    let spent = match words.next()? {
        "day" => SpendLimit::Day,
        "month" => SpendLimit::Month,
        _ => return None,
    };
    let at = DateTime::from_timestamp_millis(words.next()?.parse().ok()?)?;
    Some(BudgetRefusal { spent, at, micros: words.next()?.parse().ok()? })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn at_midnight(date: NaiveDate) -> DateTime<Utc> {
    date.and_time(chrono::NaiveTime::MIN).and_utc()
}

/// The beginning of the day of `at`, in UTC.
pub fn day(at: DateTime<Utc>) -> DateTime<Utc> {
    at_midnight(at.date_naive())
}

/// The beginning of the month of `at`, in UTC.
pub fn month(at: DateTime<Utc>) -> DateTime<Utc> {
    let date = at.date_naive();
    at_midnight(date.with_day(1).unwrap_or(date))
}

/// The beginning of the day after `at`, in UTC.
pub fn next_day(at: DateTime<Utc>) -> DateTime<Utc> {
    day(at).checked_add_days(Days::new(1)).unwrap_or(at)
}

/// The beginning of the month after `at`, in UTC.
pub fn next_month(at: DateTime<Utc>) -> DateTime<Utc> {
    month(at).checked_add_months(Months::new(1)).unwrap_or(at)
}

fn until(now: DateTime<Utc>, then: DateTime<Utc>) -> Duration {
    (then - now).to_std().unwrap_or_default() + AFTER_MIDNIGHT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    #[test]
    fn a_used_up_budget_holds_until_its_day_or_month_is_over() {
        let now = at("2026-12-31T22:00:00Z");
        assert_eq!(until(now, next_day(now)), Duration::from_secs(7_201));
        assert_eq!(next_month(now), at("2027-01-01T00:00:00Z"));
        assert_eq!(next_month(at("2026-01-31T10:00:00Z")), at("2026-02-01T00:00:00Z"));
        assert_eq!(month(at("2026-02-28T10:00:00Z")), at("2026-02-01T00:00:00Z"));
    }
}
