//! How long jobs wait after their worker was killed or frozen.

use std::time::Duration;

use sqlx::{PgPool, Row as _};

use crate::{error::RigError, journal::Notes};

/// The time from the fault of a worker to the next attempt of each of its jobs.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Jobs that lost their worker.
    pub lost: usize,
    /// The median wait.
    pub median: Duration,
    /// The longest wait.
    pub longest: Duration,
}

const HALF_AN_HOUR_MS: i64 = 1_800_000;

pub async fn read(pool: &PgPool, notes: &Notes) -> Result<Recovery, RigError> {
    let rows = sqlx::query(
        "select l.worker, (extract(epoch from l.at) * 1000)::bigint as lost_ms,
                (select (extract(epoch from s.at) * 1000)::bigint from job_events s
                 where s.environment = l.environment and s.job_id = l.job_id and s.kind = 'started'
                   and (s.ms, s.seq, s.idx) > (l.ms, l.seq, l.idx)
                 order by s.ms, s.seq, s.idx limit 1) as again_ms
         from job_events l where l.kind = 'lost'",
    )
    .fetch_all(pool)
    .await?;
    let mut times = Vec::new();
    for row in &rows {
        let worker: Option<String> = row.try_get("worker")?;
        let (lost_ms, again_ms): (i64, Option<i64>) = (row.try_get("lost_ms")?, row.try_get("again_ms")?);
        let hit = worker.as_deref().and_then(pid_of).and_then(|pid| {
            notes.hits.iter().filter(|hit| hit.pid == pid && hit.at_ms <= lost_ms).map(|hit| hit.at_ms).max()
        });
        // A time measured across a step of the clock means nothing.
        if let (Some(hit), Some(again)) = (hit, again_ms)
            && (0..HALF_AN_HOUR_MS).contains(&(again - hit))
        {
            times.push(Duration::from_millis(u64::try_from(again - hit).unwrap_or(0)));
        }
    }
    times.sort_unstable();
    Ok(Recovery {
        lost: rows.len(),
        median: times.get(times.len() / 2).copied().unwrap_or_default(),
        longest: times.last().copied().unwrap_or_default(),
    })
}

/// The process in the name of a worker: host, process id, random letters.
fn pid_of(worker: &str) -> Option<u32> {
    worker.rsplit('-').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_the_part_before_the_last_of_the_name() {
        assert_eq!(pid_of("host-7-4711-0a1b"), Some(4711));
        assert_eq!(pid_of("nonsense"), None);
    }
}
