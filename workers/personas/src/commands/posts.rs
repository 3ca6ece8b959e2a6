use chrono::Utc;
use perch_bot::cli::{
    CommandError, Invocation, Paging,
    format::{
        table::{Listing, Tone, cell, cut, number, whole},
        text::one_line,
        time::from_now,
    },
};
use perch_core::personas::PersonaLimits;
use perch_jobs::{PersonaName, ReplenishStock};
use serde_json::json;

use super::{one, own};
use crate::{
    Personas, PostState, StockReviewError, approve_post, reject_post, sample,
    store::{StockFilter, StockPost, StockStore as _},
};

#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Only of this persona
    pub name: Option<PersonaName>,
    /// Only in this state
    #[arg(long, value_enum)]
    pub state: Option<PostState>,
    /// Only on this topic
    #[arg(long)]
    pub topic: Option<String>,
    #[command(flatten)]
    pub paging: Paging,
}

pub async fn list(at: &Invocation<'_>, args: &ListArgs) -> Result<(), CommandError> {
    let (_, store) = &at.store()?;
    let filter = StockFilter { persona: args.name.clone(), state: args.state, topic: args.topic.clone() };
    let page = store.stock().list(&filter, &args.paging.or(20)).await?;
    at.out.page(&page, "there is no such post", listing)
}

fn listing(posts: &[StockPost]) -> Listing {
    let now = Utc::now();
    let mut listing = Listing::new([
        number("ID"),
        whole("PERSONA"),
        whole("WHEN"),
        whole("STATE"),
        whole("TOPIC"),
        number("OF"),
        cut("TEXT"),
        cut("REASON"),
    ]);
    for post in posts {
        let tone = match post.state {
            PostState::Published => Tone::Good,
            PostState::InReview | PostState::Expired => Tone::Warn,
            PostState::Failed => Tone::Bad,
            PostState::Rejected => Tone::Faint,
            PostState::Drafted | PostState::Ready | PostState::Reserved => Tone::Plain,
        };
        let codes: Vec<&str> = post.reasons.iter().map(|reason| reason.code.as_str()).collect();
        let reason = post.reason.clone().unwrap_or_else(|| codes.join(", "));
        listing.row([
            cell(post.id),
            cell(&post.persona),
            cell(from_now(post.created_at, now)),
            cell(post.state.as_str()).tone(tone),
            cell(one_line(post.topic.as_deref().unwrap_or("-"))),
            cell(post.evergreen_of.map_or_else(|| "-".to_owned(), |of| of.to_string())),
            cell(one_line(&post.text)),
            cell(one_line(&reason)),
        ]);
    }
    listing
}

#[derive(Debug, clap::Args)]
pub struct ApproveArgs {
    /// The number of the post
    pub id: i64,
    /// Other words than those of the model
    #[arg(long, value_name = "NEW")]
    pub text: Option<String>,
}

#[derive(Debug, clap::Args)]
pub struct RejectArgs {
    /// The number of the post
    pub id: i64,
    /// Why
    #[arg(long)]
    pub reason: Option<String>,
}

fn refused(error: StockReviewError) -> CommandError {
    match error {
        StockReviewError::Store(error) => error.into(),
        error => CommandError::Refused(error.to_string()),
    }
}

pub async fn approve(at: &Invocation<'_>, args: &ApproveArgs) -> Result<(), CommandError> {
    let platform = at.platform()?;
    let (own, limits) = (own(&platform.settings)?, PersonaLimits::of(&platform.settings));
    let approved =
        approve_post(&platform.store, &platform.guard, (&own, &limits), args.id, args.text.as_deref(), &at.operator)
            .await;
    let (post, flags) = approved.map_err(refused)?;
    let details = json!({ "persona": post.persona, "edited": args.text.is_some(), "flags": flags });
    at.audit("personas.approve", &post.id.to_string(), &details).await;
    for flag in &flags {
        at.out.note(format_args!("warning: {flag}; it goes out by your word"));
    }
    at.out.answer(&post, format_args!("{} is ready: {}", post.id, one_line(&post.text)))
}

pub async fn reject(at: &Invocation<'_>, args: &RejectArgs) -> Result<(), CommandError> {
    let (_, store) = &at.store()?;
    let post = reject_post(store, args.id, args.reason.as_deref(), &at.operator).await.map_err(refused)?;
    let details = json!({ "persona": post.persona, "reason": args.reason });
    at.audit("personas.reject", &post.id.to_string(), &details).await;
    at.out.answer(&post, format_args!("{} is rejected", post.id))
}

pub async fn replenish(at: &Invocation<'_>, name: &PersonaName) -> Result<(), CommandError> {
    let platform = at.platform()?;
    one(&platform.store, name).await?;
    let job = platform.client.enqueue(&ReplenishStock { persona: name.clone(), now: true }).await?.id;
    at.audit("personas.replenish", name.as_str(), &json!({ "job": job })).await;
    let answer = json!({ "persona": name, "job_id": job });
    at.out.answer(
        &answer,
        format_args!("job {job} writes a batch for {name}; `perch jobs show {job}` says what came of it"),
    )
}

pub async fn test(at: &Invocation<'_>, name: &PersonaName) -> Result<(), CommandError> {
    let platform = at.platform()?;
    let persona = one(&platform.store, name).await?;
    let bot = Personas::new(platform).map_err(|error| CommandError::Refused(error.to_string()))?.by_hand(&persona.spec);
    let waiting = at.out.waiting();
    waiting.set_message(format!("a model writes three posts as {name}"));
    let samples = sample(&bot, &persona).await;
    waiting.finish_and_clear();
    let samples = samples.map_err(|fail| CommandError::Refused(fail.reason().to_owned()))?;
    if at.out.is_json() {
        return at.out.json(&samples);
    }
    for sample in &samples {
        let head = sample
            .topic
            .as_deref()
            .map_or_else(|| sample.guard.to_owned(), |topic| format!("{} on {topic}", sample.guard));
        at.out.line(head)?;
        at.out.text(2, &sample.text)?;
        for reason in &sample.reasons {
            at.out.line(format_args!("  {reason}"))?;
        }
    }
    Ok(())
}
