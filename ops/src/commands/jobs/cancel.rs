use perch_jobs::JobId;
use perch_queue::{Cancellation, Queue};
use serde_json::json;

use super::{find, not_there};
use crate::{
    app::{App, operator},
    commands::audit,
    error::OpsError,
    parse::job_id,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The jobs
    #[arg(required = true, value_parser = job_id, value_name = "ID")]
    pub ids: Vec<JobId>,
    /// Why, for the history of the job
    #[arg(long, default_value = "cancelled on the command line")]
    pub reason: String,
}

pub async fn run(app: &App, args: &Args) -> Result<(), OpsError> {
    let (settings, queues) = app.queues()?;
    let by = operator();
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
    if refused { Err(OpsError::Reported) } else { Ok(()) }
}
