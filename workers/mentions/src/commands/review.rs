//! `perch review`: the replies that wait for a person.

use chrono::Utc;
use clap::ValueEnum;
use perch_bot::{
    Platform,
    cli::{
        CommandError, Invocation, Paging,
        format::{
            table::{Listing, Tone, cell, cut, number, whole},
            text::one_line,
            time::{exact, from_now},
        },
    },
};
use perch_jobs::AccountId;
use perch_safety::Reason;
use serde_json::json;

use super::{one, own};
use crate::{MentionStore as _, Review, ReviewError, ReviewFilter, ReviewState, approve, reject};

#[derive(Debug, clap::Subcommand)]
pub enum Reviews {
    /// Replies that wait, the latest first
    List(ListArgs),
    /// Everything about one
    Show(OneArgs),
    /// Publishes a reply, as proposed or in other words
    Approve(ApproveArgs),
    /// Leaves a mention unanswered
    Reject(RejectArgs),
}

/// A state on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReviewStateArg {
    /// It waits
    Open,
    /// It goes out
    Approved,
    /// It does not
    Rejected,
    /// Nobody decided in time
    Expired,
    /// Any of them
    All,
}

#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Only of this account
    #[arg(long)]
    pub account: Option<AccountId>,
    /// Only in this state
    #[arg(long, value_enum, default_value_t = ReviewStateArg::Open)]
    pub state: ReviewStateArg,
    #[command(flatten)]
    pub paging: Paging,
}

#[derive(Debug, clap::Args)]
pub struct OneArgs {
    /// The number of the review
    pub id: i64,
}

#[derive(Debug, clap::Args)]
pub struct ApproveArgs {
    /// The number of the review
    pub id: i64,
    /// Other words than those proposed
    #[arg(long, value_name = "NEW")]
    pub text: Option<String>,
}

#[derive(Debug, clap::Args)]
pub struct RejectArgs {
    /// The number of the review
    pub id: i64,
    /// Why
    #[arg(long)]
    pub reason: Option<String>,
}

pub async fn run(at: &Invocation<'_>, command: &Reviews) -> Result<(), CommandError> {
    match command {
        Reviews::List(args) => list(at, args).await,
        Reviews::Show(args) => show(at, args.id).await,
        Reviews::Approve(args) => approve_one(at, args).await,
        Reviews::Reject(args) => reject_one(at, args).await,
    }
}

fn refused(error: ReviewError) -> CommandError {
    match error {
        ReviewError::Store(error) => error.into(),
        ReviewError::NoText(_) => CommandError::Usage(format!("{error} with --text")),
        error => CommandError::Refused(error.to_string()),
    }
}

async fn list(at: &Invocation<'_>, args: &ListArgs) -> Result<(), CommandError> {
    let (settings, store) = &at.store()?;
    let account = args.account.as_ref().map(|account| one(settings, Some(account))).transpose()?;
    let state = match args.state {
        ReviewStateArg::Open => Some(ReviewState::Open),
        ReviewStateArg::Approved => Some(ReviewState::Approved),
        ReviewStateArg::Rejected => Some(ReviewState::Rejected),
        ReviewStateArg::Expired => Some(ReviewState::Expired),
        ReviewStateArg::All => None,
    };
    let page = store.reviews().list(&ReviewFilter { account, state }, &args.paging.or(20)).await?;
    at.out.page(&page, "no reply waits for a person", listing)
}

fn listing(reviews: &[Review]) -> Listing {
    let now = Utc::now();
    let mut listing = Listing::new([
        number("ID"),
        whole("STATE"),
        whole("EXPIRES"),
        cut("AUTHOR"),
        cut("MENTION"),
        cut("PROPOSED"),
        cut("BECAUSE"),
    ]);
    for review in reviews {
        let tone = if review.state == ReviewState::Open { Tone::Warn } else { Tone::Plain };
        listing.row([
            cell(review.id),
            cell(review.state.as_str()).tone(tone),
            cell(from_now(review.expires_at, now)),
            cell(one_line(review.author.as_deref().unwrap_or(&review.author_id))),
            cell(one_line(&review.mention_text)),
            cell(one_line(review.proposed.as_deref().unwrap_or("-"))),
            cell(codes(review)),
        ]);
    }
    listing
}

fn reasons(review: &Review) -> Vec<Reason> {
    serde_json::from_value(review.reasons.clone()).unwrap_or_default()
}

fn codes(review: &Review) -> String {
    let mut codes: Vec<&str> = reasons(review).iter().map(|reason| reason.code.as_str()).collect();
    codes.dedup();
    if codes.is_empty() { "every reply".to_owned() } else { codes.join(", ") }
}

async fn show(at: &Invocation<'_>, id: i64) -> Result<(), CommandError> {
    let (_, store) = &at.store()?;
    let review = store.reviews().get(id).await?.ok_or_else(|| refused(ReviewError::Unknown(id)))?;
    if at.out.is_json() {
        return at.out.json(&review);
    }
    let (out, now) = (&at.out, Utc::now());
    let author = review.author.as_ref().map_or_else(|| review.author_id.clone(), |handle| format!("@{handle}"));
    out.line(format_args!("{}  {} as {}", review.id, review.state.as_str(), review.account))?;
    out.fact("mention", format!("{} by {author}", review.mention_id))?;
    let (since, until) = (exact(review.created_at, now), exact(review.expires_at, now));
    out.fact("waits", format!("since {since}, until {until}"))?;
    let because = reasons(&review).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let parts = [
        ("text", Some(review.mention_text.clone())),
        (
            "proposed",
            Some(review.proposed.clone().unwrap_or_else(|| "nothing; the model was not asked, or declined".into())),
        ),
        ("because", Some(if because.is_empty() { "every reply is looked at".into() } else { because })),
        ("approved", review.approved.clone()),
        ("note", review.note.clone()),
    ];
    for (name, value) in parts.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        out.fact(name, value)?;
    }
    if let (Some(by), Some(at)) = (&review.decided_by, review.decided_at) {
        out.fact("decided", format!("{} by {by}", exact(at, now)))?;
    }
    if review.state == ReviewState::Open {
        out.blank()?;
        out.line(format_args!("  perch review approve {id} [--text NEW]"))?;
        out.line(format_args!("  perch review reject {id} [--reason TEXT]"))?;
    }
    Ok(())
}

async fn approve_one(at: &Invocation<'_>, args: &ApproveArgs) -> Result<(), CommandError> {
    let Platform { settings, client, store, .. } = at.platform()?;
    let approved =
        approve(client, store, &*own(settings)?, args.id, args.text.as_deref(), &at.operator).await.map_err(refused)?;
    let review = &approved.review;
    let details = json!({ "mention": review.mention_id, "edited": args.text.is_some(), "flags": approved.flags });
    at.audit("review.approve", &review.id.to_string(), &details).await;
    for flag in &approved.flags {
        at.out.note(format_args!("warning: {flag}; it goes out by your word"));
    }
    let text = one_line(review.approved.as_deref().unwrap_or_default());
    at.out.answer(review, format_args!("{} goes out in reply to {}: {text}", review.id, review.mention_id))
}

async fn reject_one(at: &Invocation<'_>, args: &RejectArgs) -> Result<(), CommandError> {
    let (_, store) = &at.store()?;
    let review = reject(store, args.id, args.reason.as_deref(), &at.operator).await.map_err(refused)?;
    let details = json!({ "mention": review.mention_id, "reason": args.reason });
    at.audit("review.reject", &review.id.to_string(), &details).await;
    at.out.answer(&review, format_args!("{} is rejected; {} is not answered", review.id, review.mention_id))
}
