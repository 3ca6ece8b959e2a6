use chrono::Utc;
use perch_bot::cli::{
    CommandError, Invocation, Paging,
    format::{
        table::{Listing, Tone, cell, cut, number, whole},
        text::one_line,
        time::{exact, from_now},
    },
};
use perch_jobs::PersonaName;
use serde_json::json;

use super::one;
use crate::{
    explaining::explained,
    store::{DecisionFilter, LearnerSlot, LearnerStore as _, LoggedDecision, OutcomeState, SlotState},
};

#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Only of this bot
    pub name: Option<PersonaName>,
    /// Only with this outcome
    #[arg(long, value_enum)]
    pub state: Option<OutcomeState>,
    /// Only for this arm
    #[arg(long)]
    pub arm: Option<String>,
    #[command(flatten)]
    pub paging: Paging,
}

pub async fn list(at: &Invocation<'_>, args: &ListArgs) -> Result<(), CommandError> {
    let (_, store) = &at.store()?;
    let filter = DecisionFilter { bot: args.name.clone(), state: args.state, arm: args.arm.clone() };
    let page = store.learner().decisions(&filter, &args.paging.or(20)).await?;
    at.out.page(&page, "nothing is decided yet", listing)
}

fn listing(decisions: &[LoggedDecision]) -> Listing {
    let now = Utc::now();
    let mut listing = Listing::new([
        number("ID"),
        whole("BOT"),
        whole("SLOT"),
        whole("STATE"),
        whole("ARM"),
        number("PROPENSITY"),
        number("REWARD"),
        cut("TEXT"),
    ]);
    for decision in decisions {
        let tone = match decision.state {
            OutcomeState::Published => Tone::Good,
            OutcomeState::Failed => Tone::Bad,
            OutcomeState::Missed => Tone::Warn,
            OutcomeState::Decided => Tone::Plain,
        };
        listing.row([
            cell(decision.id),
            cell(&decision.bot),
            cell(from_now(decision.slot_at, now)),
            cell(decision.state.as_str()).tone(tone),
            cell(one_line(&decision.arm)),
            cell(format!("{:.3}", decision.propensity)),
            cell(decision.reward.map_or_else(|| "-".to_owned(), |reward| format!("{reward:+.3}"))),
            cell(one_line(&decision.parts.join(" / "))),
        ]);
    }
    listing
}

#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// The id of the post on X, the key of its effect, or the number of the decision
    pub post: String,
}

pub async fn explain(at: &Invocation<'_>, args: &ExplainArgs) -> Result<(), CommandError> {
    let (_, store) = &at.store()?;
    let Some(decision) = store.learner().decision(&args.post).await? else {
        return Err(CommandError::Refused(format!(
            "no learning poster has decided on {}; `perch learn decisions` shows what was decided",
            args.post
        )));
    };
    let words = explained(&decision);
    if at.out.is_json() {
        return at.out.json(&json!({ "decision": decision, "explanation": words }));
    }
    let (out, now) = (&at.out, Utc::now());
    out.line(format_args!("decision {} of {}: {}", decision.id, decision.bot, decision.state.as_str()))?;
    out.fact("slot", exact(decision.slot_at, now))?;
    for part in &decision.parts {
        out.text(2, part)?;
    }
    for line in words.lines() {
        out.text(0, line)?;
    }
    Ok(())
}

#[derive(Debug, clap::Args)]
pub struct SlotsArgs {
    /// The persona that it posts as
    pub name: PersonaName,
    #[command(flatten)]
    pub paging: Paging,
}

pub async fn slots(at: &Invocation<'_>, args: &SlotsArgs) -> Result<(), CommandError> {
    let (_, store) = &at.store()?;
    one(store, &args.name).await?;
    let page = store.learner().slots(&args.name, &args.paging.or(20)).await?;
    at.out.page(&page, "no day is planned yet", |slots: &[LearnerSlot]| {
        let now = Utc::now();
        let mut listing = Listing::new([whole("SLOT"), whole("STATE"), number("PROPENSITY"), cut("REASON")]);
        for slot in slots {
            let tone = match slot.state {
                SlotState::Published => Tone::Good,
                SlotState::Failed => Tone::Bad,
                SlotState::Missed => Tone::Warn,
                SlotState::Planned | SlotState::Decided => Tone::Plain,
            };
            let state = serde_json::to_value(slot.state).ok();
            listing.row([
                cell(exact(slot.slot_at, now)),
                cell(state.as_ref().and_then(|state| state.as_str()).unwrap_or_default()).tone(tone),
                cell(format!("{:.3}", slot.propensity)),
                cell(one_line(slot.reason.as_deref().unwrap_or("-"))),
            ]);
        }
        listing
    })
}
