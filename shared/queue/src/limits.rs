//! Usage of the limits of a queue, for operators.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::settings::Rate;
use perch_job::{Priority, QueueName};
use serde::Serialize;

use crate::{Queue, QueueError, raw_text::RawText};

/// The usage of a rate at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RateUse {
    /// Starts allowed in the time.
    pub count: u32,
    /// The time, in milliseconds.
    pub per_ms: u64,
    /// Starts that are allowed right now: what is left of the burst of `count`.
    pub left: u32,
    /// When the next start is allowed; `None` while `left` is not 0.
    pub next: Option<DateTime<Utc>>,
}

/// The usage of the limits of a group at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupUse {
    /// The group.
    pub group: String,
    /// Its running jobs, if groups have a limit.
    pub running: u64,
    /// Its parked jobs.
    pub parked: u64,
    /// Its rate, if groups have one.
    pub rate: Option<RateUse>,
}

/// The usage of the limits of a queue at one moment, over all processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LimitsUse {
    /// The queue.
    pub queue: QueueName,
    /// Running jobs.
    pub running: u64,
    /// Ready jobs, which wait for a worker or for the limits of the queue.
    pub ready: u64,
    /// The limit of running jobs; 0 means none.
    pub global_concurrency: usize,
    /// The limit of running jobs of one group; 0 means none.
    pub group_concurrency: usize,
    /// The rate of the queue, if it has one.
    pub rate: Option<RateUse>,
    /// Groups with running or parked jobs, at most about 200, and the requested ones.
    pub groups: Vec<GroupUse>,
}

const PRIORITIES: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];

/// Most groups read from each key that names them.
const GROUPS: usize = 100;

impl Queue {
    /// The usage of the limits of the queue, including these groups. Takes four round trips.
    ///
    /// # Errors
    ///
    /// Redis is unavailable, or its reply cannot be read.
    ///
    /// # Cancel safety
    ///
    /// It only reads, so it may be dropped at any time.
    pub async fn limits(&self, groups: &[String]) -> Result<LimitsUse, QueueError> {
        let keys = self.keys();
        let mut names = redis::pipe();
        names.cmd("ZCARD").arg(keys.leases());
        for priority in PRIORITIES {
            names.cmd("LLEN").arg(keys.ready(priority));
        }
        names.cmd("HRANDFIELD").arg(keys.running()).arg(GROUPS);
        names.cmd("ZRANGE").arg(keys.parked_groups()).arg(0).arg(GROUPS - 1);
        type Names = (u64, u64, u64, u64, Vec<RawText>, Vec<RawText>);
        let (running, high, normal, low, of_running, of_parked): Names = self
            .redis()
            .call("list groups", |mut conn: crate::Connection| async move { names.query_async(&mut conn).await })
            .await?;
        let seen = of_running.into_iter().chain(of_parked).map(|name| name.0);
        let groups: BTreeSet<String> = groups.iter().cloned().chain(seen.filter(|name| !name.is_empty())).collect();
        // The limiter of the queue has an empty name and comes before those of groups.
        let limiters: Vec<&str> = std::iter::once("").chain(groups.iter().map(String::as_str)).collect();
        let mut read = redis::pipe();
        read.cmd("HMGET").arg(keys.running()).arg(&limiters);
        read.cmd("MGET").arg(limiters.iter().map(|limiter| format!("{}{limiter}", keys.rate())).collect::<Vec<_>>());
        let mut lengths = redis::pipe();
        for limiter in &limiters {
            for priority in PRIORITIES {
                lengths.cmd("LLEN").arg(keys.parked_in(priority, limiter));
            }
        }
        type Texts = Vec<Option<RawText>>;
        let (running_of, next): (Texts, Texts) = self
            .redis()
            .call("read limits", |mut conn: crate::Connection| async move { read.query_async(&mut conn).await })
            .await?;
        let parked: Vec<u64> = self
            .redis()
            .call("read limits", |mut conn: crate::Connection| async move { lengths.query_async(&mut conn).await })
            .await?;
        let now = self.now();
        let rate = |rate: Option<Rate>, at: usize| {
            let arrival = next[at].as_ref().and_then(|text| text.0.parse().ok());
            rate.map(|rate| rate_use(rate, arrival, now))
        };
        let settings = self.settings();
        let of_groups = groups.iter().enumerate().map(|(n, group)| GroupUse {
            group: group.clone(),
            running: running_of[n + 1].as_ref().map_or(0, |n| u64::from(n.count())),
            parked: parked[3 * (n + 1)..3 * (n + 2)].iter().sum(),
            rate: rate(settings.group_rate, n + 1),
        });
        Ok(LimitsUse {
            queue: self.name().clone(),
            running,
            ready: high + normal + low,
            global_concurrency: settings.global_concurrency,
            group_concurrency: settings.group_concurrency,
            rate: rate(settings.rate, 0),
            groups: of_groups.collect(),
        })
    }
}

/// The usage of a rate whose limiter has this theoretical arrival time in milliseconds (GCRA, as in `fetch_quick.lua`).
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "times are milliseconds since 1970, and starts are at most a million"
)]
fn rate_use(rate: Rate, arrival: Option<f64>, now: DateTime<Utc>) -> RateUse {
    let per = rate.per.max(Duration::from_millis(1));
    let (count, now_ms) = (rate.count.max(1), now.timestamp_millis() as f64);
    let step = per.as_secs_f64() * 1_000.0 / f64::from(count);
    // A time further ahead than the rate allows comes from another clock or rate and is ignored.
    let ahead = Some(arrival.unwrap_or(0.0) - now_ms).filter(|ahead| *ahead <= f64::from(count) * step + 1.0);
    let ahead = ahead.unwrap_or(0.0).max(0.0);
    let left = (f64::from(count) - ahead / step + 1e-9).floor().clamp(0.0, f64::from(count)) as u32;
    let wait = ahead - f64::from(count - 1) * step;
    let next = (left == 0).then(|| now + TimeDelta::milliseconds(wait.max(0.0).ceil() as i64));
    RateUse { count, per_ms: per.as_millis() as u64, left, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "times are milliseconds since 1970")]
    fn what_is_left_of_a_rate_grows_back_step_by_step() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let rate = Rate { count: 3, per: Duration::from_secs(30) };
        let left = |ahead: i64| {
            let arrival = (now.timestamp_millis() + ahead) as f64;
            let used = rate_use(rate, Some(arrival), now);
            (used.left, used.next.map(|at| (at - now).num_milliseconds()))
        };
        assert_eq!(rate_use(rate, None, now).left, 3);
        assert_eq!([left(-5_000), left(10_000), left(20_000)], [(3, None), (2, None), (1, None)]);
        assert_eq!([left(30_000), left(25_000), left(20_001)], [(0, Some(10_000)), (0, Some(5_000)), (0, Some(1))]);
    }
}
