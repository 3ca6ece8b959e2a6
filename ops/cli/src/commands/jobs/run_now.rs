use perch_base::Settings;
use perch_jobs::JobId;
use perch_queue::{JobState, Queue, Queues};
use serde_json::json;

use super::{
    bulk::{Bulk, BulkAction, BulkOutcome},
    find, ids_or_filter, not_there,
};
use crate::{app::App, commands::audit, error::CommandError, parse::job_id};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The jobs; or say with the options below which of the delayed ones
    #[arg(value_parser = job_id, value_name = "ID")]
    pub ids: Vec<JobId>,
    #[command(flatten)]
    pub bulk: Bulk,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let (settings, queues) = app.queues()?;
    if ids_or_filter(&args.ids, args.bulk.is_given())? {
        return many(app, &settings, &queues, args).await;
    }
    let mut answers = Vec::new();
    let mut refused = false;
    for &id in &args.ids {
        let found = find(&queues, id).await?;
        let moved = match &found {
            Some((queue, _)) => queue.run_now(id).await?,
            None => false,
        };
        if let Some((queue, _)) = found.as_ref().filter(|_| moved) {
            audit::note(app, &settings, "job.run_now", &id.to_string(), &json!({ "queue": queue.name() })).await;
        }
        let said = match found.as_ref().map(|(_, view)| view.state) {
            _ if moved => "it runs as soon as a worker is free".to_owned(),
            Some(JobState::Dead) => {
                format!("it is in the dead letters; bring it back with `perch dead replay --id {id}`")
            }
            Some(JobState::Running) => "it runs already".to_owned(),
            Some(JobState::Waiting | JobState::Delayed) => "it waits for a worker already".to_owned(),
            _ => not_there(id),
        };
        refused |= !moved;
        if !app.out.is_json() {
            app.out.line(format_args!("{id}  {said}"))?;
        }
        answers.push(json!({ "id": id, "queue": found.as_ref().map(|(queue, _)| queue.name()), "moved": moved }));
    }
    if app.out.is_json() {
        app.out.json(&answers)?;
    }
    if refused { Err(CommandError::Reported) } else { Ok(()) }
}

async fn many(app: &App, settings: &Settings, queues: &Queues, args: &Args) -> Result<(), CommandError> {
    let action = BulkAction {
        action: "job.run_now",
        states: &[JobState::Delayed],
        of: "delayed job",
        does: |jobs| format!("makes {jobs} ready"),
        done: "made ready",
        asked: None,
        details: json!({}),
    };
    let run_now = async |queue: Queue, id: JobId| {
        Ok(if queue.run_now(id).await? { BulkOutcome::Done } else { BulkOutcome::Nothing })
    };
    args.bulk.carry_out(app, settings, queues, action, run_now).await
}
