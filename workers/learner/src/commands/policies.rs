use chrono::Utc;
use perch_bot::cli::{
    CommandError, Invocation, Paging,
    format::{
        table::{Listing, Tone, cell, cut, number, whole},
        text::one_line,
        time::{from_now, from_now_or_dash},
    },
};
use perch_jobs::PersonaName;
use serde_json::json;

use super::one;
use crate::{
    evaluating::{PromoteError, promote as promote_policy, roll_back},
    policy::{Policy, PolicyKind},
    settings::LearnerSettings,
    store::{LearnerStore as _, PolicyState, StoredPolicy},
};

#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// The persona that it posts as
    pub name: PersonaName,
    #[command(flatten)]
    pub paging: Paging,
}

pub async fn list(at: &Invocation<'_>, args: &ListArgs) -> Result<(), CommandError> {
    let (_, store) = &at.store()?;
    one(store, &args.name).await?;
    let page = store.learner().policies(&args.name, &args.paging.or(20)).await?;
    at.out.page(&page, "the first decision makes the first version", |policies: &[StoredPolicy]| {
        let now = Utc::now();
        let mut listing = Listing::new([
            number("VERSION"),
            whole("STATE"),
            whole("KIND"),
            number("EXPLORES"),
            number("DISCOUNT"),
            number("GROWTH"),
            whole("ACTIVE"),
            cut("REASON"),
        ]);
        for stored in policies {
            let (state, tone) = match stored.state {
                PolicyState::Active => ("active", Tone::Good),
                PolicyState::Proposed => ("proposed", Tone::Warn),
                PolicyState::Retired => ("retired", Tone::Faint),
            };
            let kind = if stored.policy.kind == PolicyKind::Uniform { "uniform" } else { "thompson" };
            listing.row([
                cell(stored.version),
                cell(state).tone(tone),
                cell(kind),
                cell(format!("{:.0} %", stored.policy.exploration.epsilon * 100.0)),
                cell(stored.policy.discount),
                cell(stored.policy.growth_weight),
                cell(from_now_or_dash(stored.activated_at, now)),
                cell(one_line(&format!(
                    "{} ({} by {})",
                    stored.reason,
                    from_now(stored.created_at, now),
                    stored.created_by
                ))),
            ]);
        }
        listing
    })
}

#[derive(Debug, clap::Args)]
pub struct ProposeArgs {
    /// The persona that it posts as
    pub name: PersonaName,
    /// How it chooses
    #[arg(long, value_enum)]
    pub kind: Option<PolicyKind>,
    /// The share of choices that are left to chance, 0.05 to 0.5
    #[arg(long, value_name = "SHARE")]
    pub explore: Option<f64>,
    /// What each reward multiplies the weight of all before it by, 0.9 to 1
    #[arg(long, value_name = "FACTOR")]
    pub discount: Option<f64>,
    /// What the logarithm of a post's follows counts beside its reward, 0 to 10
    #[arg(long, value_name = "WEIGHT")]
    pub growth: Option<f64>,
    /// Why
    #[arg(long, default_value = "")]
    pub reason: String,
}

pub async fn propose(at: &Invocation<'_>, args: &ProposeArgs) -> Result<(), CommandError> {
    let (_, store) = &at.store()?;
    one(store, &args.name).await?;
    let active = store.learner().active_policy(&args.name, &Policy::default()).await?.policy;
    let mut policy = Policy {
        kind: args.kind.unwrap_or(active.kind),
        discount: args.discount.unwrap_or(active.discount),
        growth_weight: args.growth.unwrap_or(active.growth_weight),
        ..active
    };
    policy.exploration.epsilon = args.explore.unwrap_or(active.exploration.epsilon);
    if let Some((field, reason)) = policy.problem() {
        return Err(CommandError::Usage(format!("{field} {reason}")));
    }
    if policy == active {
        return Err(CommandError::Usage(
            "say what differs from the active version, such as --growth 0.5; `perch learn propose --help` lists it"
                .into(),
        ));
    }
    let stored = store.learner().propose(&args.name, &policy, &args.reason, &at.operator).await?;
    at.out.answer(
        &stored,
        format_args!(
            "version {0} waits; `perch learn promote {1} {0}` weighs it against the log",
            stored.version, args.name
        ),
    )
}

#[derive(Debug, clap::Args)]
pub struct PromoteArgs {
    /// The persona that it posts as
    pub name: PersonaName,
    /// The version
    pub version: i32,
}

fn refused(error: PromoteError) -> CommandError {
    match error {
        PromoteError::Store(error) => error.into(),
        error => CommandError::Refused(error.to_string()),
    }
}

pub async fn promote(at: &Invocation<'_>, args: &PromoteArgs) -> Result<(), CommandError> {
    let (settings, store) = &at.store()?;
    one(store, &args.name).await?;
    let own = settings.sections.get::<LearnerSettings>()?;
    let waiting = at.out.waiting();
    waiting.set_message("the log of decisions is evaluated");
    let promoted = promote_policy(store, &own, (&args.name, args.version), &at.operator).await;
    waiting.finish_and_clear();
    let (stored, promotion) = promoted.map_err(refused)?;
    let answer = json!({ "policy": stored, "promotion": promotion });
    at.out.answer(&answer, format_args!("version {} is active: {promotion}", stored.version))
}

pub async fn rollback(at: &Invocation<'_>, name: &PersonaName) -> Result<(), CommandError> {
    let (_, store) = &at.store()?;
    one(store, name).await?;
    let stored = roll_back(store, name, &at.operator).await.map_err(refused)?;
    at.out.answer(&stored, format_args!("version {} is active again", stored.version))
}
