//! Actions on many jobs: counts them, asks for confirmation, acts, and writes the audit log.

use futures::{StreamExt as _, stream};
use perch_base::Settings;
use perch_jobs::JobId;
use perch_queue::{JobState, Queue, QueueError, Queues};
use serde_json::{Value, json};

use super::fitting::{by_queue, fitting, total};
use crate::{
    app::App,
    commands::{audit, filter::Filter},
    error::CommandError,
    format::text::count,
    process::{Stop, on_signals},
};

/// The options of an action on many jobs.
#[derive(Debug, clap::Args)]
pub struct Bulk {
    #[command(flatten)]
    pub filter: Filter,
    /// Every job that can be
    #[arg(long, conflicts_with_all = ["kind", "group", "error", "since", "until"])]
    pub all: bool,
    /// Only count them
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// An action on many jobs.
pub struct BulkAction<'a> {
    /// Its name in the audit log.
    pub action: &'a str,
    /// The states of jobs that it applies to.
    pub states: &'a [JobState],
    /// The noun for the jobs, in the singular: `waiting, delayed or running job`.
    pub of: &'a str,
    /// What it does, for the confirmation: `cancels 2 waiting jobs`.
    pub does: fn(&str) -> String,
    /// The word for changed jobs: `cancelled`.
    pub done: &'a str,
    /// The words for jobs whose worker was asked, if the action can end so: `running, told to stop`.
    pub asked: Option<&'a str>,
    /// Further details for the audit log.
    pub details: Value,
}

/// The result of an action for one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BulkOutcome {
    /// The job was changed.
    Done,
    /// Its worker was asked to do it.
    Asked,
    /// Nothing was done: the job had changed in the meantime.
    Nothing,
}

/// The number of jobs by result.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    done: u64,
    asked: u64,
}

impl Tally {
    fn add(&mut self, came: BulkOutcome) {
        match came {
            BulkOutcome::Done => self.done += 1,
            BulkOutcome::Asked => self.asked += 1,
            BulkOutcome::Nothing => {}
        }
    }

    fn all(self) -> u64 {
        self.done + self.asked
    }
}

/// Calls made concurrently.
const AT_ONCE: usize = 32;
/// Jobs between two checks for an interrupt.
const STEP: usize = 1_000;

impl Bulk {
    /// Whether the options select jobs.
    pub fn is_given(&self) -> bool {
        self.all || !self.filter.is_empty()
    }

    /// Carries out an action, and prints how many jobs it changed and how many it asked a worker about.
    pub async fn carry_out(
        &self,
        app: &App,
        settings: &Settings,
        queues: &Queues,
        action: BulkAction<'_>,
        act: impl AsyncFn(Queue, JobId) -> Result<BulkOutcome, QueueError>,
    ) -> Result<(), CommandError> {
        let looking = app.out.spinner("jobs looked at");
        let fitting = fitting(&self.filter, queues, action.states, &looking).await;
        looking.finish_and_clear();
        let fitting = fitting?;
        let (matched, by_queue) = (total(&fitting), by_queue(&fitting));
        let answer = |dry_run: bool, tally: Tally| json!({ "dry_run": dry_run, "matched": matched, "queues": by_queue, "changed": tally.done, "asked": tally.asked });
        let jobs = count(matched, action.of);
        if self.dry_run || matched == 0 {
            let fit = if matched == 1 { "fits" } else { "fit" };
            return app
                .out
                .answer(&answer(self.dry_run, Tally::default()), format_args!("{jobs} {fit}; nothing was changed"));
        }
        app.out.confirm(&format!("This {} in {}", (action.does)(&jobs), settings.env), self.yes)?;
        let stop = Stop::default();
        on_signals(&stop)?;
        let bar = app.out.bar(matched, "jobs");
        let (mut tally, mut outcome) = (Tally::default(), Ok(()));
        for (queue, ids) in &fitting {
            let mut of_queue = Tally::default();
            for step in ids.chunks(STEP) {
                if outcome.is_ok() && stop.is_asked() {
                    outcome = Err(CommandError::Refused("broken off; the rest stays as it is".into()));
                }
                if outcome.is_err() {
                    break;
                }
                let acted = stream::iter(step).map(|id| act(queue.clone(), *id)).buffer_unordered(AT_ONCE);
                let answers: Vec<Result<BulkOutcome, QueueError>> = acted.inspect(|_| bar.inc(1)).collect().await;
                for answer in answers {
                    match answer {
                        Ok(came) => of_queue.add(came),
                        Err(error) => outcome = Err(error.into()),
                    }
                }
            }
            if of_queue.all() > 0 {
                let filter = self.filter.as_json();
                let details =
                    json!({ "filter": filter, "jobs": of_queue.done, "asked": of_queue.asked, "more": action.details });
                audit::note(app, settings, action.action, queue.name().as_str(), &details).await;
            }
            tally = Tally { done: tally.done + of_queue.done, asked: tally.asked + of_queue.asked };
        }
        bar.finish_and_clear();
        let asked = match action.asked {
            Some(asked) if tally.asked > 0 => format!("; {} {asked}", count(tally.asked, "job")),
            _ => String::new(),
        };
        let left = match matched - tally.all() {
            n if n > 0 && outcome.is_ok() => format!("; {n} had changed in the meantime"),
            _ => String::new(),
        };
        let done = format!("{} {}{asked}{left}", count(tally.done, "job"), action.done);
        app.out.answer(&answer(false, tally), format_args!("{done}"))?;
        outcome
    }
}
