use chrono::Utc;
use perch_bot::cli::{
    CommandError, Invocation, Paging,
    format::{
        table::{Listing, Tone, cell, cut, number, whole},
        text::one_line,
        time::from_now,
    },
};
use perch_jobs::PersonaName;
use serde_json::json;

use crate::{
    reviewing::{ReviewError, approve as approve_candidate, reject as reject_candidate},
    store::{Candidate, CandidateFilter, CandidateState, LearnerStore as _},
};

#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Only of this bot
    pub name: Option<PersonaName>,
    /// Only in this state
    #[arg(long, value_enum)]
    pub state: Option<CandidateState>,
    /// Only of this arm
    #[arg(long)]
    pub arm: Option<String>,
    #[command(flatten)]
    pub paging: Paging,
}

pub async fn list(at: &Invocation<'_>, args: &ListArgs) -> Result<(), CommandError> {
    let (_, store) = &at.store()?;
    let filter = CandidateFilter { bot: args.name.clone(), state: args.state, arm: args.arm.clone() };
    let page = store.learner().candidates(&filter, &args.paging.or(20)).await?;
    at.out.page(&page, "there is no such candidate", listing)
}

fn listing(candidates: &[Candidate]) -> Listing {
    let now = Utc::now();
    let mut listing = Listing::new([
        number("ID"),
        whole("BOT"),
        whole("WHEN"),
        whole("STATE"),
        whole("ARM"),
        cut("TEXT"),
        cut("REASON"),
    ]);
    for candidate in candidates {
        let tone = match candidate.state {
            CandidateState::Chosen => Tone::Good,
            CandidateState::InReview => Tone::Warn,
            CandidateState::Rejected | CandidateState::Expired => Tone::Faint,
            CandidateState::Drafted | CandidateState::Ready => Tone::Plain,
        };
        let codes: Vec<&str> = candidate.reasons.iter().map(|reason| reason.code.as_str()).collect();
        let reason = candidate.reason.clone().unwrap_or_else(|| codes.join(", "));
        listing.row([
            cell(candidate.id),
            cell(&candidate.bot),
            cell(from_now(candidate.created_at, now)),
            cell(candidate.state.as_str()).tone(tone),
            cell(one_line(&candidate.arm)),
            cell(one_line(&candidate.parts.join(" / "))),
            cell(one_line(&reason)),
        ]);
    }
    listing
}

#[derive(Debug, clap::Args)]
pub struct ApproveArgs {
    /// The number of the candidate
    pub id: i64,
}

#[derive(Debug, clap::Args)]
pub struct RejectArgs {
    /// The number of the candidate
    pub id: i64,
    /// Why
    #[arg(long)]
    pub reason: Option<String>,
}

fn refused(error: ReviewError) -> CommandError {
    match error {
        ReviewError::Store(error) => error.into(),
        error => CommandError::Refused(error.to_string()),
    }
}

pub async fn approve(at: &Invocation<'_>, args: &ApproveArgs) -> Result<(), CommandError> {
    let platform = at.platform()?;
    let settings = platform.settings.sections.get()?;
    let approved = approve_candidate(&platform.store, &platform.guard, &settings, args.id, &at.operator).await;
    let (candidate, flags) = approved.map_err(refused)?;
    at.audit("learn.approve", &candidate.id.to_string(), &json!({ "bot": candidate.bot, "flags": flags })).await;
    for flag in &flags {
        at.out.note(format_args!("warning: {flag}; it goes out by your word"));
    }
    at.out
        .answer(&candidate, format_args!("{} can be chosen: {}", candidate.id, one_line(&candidate.parts.join(" / "))))
}

pub async fn reject(at: &Invocation<'_>, args: &RejectArgs) -> Result<(), CommandError> {
    let (_, store) = &at.store()?;
    let candidate = reject_candidate(store, args.id, args.reason.as_deref(), &at.operator).await.map_err(refused)?;
    at.audit("learn.reject", &candidate.id.to_string(), &json!({ "bot": candidate.bot, "reason": args.reason })).await;
    at.out.answer(&candidate, format_args!("{} is rejected", candidate.id))
}
