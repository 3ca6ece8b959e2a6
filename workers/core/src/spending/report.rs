//! What was spent, what the budgets leave, and a forecast for the month.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike as _, Utc};
use perch_base::{
    Page, Paging, Settings,
    settings::{Budget, micros},
};
use perch_queue::Redis;
use perch_store::{
    Balance, BudgetRefusal, Budgets, ProviderSpend, SpendLimit, Store, StoreError, day, month, next_day, next_month,
};
use serde::Serialize;
use utoipa::ToSchema;

/// What a provider costs. Amounts are US dollars; days and months are those of UTC.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ProviderCost {
    /// `x`, or the name of a model provider.
    pub provider: String,
    /// Spent today.
    pub today: f64,
    /// The most that may be spent on one day; 0 for no budget.
    pub daily_budget: f64,
    /// Spent this month.
    pub month: f64,
    /// The most that may be spent in one month; 0 for no budget.
    pub monthly_budget: f64,
    /// The forecast for the month: its remaining days cost the average of the last seven days, of the days since the first call where
    /// those are fewer, or what today cost where there are none.
    pub forecast: f64,
    /// The budget that holds calls back: `day`, `month`, or none.
    pub held_by: Option<&'static str>,
    /// When a budget last held a call back.
    pub last_held: Option<DateTime<Utc>>,
}

/// What was spent by one bot, for one account, on one kind of call of a provider.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CostLine {
    /// `x`, or the name of a model provider.
    pub provider: String,
    /// The bot that spent it.
    pub bot: String,
    /// The account that it was spent for; empty where it is not known.
    pub account: String,
    /// What was paid for: `post_read`, `own_read`, `user_read`, `post`, `post_with_link`, `summoned_reply`, `retweet`, `model`.
    pub kind: String,
    /// Calls.
    pub calls: i64,
    /// Posts, users, or calls of a model.
    pub units: i64,
    /// Tokens of prompts and answers.
    pub tokens: i64,
    /// US dollars.
    pub cost: f64,
}

/// What was spent, as of the last sync into Postgres, a few seconds ago; what holds calls back comes from Redis.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SpendReport {
    /// Each provider that has a budget or was paid.
    pub providers: Vec<ProviderCost>,
    /// The lines, the most expensive first.
    #[serde(flatten)]
    pub lines: Page<CostLine>,
    /// The start of the period of the lines.
    pub since: DateTime<Utc>,
    /// The end of that period.
    pub until: DateTime<Utc>,
}

/// What was spent. The lines, page by page, are those of the period given, by default of this month.
pub async fn report(
    settings: &Settings,
    store: &Store,
    redis: &Redis,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    paging: &Paging,
) -> Result<SpendReport, StoreError> {
    let now = Utc::now();
    let (since, until) = (since.unwrap_or_else(|| month(now)), until.unwrap_or(now));
    let spent = store.spend().by_provider(day(now), month(now)).await?;
    let (since, until, sums) = store.spend().sums(since, until, paging).await?;
    let lines = sums.map(|sum| CostLine {
        provider: sum.provider,
        bot: sum.bot,
        account: sum.account,
        kind: sum.kind,
        calls: sum.calls,
        units: sum.units,
        tokens: sum.tokens,
        cost: dollars(sum.micros),
    });
    let counted = Budgets::new(redis.clone(), store.clone(), settings.env);
    let providers = providers(settings, &spent, &counted, now).await;
    Ok(SpendReport { providers, lines, since, until })
}

async fn providers(
    settings: &Settings,
    spent: &[ProviderSpend],
    counted: &Budgets,
    now: DateTime<Utc>,
) -> Vec<ProviderCost> {
    let of_models = settings.models.providers.iter().map(|(name, provider)| (name.as_str(), provider.budget));
    let budgets: BTreeMap<&str, Budget> = of_models.chain([(super::X, settings.x.budget)]).collect();
    let paid = spent.iter().map(|spend| spend.provider.as_str());
    let names: BTreeSet<&str> = budgets.keys().copied().chain(paid).collect();
    let mut costs = Vec::new();
    for name in names {
        let nothing = ProviderSpend { provider: name.to_owned(), day: 0, month: 0, week: 0, days: 0 };
        let own = spent.iter().find(|spend| spend.provider == name).unwrap_or(&nothing);
        let (balance, hold) = standing(counted, own, now).await;
        costs.push(provider_cost(own, budgets.get(name).copied().unwrap_or_default(), balance, hold, now));
    }
    costs
}

/// The balance of the budget and the last call that it held back. While Redis is away, the balance is that of Postgres, without a hold.
async fn standing(counted: &Budgets, spend: &ProviderSpend, now: DateTime<Utc>) -> (Balance, Option<BudgetRefusal>) {
    let asked = async {
        let hold = counted.last_refusal(&spend.provider, now).await?;
        Ok::<_, StoreError>((counted.balance(&spend.provider, now).await?, hold))
    };
    let known = Balance { day: spend.day, month: spend.month };
    match asked.await {
        // A Redis that was wiped has less than Postgres.
        Ok((balance, hold)) => {
            (Balance { day: balance.day.max(known.day), month: balance.month.max(known.month) }, hold)
        }
        Err(error) => {
            tracing::warn!(%error, provider = spend.provider, "the budget cannot be read from Redis; the report uses Postgres alone");
            (known, None)
        }
    }
}

/// The budget that is used up, or that would refuse the last refused call again.
fn held_by(budget: Budget, balance: Balance, hold: Option<BudgetRefusal>, now: DateTime<Utc>) -> Option<&'static str> {
    let is_over = |hold: &BudgetRefusal| match hold.spent {
        SpendLimit::Month => next_month(hold.at) <= now,
        SpendLimit::Day | SpendLimit::Rate => next_day(hold.at) <= now,
    };
    let cost = hold.filter(|hold| !is_over(hold)).map_or(0, |hold| hold.micros);
    let holds = |spent: i64, budget: f64| {
        budget > 0.0 && (spent >= micros(budget) || (cost > 0 && spent + cost > micros(budget)))
    };
    if holds(balance.month, budget.monthly) { Some("month") } else { holds(balance.day, budget.daily).then_some("day") }
}

fn provider_cost(
    spend: &ProviderSpend,
    budget: Budget,
    balance: Balance,
    hold: Option<BudgetRefusal>,
    now: DateTime<Utc>,
) -> ProviderCost {
    ProviderCost {
        provider: spend.provider.clone(),
        today: dollars(spend.day),
        daily_budget: budget.daily,
        month: dollars(spend.month),
        monthly_budget: budget.monthly,
        forecast: dollars(forecast(spend, now)),
        held_by: held_by(budget, balance, hold, now),
        last_held: hold.map(|hold| hold.at),
    }
}

/// What was spent this month, plus the usual cost of a day for each remaining day, and for today as far as it cost less.
fn forecast(spend: &ProviderSpend, now: DateTime<Utc>) -> i64 {
    let usual = if spend.week > 0 { spend.week / spend.days.clamp(1, 7) } else { spend.day };
    let left = i64::from(days_of_month(now)) - i64::from(now.day());
    spend.month + usual * left + (usual - spend.day).max(0)
}

fn days_of_month(at: DateTime<Utc>) -> u8 {
    at.date_naive().num_days_in_month()
}

#[expect(clippy::cast_precision_loss, reason = "what is spent stays far below 2^52 millionths of a dollar")]
fn dollars(micros: i64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    fn spend(day: i64, month: i64, week: i64) -> ProviderSpend {
        ProviderSpend { provider: "x".into(), day, month, week, days: 7 }
    }

    #[test]
    fn the_forecast_goes_by_the_last_week() {
        let tenth = at("2026-11-10T12:00:00Z");
        assert_eq!(forecast(&spend(1, 10, 70), tenth), 10 + 10 * 20 + 9);
        assert_eq!(forecast(&spend(30, 40, 70), tenth), 40 + 10 * 20);
        assert_eq!(forecast(&spend(5, 5, 0), at("2026-11-30T12:00:00Z")), 5);
        assert_eq!(forecast(&spend(2, 2, 0), tenth), 2 + 2 * 20);
        let second_day = ProviderSpend { days: 1, ..spend(30, 40, 10) };
        assert_eq!(forecast(&second_day, tenth), 40 + 10 * 20);
    }

    #[test]
    fn a_budget_holds_calls_back_once_one_would_pass_it_and_the_month_goes_before_the_day() {
        let budget = Budget { daily: 1.0, monthly: 2.0 };
        let now = at("2026-11-10T12:00:00Z");
        let held = |day, month, hold| held_by(budget, Balance { day, month }, hold, now);
        assert_eq!(held(1_000_000, 1_000_000, None), Some("day"));
        assert_eq!(held(1_000_000, 2_000_000, None), Some("month"));
        assert_eq!(held(999_999, 999_999, None), None);
        let refused = |at| Some(BudgetRefusal { spent: SpendLimit::Day, at, micros: 50_000 });
        assert_eq!(held(960_000, 960_000, refused(now)), Some("day"), "the same call would be refused again");
        assert_eq!(held(950_000, 950_000, refused(now)), None, "it would be made now");
        assert_eq!(held(960_000, 960_000, refused(at("2026-11-09T12:00:00Z"))), None, "nobody has asked today");
        assert_eq!(held_by(Budget::default(), Balance { day: 5_000_000, month: 5_000_000 }, None, now), None);
    }
}
