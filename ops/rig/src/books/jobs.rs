//! Checks that every accepted job is done, or dead with a reason.

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::{PgPool, Row as _};

use super::{Findings, LOST, STUCK, leftovers::RedisContents};
use crate::{
    error::RigError,
    journal::{Accepted, Notes, Server, now_ms},
    label::{Expect, Label},
};

/// A job as Postgres has it.
#[derive(Debug)]
pub struct JobRow {
    pub kind: Option<String>,
    pub state: String,
    pub last_error: Option<String>,
    created_ms: i64,
    /// How often it was enqueued; 1 once it has ended.
    enqueued: i64,
}

impl JobRow {
    fn is_final(&self) -> bool {
        matches!(self.state.as_str(), "done" | "dead" | "cancelled" | "discarded")
    }

    /// The latest time at which it may have been enqueued in Redis. For a job that was enqueued again this is now: its events carry the
    /// times of stream ids, which run ahead after a step of the clock.
    fn enqueued_by(&self) -> i64 {
        if self.enqueued > 1 { now_ms() } else { self.created_ms }
    }
}

/// All jobs that Postgres knows, by id.
pub type Rows = HashMap<String, JobRow>;

/// How the jobs ended, in numbers.
#[derive(Debug, Default)]
pub struct JobOutcomes {
    /// Done, dead and cancelled jobs by label, or by kind for jobs that followed from others.
    pub by_label: BTreeMap<String, [u64; 3]>,
    /// Jobs lost in a kill of Redis, within the second by which its append-only file may be behind.
    pub within_promise: u64,
    /// Jobs without a ledger lost in the wipe of Redis.
    pub wiped: u64,
    /// Jobs that Postgres lost with its last seconds, or with everything newer than its copy.
    pub forgotten: u64,
}

pub async fn rows(pool: &PgPool) -> Result<Rows, RigError> {
    let rows = sqlx::query(
        "select id, kind, state, last_error, (extract(epoch from created_at) * 1000)::bigint as created_ms,
                case when state not in ('done', 'dead', 'cancelled', 'discarded') then (
                    select count(*) from job_events e
                    where e.environment = j.environment and e.job_id = j.id and e.kind = 'enqueued'
                ) else 1 end as enqueued
         from jobs j",
    )
    .fetch_all(pool)
    .await?;
    let mut all = Rows::with_capacity(rows.len());
    for row in rows {
        let job = JobRow {
            kind: row.try_get("kind")?,
            state: row.try_get("state")?,
            last_error: row.try_get("last_error")?,
            created_ms: row.try_get("created_ms")?,
            enqueued: row.try_get("enqueued")?,
        };
        all.insert(row.try_get("id")?, job);
    }
    Ok(all)
}

/// Whether Redis may have lost a job that was enqueued from `from_ms` to `to_ms` by the clock of the producer.
fn taken_with_redis(notes: &Notes, from_ms: i64, to_ms: i64) -> bool {
    let steps: &[i64] = if notes.clocks_stepped { &[0, HOUR_MS, -HOUR_MS] } else { &[0] };
    steps.iter().any(|step| notes.may_have_lost_within(Server::Redis, from_ms + step, to_ms + step))
}

/// Whether Redis may have lost an accepted job, as promised.
fn is_within_promise(notes: &Notes, job: &Accepted) -> bool {
    !job.ledger && taken_with_redis(notes, job.asked_ms, job.answered_ms)
}

const HOUR_MS: i64 = 3_600_000;

/// Whether Postgres may have lost all it knew of a job, and the loss is allowed: only Postgres knew of the job, the outside world has
/// seen its effect, or it has no effect.
fn may_be_forgotten(notes: &Notes, job: &Accepted, happened: &HashSet<String>) -> bool {
    let seen = job.effect.as_ref().is_none_or(|effect| happened.contains(effect));
    notes.may_have_lost(Server::Postgres, job.answered_ms) && (job.only_in_postgres || seen)
}

/// How a job ended, compared with what was expected.
#[derive(Debug, PartialEq, Eq)]
enum JobCheck {
    Good,
    Lost,
    Stuck,
    NoReason,
    Otherwise,
}

/// The reasons of a job cancelled because of its unique key: a newer job replaced it, or Redis, which was away when the job
/// was accepted, already had another.
const REPLACED: [&str; 2] = ["replaced by a newer job", "held the unique key and was kept"];

fn judge(expect: Expect, row: Option<&JobRow>, in_redis: bool) -> JobCheck {
    let Some(row) = row else { return if in_redis { JobCheck::Stuck } else { JobCheck::Lost } };
    if !row.is_final() {
        return if in_redis { JobCheck::Stuck } else { JobCheck::Lost };
    }
    let reason = row.last_error.as_deref().unwrap_or_default();
    match (expect, row.state.as_str()) {
        (Expect::Dead | Expect::Ended, "dead") if reason.is_empty() => JobCheck::NoReason,
        (Expect::Done | Expect::Ended | Expect::DoneOrReplaced, "done") | (Expect::Dead | Expect::Ended, "dead") => {
            JobCheck::Good
        }
        (Expect::DoneOrReplaced, "cancelled") if REPLACED.iter().any(|said| reason.contains(said)) => JobCheck::Good,
        _ => JobCheck::Otherwise,
    }
}

/// Checks the accepted jobs. `happened` has the effects that the outside world saw.
pub fn check(
    notes: &Notes,
    rows: &Rows,
    held: &RedisContents,
    happened: &HashSet<String>,
    findings: &mut Findings,
) -> JobOutcomes {
    let mut ends = JobOutcomes::default();
    for (id, job) in &notes.accepted {
        let name = id.to_string();
        let row = rows.get(&name);
        let told = |row: Option<&JobRow>| describe(&name, job.label, row);
        match judge(job.expect, row, held.jobs.contains(&name)) {
            JobCheck::Good => {}
            JobCheck::Lost if notes.wiped.contains(id) => ends.wiped += 1,
            JobCheck::Lost if is_within_promise(notes, job) => ends.within_promise += 1,
            // It was done, and only Postgres knew that.
            JobCheck::Lost if may_be_forgotten(notes, job, happened) => ends.forgotten += 1,
            JobCheck::Lost => findings.add(LOST, told(row)),
            JobCheck::Stuck => findings.add(STUCK, told(row)),
            JobCheck::NoReason => findings.add("dead without a reason", told(row)),
            JobCheck::Otherwise => findings.add("ended otherwise than it had to", told(row)),
        }
        count(&mut ends, job.label.as_str(), row);
    }
    others(notes, rows, held, &mut ends, findings);
    for (id, row) in rows {
        // The dead letter was lost with its job, and only Postgres knows how it ended.
        let went =
            || id.parse().is_ok_and(|id| notes.accepted.get(&id).is_some_and(|job| is_within_promise(notes, job)));
        if row.state == "dead" && !held.dead.contains(id) && went() {
            ends.within_promise += 1;
        } else if (row.state == "dead") != held.dead.contains(id) {
            findings.add("Redis and Postgres disagree on who is dead", format!("{id} ({})", row.state));
        }
    }
    for id in held.jobs.iter().filter(|id| !rows.contains_key(*id)) {
        findings.add("in Redis and unknown to Postgres", id.clone());
    }
    ends
}

/// Checks the jobs that followed from others, and those of cron.
fn others(notes: &Notes, rows: &Rows, held: &RedisContents, ends: &mut JobOutcomes, findings: &mut Findings) {
    let accepted = |id: &String| id.parse().is_ok_and(|id| notes.accepted.contains_key(&id));
    for (id, row) in rows.iter().filter(|(id, _)| !accepted(id)) {
        let kind = row.kind.as_deref().unwrap_or("of unknown kind");
        if !row.is_final() {
            let told = format!("{id} ({kind}, {})", row.state);
            let wiped = id.parse().is_ok_and(|id| notes.wiped.contains(&id));
            match held.jobs.contains(id) {
                true => findings.add(STUCK, told),
                false if wiped => ends.wiped += 1,
                false if taken_with_redis(notes, row.created_ms, row.enqueued_by()) => ends.within_promise += 1,
                false => findings.add(LOST, told),
            }
        }
        count(ends, &format!("({kind})"), Some(row));
    }
}

fn count(ends: &mut JobOutcomes, label: &str, row: Option<&JobRow>) {
    let Some(row) = row else { return };
    let line = ends.by_label.entry(label.to_owned()).or_default();
    match row.state.as_str() {
        "done" => line[0] += 1,
        "dead" => line[1] += 1,
        "cancelled" => line[2] += 1,
        _ => {}
    }
}

fn describe(id: &str, label: Label, row: Option<&JobRow>) -> String {
    let label = label.as_str();
    match row {
        None => format!("{id} ({label}, unknown to Postgres)"),
        Some(row) => {
            let error: String = row.last_error.as_deref().unwrap_or("no error").chars().take(200).collect();
            format!("{id} ({label}, {}: {error})", row.state)
        }
    }
}

/// Checks that no job starts before its time, ends more often than it was enqueued or dies with attempts left, and that
/// the sync set no row aside.
pub async fn check_times(pool: &PgPool, notes: &Notes, findings: &mut Findings) -> Result<(), RigError> {
    let questions = [
        ("left in the outbox", UNSENT),
        ("started before its time", EARLY),
        ("ended more than once", TWICE),
        ("dead of lost workers with attempts left", GIVEN_UP),
        ("put aside by the sync", REJECTED),
    ];
    // A server that lost its last seconds may have lost the end of a job that the other knows; the job then runs again, as promised.
    let forgetful = !notes.losses.is_empty();
    for (what, question) in questions.into_iter().filter(|(_, question)| !forgetful || *question != TWICE) {
        let found: Vec<String> = sqlx::query_scalar(question).fetch_all(pool).await?;
        for which in found {
            findings.add(what, which);
        }
    }
    Ok(())
}

// Redis sets the time of an entry a moment before the script reads the clock.
const EARLY: &str = "
    select distinct e.job_id from job_events e join jobs j on j.environment = e.environment and j.id = e.job_id
    where e.kind = 'started' and e.attempt = 1 and (j.envelope->>'run_at') is not null
      and extract(epoch from e.at) * 1000 + 5 < (j.envelope->>'run_at')::bigint";
const TWICE: &str = "
    select job_id from job_events group by job_id
    having count(*) filter (where kind in ('succeeded', 'dead'))
         > count(*) filter (where kind in ('enqueued', 'replayed'))";
const GIVEN_UP: &str =
    "select id from jobs where state = 'dead' and last_error like 'worker lost%' and attempts < max_attempts";
const UNSENT: &str = "select id from outbox where handed_over_at is null";
const REJECTED: &str = "select stream || ' ' || field || ': ' || reason from sync_rejects";

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: &str, error: Option<&str>) -> JobRow {
        JobRow { kind: None, state: state.into(), last_error: error.map(str::to_owned), created_ms: 0, enqueued: 1 }
    }

    #[test]
    fn a_job_that_nobody_knows_is_lost_and_one_that_redis_still_holds_is_stuck() {
        assert_eq!(judge(Expect::Done, None, false), JobCheck::Lost);
        assert_eq!(judge(Expect::Done, None, true), JobCheck::Stuck);
        assert_eq!(judge(Expect::Done, Some(&row("running", None)), false), JobCheck::Lost);
        assert_eq!(judge(Expect::Done, Some(&row("delayed", None)), true), JobCheck::Stuck);
    }

    #[test]
    fn a_dead_job_needs_a_reason_and_one_that_had_to_succeed_may_not_be_dead() {
        assert_eq!(judge(Expect::Dead, Some(&row("dead", None)), true), JobCheck::NoReason);
        assert_eq!(judge(Expect::Dead, Some(&row("dead", Some("boom"))), true), JobCheck::Good);
        assert_eq!(judge(Expect::Done, Some(&row("dead", Some("boom"))), true), JobCheck::Otherwise);
        assert_eq!(judge(Expect::Dead, Some(&row("done", None)), false), JobCheck::Otherwise);
    }
}
