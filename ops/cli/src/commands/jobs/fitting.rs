//! Collects the jobs that a filter selects, for actions on many jobs.

use std::collections::BTreeMap;

use indicatif::ProgressBar;
use perch_jobs::JobId;
use perch_queue::{JobState, Queue, Queues};

use crate::{
    app::{chosen, known_kind, now},
    commands::filter::Filter,
    error::CommandError,
};

/// The selected jobs, by queue.
pub type Fitting = Vec<(Queue, Vec<JobId>)>;

/// The jobs in one of `states` that a filter selects, oldest first. `bar` counts the jobs read.
pub async fn fitting(
    filter: &Filter,
    queues: &Queues,
    states: &[JobState],
    bar: &ProgressBar,
) -> Result<Fitting, CommandError> {
    const AT_ONCE: usize = 500;
    let now = now(queues.redis()).await?;
    let mut all = Vec::new();
    for queue in chosen(queues, &filter.queue)? {
        let mut ids = Vec::new();
        queue.scan(|some| ids.extend(some)).await?;
        ids.sort_unstable();
        ids.dedup();
        let mut fit = Vec::new();
        for some in ids.chunks(AT_ONCE) {
            let views = queue.jobs(some).await?;
            fit.extend(
                views.iter().filter(|view| states.contains(&view.state) && filter.wants(*view, now)).map(|v| v.id),
            );
            bar.inc(some.len() as u64);
        }
        all.push((queue, fit));
    }
    known_kind(queues, filter.kind.as_ref(), total(&all))?;
    Ok(all)
}

/// The number of jobs.
pub fn total(fitting: &Fitting) -> u64 {
    fitting.iter().map(|(_, ids)| ids.len() as u64).sum()
}

/// The number of jobs by queue, for JSON.
pub fn by_queue(fitting: &Fitting) -> BTreeMap<String, usize> {
    let some = fitting.iter().filter(|(_, ids)| !ids.is_empty());
    some.map(|(queue, ids)| (queue.name().to_string(), ids.len())).collect()
}
