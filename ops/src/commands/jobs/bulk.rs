//! What is done to many jobs: counted, asked about, done, written down.

use futures::{StreamExt as _, stream};
use perch_base::Settings;
use perch_jobs::JobId;
use perch_queue::{JobState, Queue, QueueError, Queues};
use serde_json::{Value, json};

use super::filter::{Filter, by_queue, total};
use crate::{
    app::App,
    commands::audit,
    error::OpsError,
    format::text::count,
    process::{Stop, on_signals},
};

/// How a deed on many jobs is asked for.
#[derive(Debug, clap::Args)]
pub struct Bulk {
    #[command(flatten)]
    pub filter: Filter,
    /// Every job that can be
    #[arg(long, conflicts_with_all = ["kind", "group", "error", "older_than", "newer_than"])]
    pub all: bool,
    /// Only count them
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// What is done.
pub struct Deed<'a> {
    /// As the audit log has it.
    pub action: &'a str,
    /// To jobs in these states.
    pub states: &'a [JobState],
    /// What the jobs are, in a question: `waiting, delayed or running job`.
    pub of: &'a str,
    /// What happens to so many of them, in a sentence: `cancels 2 waiting jobs`.
    pub does: fn(&str) -> String,
    /// What has happened to them: `cancelled`.
    pub done: &'a str,
    /// More for the audit log.
    pub details: Value,
}

/// Calls done at once.
const AT_ONCE: usize = 32;
/// Jobs between two looks at whether somebody wants it to end.
const STEP: usize = 1_000;

impl Bulk {
    /// Whether it says which jobs.
    pub fn is_given(&self) -> bool {
        self.all || !self.filter.is_empty()
    }

    /// Carries out a deed, which is true for a job that it changed.
    pub async fn carry_out(
        &self,
        app: &App,
        settings: &Settings,
        queues: &Queues,
        deed: Deed<'_>,
        act: impl AsyncFn(Queue, JobId) -> Result<bool, QueueError>,
    ) -> Result<(), OpsError> {
        let looking = app.out.spinner("jobs looked at");
        let fitting = self.filter.fitting(queues, deed.states, &looking).await;
        looking.finish_and_clear();
        let fitting = fitting?;
        let (matched, by_queue) = (total(&fitting), by_queue(&fitting));
        let answer = |dry_run: bool, done: u64| json!({ "dry_run": dry_run, "matched": matched, "queues": by_queue, "changed": done });
        let jobs = count(matched, deed.of);
        if self.dry_run || matched == 0 {
            let fit = if matched == 1 { "fits" } else { "fit" };
            return app.out.answer(&answer(self.dry_run, 0), format_args!("{jobs} {fit}; nothing was changed"));
        }
        app.out.confirm(&format!("This {} in {}", (deed.does)(&jobs), settings.env), self.yes)?;
        let stop = Stop::default();
        on_signals(&stop)?;
        let bar = app.out.bar(matched, "jobs");
        let (mut done, mut outcome) = (0, Ok(()));
        for (queue, ids) in &fitting {
            let mut of_queue = 0;
            for step in ids.chunks(STEP) {
                if outcome.is_ok() && stop.is_asked() {
                    outcome = Err(OpsError::Refused("broken off; the rest stays as it is".into()));
                }
                if outcome.is_err() {
                    break;
                }
                let acted = stream::iter(step).map(|id| act(queue.clone(), *id)).buffer_unordered(AT_ONCE);
                let answers: Vec<Result<bool, QueueError>> = acted.inspect(|_| bar.inc(1)).collect().await;
                for answer in answers {
                    match answer {
                        Ok(changed) => of_queue += u64::from(changed),
                        Err(error) => outcome = Err(error.into()),
                    }
                }
            }
            if of_queue > 0 {
                let details = json!({ "filter": self.filter.as_json(), "jobs": of_queue, "more": deed.details });
                audit::note(app, settings, deed.action, queue.name().as_str(), &details).await;
            }
            done += of_queue;
        }
        bar.finish_and_clear();
        let left = match matched - done {
            0 => String::new(),
            n => format!("; {n} had changed in the meantime"),
        };
        let left = if outcome.is_ok() { left } else { String::new() };
        app.out.answer(&answer(false, done), format_args!("{} {}{left}", count(done, "job"), deed.done))?;
        outcome
    }
}
