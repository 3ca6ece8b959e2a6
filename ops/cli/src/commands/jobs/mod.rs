//! `perch jobs`: single jobs.

mod bulk;
mod cancel;
mod details;
mod fitting;
mod list;
mod run_now;
mod show;
mod show_text;

use futures::future::try_join_all;
use perch_jobs::JobId;
use perch_queue::{JobView, Queue, QueueError, Queues};

use crate::{app::App, error::CommandError};

#[derive(Debug, clap::Subcommand)]
pub enum Jobs {
    /// Jobs that wait, run or died; finished ones with --state
    List(list::Args),
    /// Everything about a job: state, envelope, attempts, errors, children, effects
    Show(show::Args),
    /// Cancels jobs, waiting or running: by id, or all that fit
    Cancel(cancel::Args),
    /// Makes delayed jobs run at once: by id, or all that fit
    RunNow(run_now::Args),
}

pub async fn run(app: &App, command: &Jobs) -> Result<(), CommandError> {
    match command {
        Jobs::List(args) => list::run(app, args).await,
        Jobs::Show(args) => show::run(app, args).await,
        Jobs::Cancel(args) => cancel::run(app, args).await,
        Jobs::RunNow(args) => run_now::run(app, args).await,
    }
}

/// The queue of the job and its state in Redis; none when it is finished or never existed.
async fn find(queues: &Queues, id: JobId) -> Result<Option<(Queue, JobView)>, QueueError> {
    let all: Vec<&Queue> = queues.iter().collect();
    let views = try_join_all(all.iter().map(|queue| queue.job(id))).await?;
    Ok(all.into_iter().zip(views).find_map(|(queue, view)| Some((queue.clone(), view?))))
}

/// True for a filter, false for ids; an error when neither or both are given.
fn ids_or_filter(ids: &[JobId], filter_is_given: bool) -> Result<bool, CommandError> {
    match (ids.is_empty(), filter_is_given) {
        (true, true) => Ok(true),
        (false, false) => Ok(false),
        (true, false) => Err(CommandError::Usage(
            "say which jobs: give ids, or --queue, --kind, --group, --error, --since, --until, or --all".into(),
        )),
        (false, true) => Err(CommandError::Usage("give either ids or options that say which jobs, not both".into())),
    }
}

fn not_there(id: JobId) -> String {
    format!("Redis does not know job {id}: it is finished, or never was; see `perch jobs show {id}`")
}
