use std::{sync::LazyLock, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::{Clock, Environment};
use perch_jobs::AccountId;
use perch_queue::Redis;
use redis::{Script, ScriptInvocation};
use serde::Serialize;

use crate::StoreError;

/// The kind of act that a place is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceKind {
    /// A post of its own.
    Post,
    /// A reply to another post.
    Reply,
    /// A retweet.
    Retweet,
}

impl PlaceKind {
    const ALL: [Self; 3] = [Self::Post, Self::Reply, Self::Retweet];

    /// Its number in the scripts.
    const fn place(self) -> u8 {
        match self {
            Self::Post => 1,
            Self::Reply => 2,
            Self::Retweet => 3,
        }
    }

    /// From the kind of an effect in the ledger.
    pub(crate) fn of_effect(kind: &str) -> Self {
        match kind {
            "reply" => Self::Reply,
            "retweet" => Self::Retweet,
            _ => Self::Post,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "posts",
            Self::Reply => "replies",
            Self::Retweet => "retweets",
        }
    }
}

/// A request for a place.
#[derive(Debug, Clone, Copy)]
pub struct PlaceRequest<'a> {
    /// The account that acts.
    pub account: &'a AccountId,
    /// What the act counts as.
    pub kind: PlaceKind,
    /// The key of its effect. A key has one place, however often it is requested.
    pub key: &'a str,
    /// Who requests it. Only the last holder may give the place back.
    pub holder: &'a str,
    /// The act must begin within this time of the answer.
    pub within: Duration,
    /// The time from which the fields about the day are valid.
    pub from: DateTime<Utc>,
    /// The time until which they are valid. No place is given for an act that could begin later.
    pub until: DateTime<Utc>,
    /// When the day began.
    pub day: DateTime<Utc>,
    /// The least time between two acts of the account; zero sets none.
    pub min_interval: Duration,
    /// Most acts of the account a day; 0 sets no limit.
    pub per_day: u32,
    /// Most acts of this kind a day; 0 sets no limit.
    pub of_kind: u32,
    /// Most acts of the account in any three hours; 0 sets no limit.
    pub per_three_hours: u32,
    /// Whether [`Places::count`] has already written the acts in the ledger to a Redis that knows nothing of the account.
    pub counted: bool,
}

/// An act that the ledger knows of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAct {
    /// The key of its effect.
    pub key: String,
    /// What it counts as.
    pub kind: PlaceKind,
    /// When it was permitted.
    pub at: DateTime<Utc>,
}

/// The answer to a request for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceAnswer {
    /// It is taken.
    Taken,
    /// The day has no place left.
    Full,
    /// The day has no place of that kind left.
    FullOfKind,
    /// The last three hours have as many as there may be. Ask again at this time.
    FullWindow(DateTime<Utc>),
    /// Redis knows nothing of the account: it published nothing for days, or Redis was emptied. Call [`Places::count`] with the acts
    /// in the ledger, then ask again.
    Uncounted,
    /// It is too soon after another act. Ask again at this time.
    Early(DateTime<Utc>),
    /// The time by the clock of Redis, which is outside `from` to `until` of the request.
    ClockMismatch(DateTime<Utc>),
}

/// What an account did on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlacesUsed {
    /// Posts of its own.
    pub posts: u64,
    /// Replies.
    pub replies: u64,
    /// Retweets.
    pub retweets: u64,
    /// When the last act began, on whatever day; for one under way, when it begins at the latest.
    pub last: Option<DateTime<Utc>>,
    /// All acts of the last three hours.
    pub recent: u64,
    /// The first of them.
    pub recent_since: Option<DateTime<Utc>>,
}

impl PlacesUsed {
    /// All of them together.
    pub fn total(&self) -> u64 {
        self.posts + self.replies + self.retweets
    }
}

impl PlaceRequest<'_> {
    /// The first moment of which the acts matter for the answer.
    pub fn since(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let interval = TimeDelta::from_std(self.min_interval).unwrap_or_default();
        self.day.min(now - THREE_HOURS).min(now - interval) - TimeDelta::from_std(self.within).unwrap_or_default()
    }

    /// The answer by the acts that the ledger knows of, latest first, for an act while Redis is away. It holds for one act at a time. Each
    /// counts as begun `within` after its permit.
    pub fn answer(&self, acts: &[KnownAct], now: DateTime<Utc>) -> PlaceAnswer {
        if now < self.from || now + self.within > self.until {
            return PlaceAnswer::ClockMismatch(now);
        }
        // The act's own earlier permit does not count against it.
        let others = || acts.iter().filter(|act| act.key != self.key).map(|act| (act.kind, act.at + self.within));
        let today = || others().filter(|(_, at)| *at >= self.day);
        let is_full = |most: u32, acts: usize| most > 0 && acts >= most as usize;
        if is_full(self.of_kind, today().filter(|(kind, _)| *kind == self.kind).count()) {
            return PlaceAnswer::FullOfKind;
        }
        if is_full(self.per_day, today().count()) {
            return PlaceAnswer::Full;
        }
        let recent: Vec<DateTime<Utc>> = others().map(|(_, at)| at).filter(|at| *at >= now - THREE_HOURS).collect();
        if is_full(self.per_three_hours, recent.len()) {
            let oldest = recent.iter().min().copied().unwrap_or(now);
            return PlaceAnswer::FullWindow(oldest + THREE_HOURS + TimeDelta::milliseconds(1));
        }
        match others().map(|(_, at)| at).max().map(|last| last + self.min_interval) {
            Some(free) if !self.min_interval.is_zero() && free > now => PlaceAnswer::Early(free),
            _ => PlaceAnswer::Taken,
        }
    }
}

/// The window of [`PlaceRequest::per_three_hours`].
pub const THREE_HOURS: TimeDelta = TimeDelta::hours(3);
/// How long a place is kept after its act: longer than any day.
const KEPT: Duration = Duration::from_secs(2 * 86_400);
/// How far ahead jobs get individual turns, one after the other. Later jobs ask again by then, so that the turns of cancelled jobs do
/// not delay others for long.
const PLANNED: Duration = Duration::from_secs(900);

/// Acts of one script call.
const COUNTED: usize = 500;

static COUNT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/count_places.lua")));
static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/take_place.lua")));
static KEEP: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/keep_place.lua")));
static LEAVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/leave_place.lua")));

/// The acts of each account and their times, in Redis, shared by all processes. The posting limits of accounts are enforced with them.
#[derive(Debug, Clone)]
pub struct Places {
    redis: Redis,
    prefix: &'static str,
    clock: Clock,
}

impl Places {
    /// The places of `env`, by the clock of Redis.
    pub fn new(redis: Redis, env: Environment) -> Self {
        Self { redis, prefix: env.prefix(), clock: Clock::system() }
    }

    /// Uses a clock that the caller sets.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The clock in use; the system clock stands for that of Redis.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Takes a place, if the limits leave one. One round trip.
    pub async fn take(&self, ask: &PlaceRequest<'_>) -> Result<PlaceAnswer, StoreError> {
        let mut call = self.invocation(&TAKE, ask.account);
        call.key(format!("{}turn", self.base(ask.account)))
            .arg(ask.kind.place())
            .arg(ask.key)
            .arg(ask.holder)
            .arg(self.time())
            .arg(ask.from.timestamp_millis())
            .arg(ask.until.timestamp_millis())
            .arg(millis(ask.within))
            .arg(ask.day.timestamp_millis())
            .arg(millis(ask.min_interval))
            .arg(ask.per_day)
            .arg(ask.of_kind)
            .arg(millis(KEPT))
            .arg(millis(PLANNED))
            .arg(rand::random_range(0..1_000))
            .arg(u8::from(ask.counted))
            .arg(ask.per_three_hours)
            .arg(THREE_HOURS.num_milliseconds());
        let (word, at): (String, i64) = self
            .redis
            .call("take a place to publish", |mut conn| async move { call.invoke_async(&mut conn).await })
            .await?;
        let at = DateTime::from_timestamp_millis(at).unwrap_or_default();
        match word.as_str() {
            "taken" => Ok(PlaceAnswer::Taken),
            "full" => Ok(PlaceAnswer::Full),
            "full kind" => Ok(PlaceAnswer::FullOfKind),
            "full window" => Ok(PlaceAnswer::FullWindow(at)),
            "uncounted" => Ok(PlaceAnswer::Uncounted),
            "early" => Ok(PlaceAnswer::Early(at)),
            "elsewhen" => Ok(PlaceAnswer::ClockMismatch(at)),
            _ => Err(StoreError::Invalid { what: "a place to publish", reason: format!("redis answered {word:?}") }),
        }
    }

    /// Writes the acts of an account from the ledger; each counts as begun `within` after its permit.
    pub async fn count(&self, account: &AccountId, acts: &[KnownAct], within: Duration) -> Result<(), StoreError> {
        for chunk in acts.chunks(COUNTED) {
            let mut call = self.invocation(&COUNT, account);
            call.arg(millis(KEPT));
            for act in chunk {
                call.arg(act.kind.place()).arg(&act.key).arg((act.at + within).timestamp_millis());
            }
            let call = |mut conn| async move { call.invoke_async(&mut conn).await };
            self.redis.call::<(), _, _>("count what was published", call).await?;
        }
        Ok(())
    }

    /// Records that the act has begun by now. False when the place belongs to another holder.
    pub async fn keep(&self, account: &AccountId, key: &str, holder: &str) -> Result<bool, StoreError> {
        let mut call = self.invocation(&KEEP, account);
        call.arg(key).arg(holder).arg(self.time());
        let call = |mut conn| async move { call.invoke_async(&mut conn).await };
        Ok(self.redis.call("keep a place to publish", call).await?)
    }

    /// Gives back the place of an act that did not happen. False when it belongs to another holder, or is gone.
    pub async fn leave(&self, account: &AccountId, key: &str, holder: &str) -> Result<bool, StoreError> {
        let mut call = self.invocation(&LEAVE, account);
        call.arg(key).arg(holder);
        let call = |mut conn| async move { call.invoke_async(&mut conn).await };
        Ok(self.redis.call("give back a place to publish", call).await?)
    }

    /// What an account did since its day began.
    pub async fn used(&self, account: &AccountId, day: DateTime<Utc>) -> Result<PlacesUsed, StoreError> {
        let recently = (self.clock.now() - THREE_HOURS).timestamp_millis();
        let mut pipe = redis::pipe();
        for key in self.sets(account) {
            pipe.cmd("ZCOUNT").arg(&key).arg(day.timestamp_millis()).arg("+inf");
            pipe.cmd("ZREVRANGE").arg(&key).arg(0).arg(0).arg("WITHSCORES");
            pipe.cmd("ZCOUNT").arg(&key).arg(recently).arg("+inf");
            pipe.cmd("ZRANGEBYSCORE").arg(&key).arg(recently).arg("+inf").arg("WITHSCORES").arg("LIMIT").arg(0).arg(1);
        }
        let (posts, replies, retweets): (UsedOfKind, UsedOfKind, UsedOfKind) = self
            .redis
            .call("count what was published", |mut conn| async move { pipe.query_async(&mut conn).await })
            .await
            .map(|(a, b, c, d, e, f, g, h, i, j, k, l)| ((a, b, c, d), (e, f, g, h), (i, j, k, l)))?;
        let kinds = [&posts, &replies, &retweets];
        let times = |of: fn(&UsedOfKind) -> &Scored| kinds.into_iter().flat_map(of).map(|(_, at)| *at);
        Ok(PlacesUsed {
            posts: posts.0,
            replies: replies.0,
            retweets: retweets.0,
            last: times(|(_, last, _, _)| last).reduce(f64::max).and_then(time_of),
            recent: posts.2 + replies.2 + retweets.2,
            recent_since: times(|(_, _, _, first)| first).reduce(f64::min).and_then(time_of),
        })
    }

    /// 0 for the clock of Redis.
    fn time(&self) -> i64 {
        if self.clock.is_system() { 0 } else { self.clock.now().timestamp_millis() }
    }

    fn invocation<'a>(&self, script: &'a Script, account: &AccountId) -> ScriptInvocation<'a> {
        let mut call = script.prepare_invoke();
        for key in self.sets(account) {
            call.key(key);
        }
        call.key(format!("{}holders", self.base(account)));
        call
    }

    fn sets(&self, account: &AccountId) -> [String; 3] {
        PlaceKind::ALL.map(|kind| format!("{}{}", self.base(account), kind.as_str()))
    }

    /// What the keys of an account start with; the braces keep them on one node of a cluster.
    fn base(&self, account: &AccountId) -> String {
        format!("{}{{posting:{account}}}:", self.prefix)
    }
}

/// Members of a sorted set with their scores.
type Scored = Vec<(String, f64)>;
/// The acts of a kind: how many today, the last, how many lately, the first of these.
type UsedOfKind = (u64, Scored, u64, Scored);

#[expect(clippy::cast_possible_truncation, reason = "scores are milliseconds since 1970")]
fn time_of(score: f64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(score as i64)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WITHIN: Duration = Duration::from_secs(6);

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::seconds(second)
    }

    fn request<'a>(
        account: &'a AccountId,
        key: &'a str,
        kind: PlaceKind,
        limits: (u64, u32, u32, u32),
    ) -> PlaceRequest<'a> {
        let (seconds, per_day, of_kind, per_three_hours) = limits;
        PlaceRequest {
            account,
            kind,
            key,
            holder: "test",
            within: WITHIN,
            from: at(0),
            until: at(86_400),
            day: at(0),
            min_interval: Duration::from_secs(seconds),
            per_day,
            of_kind,
            per_three_hours,
            counted: true,
        }
    }

    #[test]
    fn the_own_earlier_permit_of_an_act_does_not_count_against_it() {
        let account = AccountId::from_static("main");
        let acts = [KnownAct { key: "post:1".into(), kind: PlaceKind::Post, at: at(100) }];
        let ask = |key| request(&account, key, PlaceKind::Post, (600, 1, 1, 1)).answer(&acts, at(200));
        assert_eq!(ask("post:1"), PlaceAnswer::Taken);
        assert_eq!(ask("post:2"), PlaceAnswer::FullOfKind);
        let early = request(&account, "post:2", PlaceKind::Reply, (600, 0, 0, 0)).answer(&acts, at(200));
        assert_eq!(early, PlaceAnswer::Early(at(100) + WITHIN + Duration::from_secs(600)));
        let late = request(&account, "post:2", PlaceKind::Reply, (600, 0, 0, 0)).answer(&acts, at(86_399));
        assert_eq!(late, PlaceAnswer::ClockMismatch(at(86_399)));
    }

    proptest! {
        /// Whoever asks whenever, what begins keeps every limit.
        #[test]
        fn acts_by_the_ledger_keep_the_limits(
            steps in prop::collection::vec((1i64..4_000, 0usize..3), 1..60),
            interval in 0u64..2_000, per_day in 0u32..12, of_kind in 0u32..6, per_three_hours in 0u32..5,
        ) {
            let account = AccountId::from_static("main");
            let (mut now, mut acts) = (0, Vec::<KnownAct>::new());
            for (step, (seconds, kind)) in steps.into_iter().enumerate() {
                now += seconds;
                let (key, kind) = (format!("post:{step}"), PlaceKind::ALL[kind]);
                let ask = request(&account, &key, kind, (interval, per_day, of_kind, per_three_hours));
                let lately: Vec<KnownAct> = acts.iter().filter(|act| act.at >= ask.since(at(now))).cloned().collect();
                if ask.answer(&lately, at(now)) == PlaceAnswer::Taken {
                    acts.insert(0, KnownAct { key, kind, at: at(now) });
                }
            }
            let most = |limit: u32| if limit == 0 { usize::MAX } else { limit as usize };
            prop_assert!(acts.len() <= most(per_day));
            for kind in PlaceKind::ALL {
                prop_assert!(acts.iter().filter(|act| act.kind == kind).count() <= most(of_kind));
            }
            for act in &acts {
                let window = acts.iter().filter(|other| other.at <= act.at && act.at - other.at < THREE_HOURS).count();
                prop_assert!(window <= most(per_three_hours));
            }
            for pair in acts.windows(2) {
                prop_assert!(pair[0].at - pair[1].at >= TimeDelta::seconds(i64::try_from(interval).unwrap_or(0)));
            }
        }
    }
}
