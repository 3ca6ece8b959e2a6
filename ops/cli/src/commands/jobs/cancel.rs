use clap::ValueEnum;
use perch_base::Settings;
use perch_jobs::JobId;
use perch_queue::{Cancellation, JobState, Queue, Queues};
use serde_json::json;

use super::{
    bulk::{Bulk, BulkAction, BulkOutcome},
    find, ids_or_filter, not_there,
};
use crate::{
    app::{App, operator},
    commands::audit,
    error::CommandError,
    parse::job_id,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The jobs; or say with the options below which ones
    #[arg(value_parser = job_id, value_name = "ID")]
    pub ids: Vec<JobId>,
    /// Only in these states; all of them when it is left out
    #[arg(long, value_enum)]
    pub state: Vec<LiveState>,
    #[command(flatten)]
    pub bulk: Bulk,
    /// Why, for the history of the job
    #[arg(long, default_value = "cancelled on the command line")]
    pub reason: String,
}

/// The states in which a job can be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LiveState {
    Waiting,
    Delayed,
    Running,
}

impl From<LiveState> for JobState {
    fn from(state: LiveState) -> Self {
        match state {
            LiveState::Waiting => Self::Waiting,
            LiveState::Delayed => Self::Delayed,
            LiveState::Running => Self::Running,
        }
    }
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let (settings, queues) = app.queues()?;
    let by = operator();
    if ids_or_filter(&args.ids, args.bulk.is_given() || !args.state.is_empty())? {
        return many(app, &settings, &queues, args, &by).await;
    }
    let mut answers = Vec::new();
    let mut refused = false;
    for &id in &args.ids {
        let (queue, outcome) = match find(&queues, id).await? {
            Some((queue, _)) => {
                let outcome = queue.cancel(id, &by, &args.reason).await?;
                (Some(queue), outcome)
            }
            None => (None, Cancellation::Unknown),
        };
        let said = match outcome {
            Cancellation::Cancelled => "cancelled".to_owned(),
            Cancellation::Cancelling => "it runs; its worker is told to stop".to_owned(),
            Cancellation::Dead => format!("it is in the dead letters; remove it with `perch dead discard --id {id}`"),
            Cancellation::Unknown => not_there(id),
        };
        let is_done = matches!(outcome, Cancellation::Cancelled | Cancellation::Cancelling);
        refused |= !is_done;
        if is_done {
            audit::note(app, &settings, "job.cancel", &id.to_string(), &json!({ "reason": args.reason })).await;
        }
        if !app.out.is_json() {
            app.out.line(format_args!("{id}  {said}"))?;
        }
        answers.push(json!({ "id": id, "queue": queue.as_ref().map(Queue::name), "outcome": outcome }));
    }
    if app.out.is_json() {
        app.out.json(&answers)?;
    }
    if refused { Err(CommandError::Reported) } else { Ok(()) }
}

async fn many(app: &App, settings: &Settings, queues: &Queues, args: &Args, by: &str) -> Result<(), CommandError> {
    const ALL: [LiveState; 3] = [LiveState::Waiting, LiveState::Delayed, LiveState::Running];
    let chosen = if args.state.is_empty() { ALL.to_vec() } else { args.state.clone() };
    let states: Vec<JobState> = chosen.into_iter().map(JobState::from).collect();
    let words: Vec<&str> = states.iter().map(|state| state.as_str()).collect();
    let action = BulkAction {
        action: "job.cancel",
        states: &states,
        of: &format!("{} job", words.join(" or ")),
        does: |jobs| format!("cancels {jobs}"),
        done: "cancelled",
        asked: Some("running, told to stop"),
        details: json!({ "reason": args.reason }),
    };
    let cancel = async |queue: Queue, id: JobId| {
        Ok(match queue.cancel(id, by, &args.reason).await? {
            Cancellation::Cancelled => BulkOutcome::Done,
            Cancellation::Cancelling => BulkOutcome::Asked,
            Cancellation::Dead | Cancellation::Unknown => BulkOutcome::Nothing,
        })
    };
    args.bulk.carry_out(app, settings, queues, action, cancel).await
}
