//! The gate that every act passes: the brakes of everything, of its account and of its bot, and the quotas, interval and quiet hours of
//! the account.
//!
//! An act passes the gate before its effect is claimed, and the brakes are read again right before the call. An act that may not begin
//! yet is snoozed, which consumes no attempt. An effect that is confirmed already does not pass the gate again.

pub(crate) mod hours;
mod pass;

use std::{convert::Infallible, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::{Settings, settings::PostingSettings};
use perch_jobs::AccountId;
use perch_queue::{Fail, Redis, worker::JobContext};
use perch_store::{
    Brake, BrakeCheck, BrakeScope, BrakeState, Brakes, CLEAR_FOR, PlaceAnswer, PlaceKind, PlaceRequest, Places, Store,
    StoreError, THREE_HOURS, TimeLimit,
};

use self::hours::PostingWindow;

pub(crate) use self::pass::GatePass;

/// An act begins within this time after it passed the gate, or passes it again. A little longer than its permit holds.
pub(crate) const BEGIN_WITHIN: Duration = Duration::from_secs(6);
/// How long a job keeps running while the brake of everything is on. It keeps its slot in the worker, so that few of the waiting jobs are started; and
/// it goes on as soon as the brake is lifted.
const HELD_FOR: Duration = Duration::from_secs(20);
/// How often such a job reads the brake.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// When a job runs again that was stopped after it had passed the gate.
const SOON: Duration = Duration::from_secs(1);
/// When a job runs again that the brake of its account or its bot stops. It does not keep its slot in the worker, which others may use.
const AGAIN: Duration = Duration::from_secs(15);

/// Why an act may not begin now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deferral {
    wait: Duration,
    why: String,
}

impl Deferral {
    fn new(wait: Duration, why: String) -> Self {
        Self { wait, why }
    }

    /// Deferred because of a brake.
    pub(crate) fn braked(state: &BrakeState) -> Self {
        Self::new(if state.scope.is_everything() { SOON } else { AGAIN }, state.describe())
    }

    fn until(until: DateTime<Utc>, now: DateTime<Utc>, why: impl Into<String>) -> Self {
        let wait = (until - now).to_std().unwrap_or_default();
        let why = format!("{}; it goes on at {}", why.into(), until.format("%Y-%m-%d %H:%M:%SZ"));
        Self { wait: wait.max(Duration::from_millis(1)), why }
    }
}

impl From<Deferral> for Fail {
    fn from(held: Deferral) -> Self {
        Self::Snooze(held.wait, held.why)
    }
}

/// The decision of the gate.
#[derive(Debug)]
pub(crate) enum GateDecision {
    /// The act may begin.
    Open(GatePass),
    /// The brake of everything is on.
    Braked(BrakeState),
    /// The brake of its account or its bot, or a quota, the interval or quiet hours of the account defer it.
    Deferred(Deferral),
}

/// An act that is to pass the gate.
#[derive(Clone, Copy)]
pub(crate) struct GateRequest<'a> {
    pub account: &'a AccountId,
    /// The bot whose act it is, if it is that of one.
    pub bot: Option<&'static str>,
    /// The quota that it counts for, if it counts for one.
    pub kind: Option<PlaceKind>,
    /// The key of the effect.
    pub key: &'a str,
    pub cx: &'a JobContext,
}

/// The gate. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    /// That of everything.
    brake: Brake,
    redis: Redis,
    places: Places,
    store: Store,
    settings: Arc<Settings>,
    /// Whether it knows the brakes and the acts of accounts from Postgres alone.
    is_without_redis: bool,
}

impl Gate {
    pub(crate) fn new(redis: Redis, store: Store, settings: Arc<Settings>) -> Self {
        let places = Places::new(redis.clone(), settings.env);
        Self {
            brake: Brake::new(redis.clone(), store.clone()),
            redis,
            places,
            store,
            settings,
            is_without_redis: false,
        }
    }

    /// The same gate for acts while Redis is away, one at a time.
    pub(crate) fn without_redis(self) -> Self {
        Self { is_without_redis: true, ..self }
    }

    pub(crate) fn is_without_redis(&self) -> bool {
        self.is_without_redis
    }

    async fn look(&self, brakes: &Brakes) -> Result<BrakeCheck, StoreError> {
        if self.is_without_redis { brakes.look_at_log().await } else { brakes.look().await }
    }

    async fn look_again(&self, brakes: &Brakes) -> Result<Option<BrakeCheck>, StoreError> {
        if self.is_without_redis { brakes.look_at_log().await.map(Some) } else { brakes.look_again().await }
    }

    /// Decides whether an act may begin. If so, it takes a place in the quota of its account.
    pub(crate) async fn enter(&self, wanted: &GateRequest<'_>) -> Result<GateDecision, StoreError> {
        let brakes = self.brakes_of(wanted);
        let clear = match self.look(&brakes).await? {
            BrakeCheck::Clear(clear) => clear,
            BrakeCheck::Braked(state) => return Ok(stopped(state)),
        };
        brakes.scopes().for_each(|scope| show(scope, false));
        let cx = wanted.cx;
        let holder = format!("{}:{}:{}", cx.id(), cx.attempt(), cx.worker());
        let posting = self.settings.posting_of(wanted.account);
        let term = TimeLimit::starting(BEGIN_WITHIN);
        if let Some(kind) = wanted.kind
            && let Some(held) = self.take_place((wanted, kind), &posting, &holder).await?
        {
            return Ok(GateDecision::Deferred(held));
        }
        let (account, key) = (wanted.account.clone(), wanted.key.to_owned());
        Ok(GateDecision::Open(GatePass::new(account, key, holder, term, (brakes, clear))))
    }

    /// All that apply to an act.
    fn brakes_of(&self, wanted: &GateRequest<'_>) -> Brakes {
        let bot = wanted.bot.map(|bot| BrakeScope::Bot(bot.to_owned()));
        let account = BrakeScope::Account(wanted.account.clone());
        Brakes::with(&self.redis, &self.store, bot.into_iter().chain([account]))
    }

    /// Reads the brakes right before the call.
    pub(crate) async fn begin(&self, pass: &GatePass) -> Result<Option<Deferral>, StoreError> {
        match self.look_again(pass.brakes()).await? {
            Some(BrakeCheck::Clear(clear)) => {
                pass.renew(clear);
                Ok(None)
            }
            Some(BrakeCheck::Braked(state)) => Ok(Some(Deferral::braked(&state))),
            None => {
                Ok(Some(Deferral::new(SOON, "Redis has lost the brake; it is read from Postgres first".to_owned())))
            }
        }
    }

    /// Keeps reading the brakes while a call is on its way. Never ends.
    pub(crate) async fn watch(&self, pass: &GatePass) -> Infallible {
        loop {
            tokio::time::sleep(CLEAR_FOR / 4).await;
            // While the brakes cannot be read, the pass is not renewed and runs out.
            match self.look_again(pass.brakes()).await {
                Ok(Some(BrakeCheck::Clear(clear))) => pass.renew(clear),
                Ok(Some(BrakeCheck::Braked(state))) => pass.withdraw(state),
                Ok(None) | Err(_) => {}
            }
        }
    }

    /// Waits until the brake of everything is lifted, or for [`HELD_FOR`]. Then the job is snoozed and starts over.
    pub(crate) async fn wait_for_lift(&self, state: &BrakeState, cx: &JobContext) -> Deferral {
        if self.is_without_redis {
            return Deferral::braked(state);
        }
        let lifted = async {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                if matches!(self.brake.look_again().await, Ok(Some(BrakeCheck::Clear(_)) | None)) {
                    return;
                }
            }
        };
        let held = Deferral::braked(state);
        tokio::select! {
            () = lifted => Deferral::new(Duration::from_millis(1), format!("{}; it was lifted meanwhile", state.describe())),
            () = tokio::time::sleep(HELD_FOR) => held,
            () = cx.cancellation().cancelled() => held,
        }
    }

    /// Notes that an act has begun. Where Redis is away, its place counts from a little later than it began.
    pub(crate) async fn keep(&self, pass: &GatePass) {
        if self.is_without_redis {
            return;
        }
        if let Err(error) = self.places.keep(pass.account(), pass.key(), pass.holder()).await {
            tracing::debug!(effect = pass.key(), %error, "the place of an act was not noted as begun");
        }
    }

    /// Gives back the place of an act that did not happen. Where Redis is away, the place stays for the next attempt at the same effect.
    pub(crate) async fn leave(&self, pass: &GatePass) {
        if self.is_without_redis {
            return;
        }
        if let Err(error) = self.places.leave(pass.account(), pass.key(), pass.holder()).await {
            tracing::debug!(effect = pass.key(), %error, "the place of an act was not given back");
        }
    }

    async fn take_place(
        &self,
        wanted: (&GateRequest<'_>, PlaceKind),
        posting: &PostingSettings,
        holder: &str,
    ) -> Result<Option<Deferral>, StoreError> {
        let (mut now, mut counted) = (self.places.clock().now(), false);
        // First by the clock of this process, then by the clock of Redis; a minute may end in between.
        for _ in 0..4 {
            match self.ask_for_place(wanted, posting, (holder, counted), now).await? {
                PlaceOutcome::Taken => return Ok(None),
                PlaceOutcome::Deferred(held) => return Ok(Some(held)),
                PlaceOutcome::OtherMinute(by_redis) => now = by_redis,
                PlaceOutcome::Uncounted(since) => {
                    let account = wanted.0.account;
                    let acts = self.store.effects().acts_since(account, since).await?;
                    self.places.count(account, &acts, BEGIN_WITHIN).await?;
                    counted = true;
                }
            }
        }
        Ok(Some(Deferral::new(SOON, "the clock of Redis is not stable; see `perch doctor`".to_owned())))
    }

    async fn ask_for_place(
        &self,
        (wanted, kind): (&GateRequest<'_>, PlaceKind),
        posting: &PostingSettings,
        (holder, counted): (&str, bool),
        now: DateTime<Utc>,
    ) -> Result<PlaceOutcome, StoreError> {
        let account = wanted.account;
        let day = hours::day(posting, now);
        let within = TimeDelta::from_std(BEGIN_WITHIN).unwrap_or_default();
        let (from, until) = match hours::hour(posting, &day, now, within) {
            PostingWindow::Open { from, until } => (from, until),
            PostingWindow::Quiet { until } => {
                return Ok(held("quiet", until, now, format!("{account} has quiet hours")));
            }
            PostingWindow::LastOfDay { until } => {
                return Ok(held("day", until, now, format!("the day of {account} ends")));
            }
        };
        let (of_kind, name) = match kind {
            PlaceKind::Post => (0, "posts"),
            PlaceKind::Reply => (posting.replies_per_day, "replies"),
            PlaceKind::Retweet => (posting.retweets_per_day, "retweets"),
        };
        let ask = PlaceRequest {
            account,
            kind,
            key: wanted.key,
            holder,
            within: BEGIN_WITHIN,
            from,
            until,
            day: day.began,
            min_interval: posting.min_interval,
            per_day: posting.per_day,
            of_kind,
            per_three_hours: posting.per_three_hours,
            counted,
        };
        let tomorrow = hours::open_from(posting, day.ends);
        let answer = if self.is_without_redis {
            ask.answer(&self.store.effects().acts_since(account, ask.since(now)).await?, now)
        } else {
            self.places.take(&ask).await?
        };
        Ok(match answer {
            PlaceAnswer::Taken => PlaceOutcome::Taken,
            PlaceAnswer::Full => {
                let why = format!("{account} has published {} times today, as often as it may", posting.per_day);
                held("per_day", tomorrow, now, why)
            }
            PlaceAnswer::FullOfKind => {
                held("kind_per_day", tomorrow, now, format!("{account} has made its {of_kind} {name} of today"))
            }
            PlaceAnswer::FullWindow(until) => {
                let most = posting.per_three_hours;
                let why = format!("{account} has published {most} times in three hours, as often as X lets it");
                held("per_three_hours", until, now, why)
            }
            PlaceAnswer::Early(until) => {
                let interval = humantime::format_duration(posting.min_interval);
                held("min_interval", until, now, format!("{account} publishes once in {interval}"))
            }
            PlaceAnswer::ClockMismatch(by_redis) => PlaceOutcome::OtherMinute(by_redis),
            PlaceAnswer::Uncounted => PlaceOutcome::Uncounted(day.began.min(now - THREE_HOURS)),
        })
    }
}

enum PlaceOutcome {
    Taken,
    Deferred(Deferral),
    /// The clock of Redis is in another minute; this is its time.
    OtherMinute(DateTime<Utc>),
    /// Redis has lost the count of the day: the acts since then have to be counted from the ledger.
    Uncounted(DateTime<Utc>),
}

fn held(by: &'static str, until: DateTime<Utc>, now: DateTime<Utc>, why: String) -> PlaceOutcome {
    metrics::counter!("perch_publications_held_total", "by" => by).increment(1);
    PlaceOutcome::Deferred(Deferral::until(until, now, why))
}

fn stopped(state: BrakeState) -> GateDecision {
    show(&state.scope, true);
    metrics::counter!("perch_publications_held_total", "by" => "brake").increment(1);
    if state.scope.is_everything() {
        GateDecision::Braked(state)
    } else {
        GateDecision::Deferred(Deferral::braked(&state))
    }
}

fn show(scope: &BrakeScope, on: bool) {
    metrics::gauge!("perch_brake", "scope" => scope.to_string()).set(f64::from(u8::from(on)));
}
