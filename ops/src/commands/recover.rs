//! `perch recover`: rebuilds the queues of an empty or rolled-back Redis from Postgres.

use std::collections::{BTreeMap, HashSet};

use indicatif::ProgressBar;
use perch_jobs::{JobId, QueueName};
use perch_queue::{Queue, Queues, Restore};
use perch_store::{Store, Syncer};
use serde::Serialize;
use serde_json::json;

use crate::{
    app::{App, store},
    commands::audit,
    error::OpsError,
    format::{
        table::{Listing, cell, number, whole},
        text::count,
    },
    output::confirm,
};

/// Rebuilds the queues of an empty or rolled-back Redis from Postgres
///
/// Jobs that Postgres knows as unfinished and that Redis has lost wait again, with the attempts that they had; dead letters
/// are dead letters again. Jobs that have ended and that an older copy of Redis brought back are removed. It may run while
/// workers do, and again: what is right already stays.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only show what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Jobs looked at in one step.
const AT_ONCE: u32 = 500;

/// What was done, or would be, with the jobs of one queue.
#[derive(Debug, Default, Clone, Copy, Serialize)]
struct Done {
    restored: u64,
    dead_letters: u64,
    removed: u64,
    unreadable: u64,
}

struct Recovering<'a> {
    queues: &'a Queues,
    store: &'a Store,
    dry_run: bool,
    bar: ProgressBar,
    done: BTreeMap<QueueName, Done>,
}

pub async fn run(app: &App, args: &Args) -> Result<(), OpsError> {
    let (settings, queues) = app.queues()?;
    let store = store(&settings)?;
    store.require_schema().await?;
    queues.redis().ping().await?;
    if !args.dry_run {
        confirm(&format!("This brings the queues of {} to what Postgres knows of them", settings.env), args.yes)?;
    }
    let bar = app.out.spinner("jobs");
    let mut recovering =
        Recovering { queues: &queues, store: &store, dry_run: args.dry_run, bar, done: BTreeMap::new() };
    // Looked at before the sync: a job that is there now and has ended after it was not left there by a worker.
    let present = recovering.present().await?;
    // What Redis still has to tell is newer than what Postgres knows. A dry run leaves it where it is.
    if !args.dry_run {
        let redis = queues.redis().clone();
        Syncer::new(redis, store.clone(), settings.env, &queues.names(), settings.sync.batch).run_once().await?;
    }
    recovering.remove_ended(present).await?;
    recovering.restore_lost().await?;
    let Recovering { bar, done, .. } = recovering;
    bar.finish_and_clear();
    if !args.dry_run && !done.is_empty() {
        audit::note(app, &settings, "recover", settings.env.prefix(), &json!(done)).await;
    }
    report(app, args.dry_run, &done)
}

impl Recovering<'_> {
    fn of(&mut self, queue: &QueueName) -> &mut Done {
        self.done.entry(queue.clone()).or_default()
    }

    async fn present(&self) -> Result<Vec<(Queue, Vec<JobId>)>, OpsError> {
        let mut present = Vec::new();
        for queue in self.queues.iter() {
            let (mut ids, mut cursor) = (HashSet::new(), 0);
            loop {
                let (next, some) = queue.scan(cursor).await?;
                self.bar.inc(some.len() as u64);
                ids.extend(some);
                if next == 0 {
                    break;
                }
                cursor = next;
            }
            present.push((queue.clone(), ids.into_iter().collect()));
        }
        Ok(present)
    }

    async fn remove_ended(&mut self, present: Vec<(Queue, Vec<JobId>)>) -> Result<(), OpsError> {
        for (queue, ids) in present {
            for chunk in ids.chunks(AT_ONCE as usize) {
                let ended = self.store.recovery().ended(chunk).await?;
                let removed = if self.dry_run { ended.len() } else { queue.drop_ended(&ended).await? };
                if removed > 0 {
                    self.of(queue.name()).removed += removed as u64;
                }
            }
        }
        Ok(())
    }

    async fn restore_lost(&mut self) -> Result<(), OpsError> {
        let retention = self.queues.iter().map(|queue| queue.settings().dead_retention).max().unwrap_or_default();
        let mut after = None;
        loop {
            let (jobs, next) = self.store.recovery().unfinished(after, AT_ONCE, retention).await?;
            self.bar.inc(jobs.len() as u64);
            let mut by_queue: BTreeMap<QueueName, Vec<Restore>> = BTreeMap::new();
            for job in jobs {
                by_queue.entry(job.queue).or_default().push(job.restore);
            }
            for (name, jobs) in by_queue {
                if let Some(queue) = self.queues.get(&name) {
                    self.restore(queue, jobs).await?;
                }
            }
            match next {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
        }
    }

    async fn restore(&mut self, queue: &Queue, jobs: Vec<Restore>) -> Result<(), OpsError> {
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let missing: HashSet<JobId> = queue.missing(&ids).await?.into_iter().collect();
        let (dead, alive): (Vec<Restore>, Vec<Restore>) =
            jobs.into_iter().filter(|job| missing.contains(&job.id)).partition(|job| job.died_at.is_some());
        for (is_dead, jobs) in [(true, dead), (false, alive)] {
            if jobs.is_empty() {
                continue;
            }
            let (put_back, unreadable) =
                if self.dry_run { (jobs.len(), Vec::new()) } else { queue.restore(&jobs).await? };
            let done = self.of(queue.name());
            *(if is_dead { &mut done.dead_letters } else { &mut done.restored }) += put_back as u64;
            done.unreadable += unreadable.len() as u64;
        }
        Ok(())
    }
}

fn report(app: &App, dry_run: bool, done: &BTreeMap<QueueName, Done>) -> Result<(), OpsError> {
    if app.out.is_json() {
        return app.out.json(&json!({ "dry_run": dry_run, "queues": done }));
    }
    if done.is_empty() {
        return app.out.line("Redis and Postgres agree; there is nothing to recover");
    }
    let mut listing = Listing::new([
        whole("QUEUE"),
        number("RESTORED"),
        number("DEAD LETTERS"),
        number("REMOVED"),
        number("UNREADABLE"),
    ]);
    for (queue, done) in done {
        listing.row([
            cell(queue),
            cell(done.restored),
            cell(done.dead_letters),
            cell(done.removed),
            cell(done.unreadable),
        ]);
    }
    app.out.table(&listing)?;
    let all = |part: fn(&Done) -> u64| done.values().map(part).sum::<u64>();
    let back = count(all(|done| done.restored + done.dead_letters), "job");
    let gone = count(all(|done| done.removed), "job");
    let (would, were) =
        if dry_run { ("would be ", "nothing was changed") } else { ("", "start the workers, or let them go on") };
    app.out.line(format_args!("{back} {would}put back, {gone} that had ended {would}removed; {were}"))
}
