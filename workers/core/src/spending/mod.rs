//! Records the cost of calls to paid services, and holds calls back that would pass a budget.

pub mod report;
mod reservation;

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use perch_base::{
    Settings,
    settings::{Budget, XPrices, micros},
};
use perch_clients::{Charge, Meter, OverBudget, Reservation as MeterReservation, Spender, models::Usage};
use perch_jobs::JobId;
use perch_store::{
    Allowance, Budgets, HotRecord, HotStore, Reservation, SpendKind, SpendLimit, SpendRecord, Store, next_day,
    next_month,
};
use tokio::runtime::Handle;

pub(crate) use reservation::CostReservation;

/// The name of X in records and budgets.
pub const X: &str = "x";

/// Costs and budgets of all paid services. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Spending {
    budgets: Budgets,
    hot: HotStore,
    store: Store,
    prices: XPrices,
    allowances: BTreeMap<String, Allowance>,
}

/// A call that a budget or rate holds back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeldCall {
    /// Why, in words.
    pub what: String,
    /// For how long.
    pub after: Duration,
}

/// The cost of a call of a model.
#[derive(Debug, Clone)]
pub(crate) struct CallCost {
    pub model: String,
    pub usage: Usage,
    /// Millionths of a US dollar.
    pub micros: i64,
}

impl Spending {
    pub(crate) fn new(settings: &Settings, budgets: Budgets, hot: HotStore, store: Store) -> Self {
        let providers = settings.models.providers.iter().map(|(name, provider)| {
            let rate = provider.rate.map(|rate| (rate.count, rate.per));
            (name.clone(), Allowance { rate, ..allowance(provider.budget) })
        });
        let allowances = providers.chain([(X.to_owned(), allowance(settings.x.budget))]).collect();
        Self { budgets, hot, store, prices: settings.x.prices, allowances }
    }

    /// Reserves `most` millionths of a US dollar for a call. Where the budget cannot be read the call is made all the same, because the
    /// services have spending limits of their own.
    pub(crate) async fn reserve(&self, provider: &str, most: i64) -> Result<DateTime<Utc>, HeldCall> {
        let (now, allowed) = (Utc::now(), self.allowed(provider));
        match self.budgets.reserve(provider, most, allowed, now).await {
            Ok(Reservation::Made { at }) => Ok(at),
            Ok(Reservation::Refused { spent, after }) => {
                metrics::counter!("perch_calls_held_total", "provider" => provider.to_owned(), "by" => word(spent))
                    .increment(1);
                Err(HeldCall { what: reason(spent, allowed, most, now), after: after.min(look_again(rand::random())) })
            }
            Err(error) => {
                tracing::warn!(provider, %error, "the budget cannot be read; the call is made all the same");
                Ok(now)
            }
        }
    }

    /// Records a call of a model for which `most` was reserved at `at`.
    pub(crate) async fn settle(
        &self,
        provider: &str,
        at: DateTime<Utc>,
        most: i64,
        spender: &Spender,
        used: Option<CallCost>,
    ) {
        self.correct(provider, used.as_ref().map_or(0, |used| used.micros) - most, at).await;
        let Some(CallCost { model, usage, micros }) = used else { return };
        let record = SpendRecord {
            model: Some(model),
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            ..record(provider, SpendKind::Model, 1, micros, spender)
        };
        self.write(&record).await;
    }

    fn allowed(&self, provider: &str) -> Allowance {
        self.allowances.get(provider).copied().unwrap_or_default()
    }

    async fn correct(&self, provider: &str, micros: i64, at: DateTime<Utc>) {
        if let Err(error) = self.budgets.correct(provider, micros, at).await {
            tracing::warn!(provider, %error, "the budget was not corrected to the cost of the call; it counts the amount reserved");
        }
    }

    async fn write(&self, record: &SpendRecord) {
        let provider = record.provider.clone();
        metrics::counter!("perch_spend_micros_total", "provider" => provider, "bot" => record.bot.clone())
            .increment(u64::try_from(record.micros).unwrap_or(0));
        let hot = match HotRecord::of(record) {
            Ok(hot) => self.hot.put(&[hot]).await.map(|_| ()),
            Err(error) => Err(error),
        };
        let Err(error) = hot else { return };
        // Directly to Postgres, while Redis is away or full.
        if let Err(second) = self.store.record(std::slice::from_ref(record)).await {
            tracing::error!(?record, %error, %second, "the cost of a call was not recorded; this log line is its only record");
        }
    }

    /// Records a call of X.
    async fn settle_call(&self, reserved: MeterReservation, spender: &Spender, units: u32) {
        let (kind, price) = self.price(reserved.charge);
        let cost = price * i64::from(units);
        self.correct(X, cost - price * i64::from(reserved.most), reserved.at).await;
        if units > 0 {
            self.write(&record(X, kind, units, cost, spender)).await;
        }
    }

    fn price(&self, charge: Charge) -> (SpendKind, i64) {
        let (kind, dollars) = match charge {
            Charge::PostRead => (SpendKind::PostRead, self.prices.post_read),
            Charge::OwnRead => (SpendKind::OwnRead, self.prices.own_read),
            Charge::UserRead => (SpendKind::UserRead, self.prices.user_read),
            Charge::Post => (SpendKind::Post, self.prices.post),
            Charge::PostWithLink => (SpendKind::PostWithLink, self.prices.post_with_link),
            Charge::SummonedReply => (SpendKind::SummonedReply, self.prices.summoned_reply),
            Charge::Retweet => (SpendKind::Retweet, self.prices.retweet),
        };
        (kind, micros(dollars))
    }
}

impl Meter for Spending {
    fn reserve(&self, charge: Charge, most: u32) -> BoxFuture<'_, Result<MeterReservation, OverBudget>> {
        Box::pin(async move {
            let (_, price) = self.price(charge);
            match Self::reserve(self, X, price * i64::from(most)).await {
                Ok(at) => Ok(MeterReservation { charge, most, at }),
                Err(HeldCall { what, after }) => Err(OverBudget { what, after }),
            }
        })
    }

    fn settle<'a>(&'a self, reserved: MeterReservation, spender: &'a Spender, units: u32) -> BoxFuture<'a, ()> {
        let (books, spender) = (self.clone(), spender.clone());
        Box::pin(async move {
            // In a task of its own, so that it is completed even if the attempt is dropped now.
            let settling = tokio::spawn(async move { books.settle_call(reserved, &spender, units).await });
            if let Err(error) = settling.await {
                tracing::error!(%error, "the cost of a call may not be recorded");
            }
        })
    }

    fn abandoned(&self, reserved: MeterReservation, spender: &Spender, units: u32) {
        let (books, spender) = (self.clone(), spender.clone());
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { books.settle_call(reserved, &spender, units).await });
        }
    }
}

fn allowance(budget: Budget) -> Allowance {
    Allowance { day: micros(budget.daily), month: micros(budget.monthly), rate: None }
}

fn record(provider: &str, kind: SpendKind, units: u32, micros: i64, spender: &Spender) -> SpendRecord {
    SpendRecord {
        id: JobId::at(Utc::now()).to_string(),
        at: Utc::now(),
        provider: provider.to_owned(),
        bot: if spender.bot.is_empty() { "other".to_owned() } else { spender.bot.to_owned() },
        account: spender.account.clone(),
        kind,
        units,
        model: None,
        prompt_tokens: 0,
        completion_tokens: 0,
        micros,
        job_id: spender.job,
    }
}

const fn word(spent: SpendLimit) -> &'static str {
    match spent {
        SpendLimit::Day => "day",
        SpendLimit::Month => "month",
        SpendLimit::Rate => "rate",
    }
}

/// When a call that is held back is tried again: within half an hour, because somebody may have raised the budget, and at random, so
/// that calls do not all come back at once.
fn look_again(draw: f64) -> Duration {
    Duration::from_secs(15 * 60).mul_f64(1.0 + draw.clamp(0.0, 1.0))
}

/// Why a call is held back, in words.
fn reason(spent: SpendLimit, allowed: Allowance, most: i64, now: DateTime<Utc>) -> String {
    let budget = |name: &str, budget: i64, over: DateTime<Utc>| {
        let why = if most > budget {
            format!("is less than the {} that this one call may cost", dollars(most))
        } else {
            format!("is used up until {}", over.format("%Y-%m-%d %H:%M UTC"))
        };
        format!("the {name} budget of {} {why}", dollars(budget))
    };
    match spent {
        SpendLimit::Day => budget("daily", allowed.day, next_day(now)),
        SpendLimit::Month => budget("monthly", allowed.month, next_month(now)),
        SpendLimit::Rate => {
            let (count, per) = allowed.rate.unwrap_or_default();
            format!("the rate of {count} calls in {} is used up", humantime::format_duration(per))
        }
    }
}

/// An amount in words: `10.00 USD`.
#[expect(clippy::cast_precision_loss, reason = "a budget stays far below 2^52 millionths of a dollar")]
fn dollars(micros: i64) -> String {
    let dollars = micros as f64 / 1e6;
    if micros % 10_000 == 0 { format!("{dollars:.2} USD") } else { format!("{dollars:.4} USD") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_for_holding_a_call_back_names_the_amount_and_the_end() {
        let allowed = Allowance { day: 5_000_000, month: 100_000_000, rate: Some((60, Duration::from_secs(60))) };
        let reason = |spent, most| reason(spent, allowed, most, "2026-11-10T12:00:00Z".parse().expect("a time"));
        assert_eq!(
            reason(SpendLimit::Day, 500_000),
            "the daily budget of 5.00 USD is used up until 2026-11-11 00:00 UTC"
        );
        assert_eq!(
            reason(SpendLimit::Month, 500_000),
            "the monthly budget of 100.00 USD is used up until 2026-12-01 00:00 UTC"
        );
        assert_eq!(reason(SpendLimit::Rate, 500_000), "the rate of 60 calls in 1m is used up");
        assert_eq!(
            reason(SpendLimit::Day, 6_000_000),
            "the daily budget of 5.00 USD is less than the 6.00 USD that this one call may cost"
        );
    }

    #[test]
    fn calls_that_are_held_back_are_tried_again_within_half_an_hour_and_not_all_at_once() {
        let minutes = |draw| look_again(draw).as_secs() / 60;
        assert_eq!((minutes(0.0), minutes(0.5), minutes(1.0)), (15, 22, 30));
    }
}
