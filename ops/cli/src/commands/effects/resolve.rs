use std::time::Duration;

use perch_base::Settings;
use perch_jobs::PostId;
use perch_queue::JobState;
use perch_store::{EffectState, Resolution, ResolveOutcome, StoredEffect};
use serde_json::json;

use super::not_there;
use crate::{
    app::{App, operator, queues},
    commands::audit,
    error::CommandError,
    format::{text::one_line, time::short},
};

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("verdict").required(true).args(["confirmed", "not_done"])))]
pub struct Args {
    /// The key of the effect
    pub key: String,
    /// It happened
    #[arg(long)]
    pub confirmed: bool,
    /// The id that it has outside, such as that of the post
    #[arg(long, conflicts_with = "not_done", value_name = "EXTERNAL")]
    pub id: Option<String>,
    /// It did not happen; the next attempt of its job does it
    #[arg(long)]
    pub not_done: bool,
    /// How you know, for the history
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    if args.reason.trim().is_empty() {
        return Err(CommandError::Usage("--reason must say how you know".into()));
    }
    let (settings, store) = app.store()?;
    let effect = store.effects().get(&args.key).await?.ok_or_else(|| not_there(&args.key))?;
    if effect.state == EffectState::Confirmed {
        return Err(confirmed_already(&effect));
    }
    let resolution = resolution(args, &effect)?;
    app.out.confirm(&question(args, &effect, &settings), args.yes)?;
    match store.effects().resolve(&args.key, &resolution, &operator(), &args.reason).await? {
        ResolveOutcome::Done(effect) => done(app, args, &settings, &effect).await,
        ResolveOutcome::AlreadyConfirmed(effect) => Err(confirmed_already(&effect)),
        ResolveOutcome::AlreadyFailed(_) => Err(CommandError::Refused(format!(
            "the ledger says already that {} did not happen; the next attempt of its job does it",
            one_line(&args.key)
        ))),
        ResolveOutcome::Busy(effect, left) => Err(busy(&effect, left)),
        ResolveOutcome::Unknown => Err(not_there(&args.key)),
    }
}

fn resolution(args: &Args, effect: &StoredEffect) -> Result<Resolution, CommandError> {
    if !args.confirmed {
        return Ok(Resolution::NotDone);
    }
    let is_of_x = matches!(effect.kind.as_str(), "post" | "reply" | "retweet");
    if let (true, Some(id)) = (is_of_x, &args.id) {
        id.parse::<PostId>().map_err(|error| CommandError::Usage(format!("--id: {error}")))?;
    }
    Ok(Resolution::Confirmed { external_id: args.id.clone() })
}

fn question(args: &Args, effect: &StoredEffect, settings: &Settings) -> String {
    let key = one_line(&effect.key);
    let what = format!("the {} {key} of {} in {}", one_line(&effect.kind), one_line(&effect.account), settings.env);
    if args.confirmed {
        format!("This records for good that {what} happened, so that it is never done again")
    } else {
        format!("This records that {what} did not happen, so that it may be done again")
    }
}

fn confirmed_already(effect: &StoredEffect) -> CommandError {
    let id = effect.external_id.as_deref().map(|id| format!(" as {}", one_line(id))).unwrap_or_default();
    let key = one_line(&effect.key);
    CommandError::Refused(format!("{key} is confirmed{id}: it happened, and that is not taken back"))
}

fn busy(effect: &StoredEffect, left: Duration) -> CommandError {
    CommandError::Refused(format!(
        "attempt {} of {} may be at {} at this moment; try again in {}",
        effect.attempt,
        one_line(&effect.holder),
        one_line(&effect.key),
        short(left + Duration::from_secs(1))
    ))
}

async fn done(app: &App, args: &Args, settings: &Settings, effect: &StoredEffect) -> Result<(), CommandError> {
    let details = json!({ "as": effect.state, "id": effect.external_id, "reason": args.reason });
    audit::note(app, settings, "effect.resolve", &effect.key, &details).await;
    let key = one_line(&effect.key);
    app.out.answer(effect, format_args!("{key} is {} by your word", effect.state.as_str()))?;
    if is_dead(settings, effect).await {
        let id = effect.job_id;
        app.out.note(format_args!("its job is in the dead letters; bring it back with `perch dead replay --id {id}`"));
    }
    Ok(())
}

/// Whether its job is in the dead letters; false when Redis does not answer.
async fn is_dead(settings: &Settings, effect: &StoredEffect) -> bool {
    let Ok(queues) = queues(settings) else { return false };
    for queue in queues.iter() {
        match queue.job(effect.job_id).await {
            Ok(Some(view)) => return view.state == JobState::Dead,
            Ok(None) => {}
            Err(_) => return false,
        }
    }
    false
}
