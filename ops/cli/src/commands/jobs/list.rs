use chrono::{DateTime, Utc};
use perch_core::job_list::{JobSummary, finished, unfinished};
use perch_jobs::JobState;
use perch_queue::JobFilter;

use crate::{
    app::{App, chosen, known_kind, store},
    error::CommandError,
    format::{
        table::{Listing, Tone, cell, cut, whole},
        time::from_now,
    },
    output::Paging,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub filter: JobFilter,
    #[command(flatten)]
    pub paging: Paging,
}

pub async fn run(app: &App, Args { filter, paging }: &Args) -> Result<(), CommandError> {
    let (settings, queues) = app.queues()?;
    let (paging, wanted) = (paging.or(20), chosen(&queues, &filter.queue)?);
    // Ages follow the clock of the server that has the jobs.
    let (page, now) = if filter.state.is_none_or(JobState::is_live) {
        (unfinished(&wanted, filter, &paging).await?, queues.now())
    } else {
        let store = store(&settings)?;
        let now = store.server().await?.clock;
        (finished(&store, filter, &paging, now).await?, now)
    };
    known_kind(&queues, filter.kind.as_ref(), page.items.len() as u64)?;
    app.out.page(&page, "there is no such job", |jobs| listing(jobs, now))
}

fn listing(jobs: &[JobSummary], now: DateTime<Utc>) -> Listing {
    let mut listing =
        Listing::new([whole("ID"), cut("KIND"), whole("STATE"), whole("TRY"), whole("WHEN"), cut("ERROR")]);
    for job in jobs {
        let tries = job.max_attempts.map_or_else(|| job.attempts.to_string(), |max| format!("{}/{max}", job.attempts));
        let when = match job.state {
            JobState::Delayed => job.run_at,
            state if state.is_final() => job.finished_at,
            _ => None,
        };
        listing.row([
            cell(job.id),
            cell(job.kind.as_deref().unwrap_or("unreadable")),
            cell(job.state).tone(tone(job.state)),
            cell(tries),
            cell(from_now(when.unwrap_or(job.created_at), now)),
            cell(job.last_error.as_deref().unwrap_or_default()).tone(Tone::Faint),
        ]);
    }
    listing
}

fn tone(state: JobState) -> Tone {
    match state {
        JobState::Dead => Tone::Bad,
        JobState::Running | JobState::Done => Tone::Good,
        JobState::Delayed => Tone::Warn,
        _ => Tone::Plain,
    }
}

#[cfg(test)]
mod tests {
    use perch_jobs::{JobId, Priority, QueueName};

    use super::*;

    #[test]
    fn a_list_of_jobs_fits_80_columns_with_its_ids_whole() {
        let id = JobId::at(Utc::now());
        let job = JobSummary {
            id,
            queue: QueueName::from_static("analytics_processing"),
            kind: Some("collect_metrics".into()),
            state: JobState::Cancelled,
            priority: Priority::Normal,
            group: None,
            parent: None,
            created_at: Utc::now(),
            run_at: None,
            finished_at: Some(Utc::now() - chrono::TimeDelta::minutes(59)),
            attempts: 12,
            max_attempts: Some(16),
            replays: 0,
            worker: None,
            lease_ends: None,
            cancelling: false,
            last_error: Some("the service said 503 and that it would like to be left alone for some time".into()),
        };
        let text = listing(&[job], Utc::now()).render(80, false);
        assert!(text.contains(&id.to_string()) && text.contains('…'), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}
