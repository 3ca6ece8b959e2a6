//! `perch jobs`: single jobs.

mod cancel;
mod list;
mod run_now;
mod show;
mod trail;

use futures::future::try_join_all;
use perch_jobs::JobId;
use perch_queue::{JobView, Queue, QueueError, Queues};

use crate::{app::App, error::OpsError};

#[derive(Debug, clap::Subcommand)]
pub enum Jobs {
    /// Jobs that wait, run or died; finished ones with --state
    List(list::Args),
    /// Everything about a job: state, envelope, attempts, errors, children, effects
    Show(show::Args),
    /// Cancels jobs, waiting or running
    Cancel(cancel::Args),
    /// Makes delayed jobs run at once
    RunNow(run_now::Args),
}

pub async fn run(app: &App, command: &Jobs) -> Result<(), OpsError> {
    match command {
        Jobs::List(args) => list::run(app, args).await,
        Jobs::Show(args) => show::run(app, args).await,
        Jobs::Cancel(args) => cancel::run(app, args).await,
        Jobs::RunNow(args) => run_now::run(app, args).await,
    }
}

/// The queue that has the job, and what Redis knows of it; none when it is finished or never was.
async fn find(queues: &Queues, id: JobId) -> Result<Option<(Queue, JobView)>, QueueError> {
    let all: Vec<&Queue> = queues.iter().collect();
    let views = try_join_all(all.iter().map(|queue| queue.job(id))).await?;
    Ok(all.into_iter().zip(views).find_map(|(queue, view)| Some((queue.clone(), view?))))
}

fn not_there(id: JobId) -> String {
    format!("Redis does not know job {id}: it is finished, or never was; see `perch jobs show {id}`")
}
