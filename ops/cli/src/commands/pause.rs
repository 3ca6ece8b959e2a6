//! `perch pause` and `perch resume`: stop and restart fetching from a queue, in all processes.

use perch_jobs::QueueName;
use serde_json::json;

use crate::{
    app::{App, chosen, operator},
    commands::audit,
    error::CommandError,
};

#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// These queues
    #[arg(value_name = "QUEUE", required_unless_present = "all")]
    pub queues: Vec<QueueName>,
    /// Every queue
    #[arg(long, conflicts_with = "queues")]
    pub all: bool,
}

/// Pause or resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    Pause,
    Resume,
}

pub async fn run(app: &App, args: &Args, switch: Switch) -> Result<(), CommandError> {
    let (settings, queues) = app.queues()?;
    let by = operator();
    let mut answers = Vec::new();
    for queue in chosen(&queues, &args.queues)? {
        let (changed, action, did, had) = match switch {
            Switch::Pause => (queue.pause(&by).await?, "queue.pause", "paused", "was paused already"),
            Switch::Resume => (queue.resume(&by).await?, "queue.resume", "resumed", "was not paused"),
        };
        answers.push(json!({ "queue": queue.name(), "paused": switch == Switch::Pause, "changed": changed }));
        if !app.out.is_json() {
            app.out.line(format_args!("{} {}", queue.name(), if changed { did } else { had }))?;
        }
        if changed {
            audit::note(app, &settings, action, queue.name().as_str(), &json!({})).await;
        }
    }
    if app.out.is_json() { app.out.json(&answers) } else { Ok(()) }
}
