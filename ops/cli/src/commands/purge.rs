//! `perch purge`: removes the waiting jobs of a queue for good.

use perch_jobs::QueueName;
use serde_json::json;

use crate::{
    app::{App, named, operator},
    commands::audit,
    error::CommandError,
    format::text::count,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The queue
    pub queue: QueueName,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let (settings, queues) = app.queues()?;
    let queue = named(&queues, &args.queue)?;
    let stats = queue.stats().await?;
    let waiting = stats.waiting() + stats.delayed;
    if waiting > 0 {
        let question = format!(
            "This removes {} from {} in {} for good",
            count(waiting, "waiting or delayed job"),
            queue.name(),
            settings.env
        );
        app.out.confirm(&question, args.yes)?;
    }
    let by = operator();
    let bar = app.out.bar(waiting, "jobs");
    let mut purged = 0u64;
    loop {
        let some = queue.purge_some(&by).await?;
        if some == 0 {
            break;
        }
        purged += some as u64;
        bar.set_position(purged);
    }
    bar.finish_and_clear();
    if purged > 0 {
        audit::note(app, &settings, "queue.purge", queue.name().as_str(), &json!({ "jobs": purged })).await;
    }
    app.out.answer(
        &json!({ "queue": queue.name(), "purged": purged }),
        format_args!("{} removed from {}; running jobs and dead letters stay", count(purged, "job"), queue.name()),
    )
}
