//! How jobs come in: each is offered again, with the same id, until it is accepted.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use perch_base::{Classified as _, Disposition};
use perch_queue::{Acceptance, Client, EnqueueError};
use reqwest::StatusCode;
use serde::Deserialize;
use sqlx::PgPool;
use tokio::{
    sync::{RwLock, Semaphore},
    task::JoinSet,
    time::Instant,
};

use crate::{
    journal::{Accepted, Journal, now_ms},
    plan::{Door, Offer, Planned},
};

/// The ways in.
#[derive(Debug, Clone)]
pub struct Doors {
    /// In process, by a way on which nothing goes wrong.
    pub client: Client,
    /// Over HTTP.
    pub http: reqwest::Client,
    /// Where the API listens.
    pub api: String,
    /// The key of the API.
    pub token: String,
    /// Postgres, by such a way.
    pub pool: PgPool,
    /// Where everything is noted.
    pub journal: Arc<Journal>,
    /// Held for writing while nobody may enqueue.
    pub gate: Arc<RwLock<()>>,
}

/// Calls under way at once.
const AT_ONCE: usize = 48;
/// The pause before an offer is repeated.
const AGAIN: Duration = Duration::from_millis(250);

/// What became of one job of an offer.
enum Answer {
    Accepted,
    /// Redis is told later.
    Deferred,
    Kept,
    Replaced,
    /// The holder of the key was running.
    Refused,
    /// It is not known, or the server was away.
    Again,
    /// It will never be accepted.
    Never(String),
}

#[derive(Deserialize)]
struct EnqueueAnswer {
    outcome: String,
}

#[derive(Deserialize)]
struct Item {
    place: usize,
    status: u16,
    job: Option<EnqueueAnswer>,
}

impl Doors {
    /// Offers everything at its time; returns when all of it is accepted.
    pub async fn offer_all(self, offers: Vec<Offer>) {
        let start = Instant::now();
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut running = JoinSet::new();
        for offer in offers {
            tokio::time::sleep_until(start + offer.at).await;
            let place = places.clone().acquire_owned().await;
            let doors = self.clone();
            running.spawn(async move {
                doors.offer(offer).await;
                drop(place);
            });
            while running.try_join_next().is_some() {}
        }
        running.join_all().await;
    }

    async fn offer(&self, offer: Offer) {
        let now = Utc::now();
        let mut left = offer.jobs;
        loop {
            let open = self.gate.read().await;
            let asked_ms = now_ms();
            let answers = match offer.door {
                Door::Client => self.through_client(&left, now).await,
                Door::Sql => self.through_sql(&left, now).await,
                Door::Api if left.len() == 1 => vec![self.through_api(&left[0], now).await],
                Door::Api => self.through_batch(&left, now).await,
            };
            drop(open);
            let mut again = Vec::new();
            for (job, answer) in left.into_iter().zip(answers) {
                if let Some(job) = self.note(job, answer, offer.door, now, asked_ms) {
                    again.push(job);
                }
            }
            if again.is_empty() {
                return;
            }
            left = again;
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Notes an answer; gives the job back when it has to be offered again.
    fn note(&self, job: Planned, answer: Answer, door: Door, now: DateTime<Utc>, asked_ms: i64) -> Option<Planned> {
        let mut notes = self.journal.notes();
        match answer {
            Answer::Accepted | Answer::Deferred | Answer::Replaced => {
                let accepted = Accepted {
                    label: job.label,
                    expect: job.expect,
                    effect: job.effect.clone(),
                    ledger: job.has_ledger() || door == Door::Sql,
                    only_in_postgres: door == Door::Sql || matches!(answer, Answer::Deferred),
                    asked_ms,
                    answered_ms: now_ms(),
                };
                notes.accepted.insert(job.id_at(now), accepted);
                if matches!(answer, Answer::Replaced) {
                    notes.replaced += 1;
                }
            }
            Answer::Kept => notes.kept += 1,
            Answer::Refused => notes.refused += 1,
            Answer::Again => {
                notes.repeated += 1;
                return Some(job);
            }
            Answer::Never(why) => notes.troubles.push(format!("a {} was refused: {why}", job.label.as_str())),
        }
        None
    }

    async fn through_client(&self, jobs: &[Planned], now: DateTime<Utc>) -> Vec<Answer> {
        let jobs = jobs.iter().map(|job| job.for_client(now)).collect();
        let answers = self.client.submit_all(jobs).await;
        let read = |answer: Result<perch_queue::Enqueued, EnqueueError>| match answer {
            Ok(enqueued) => match enqueued.acceptance {
                Acceptance::Kept => Answer::Kept,
                Acceptance::Replaced => Answer::Replaced,
                Acceptance::Deferred => Answer::Deferred,
                _ => Answer::Accepted,
            },
            Err(EnqueueError::Conflict { .. }) => Answer::Refused,
            Err(error) if error.disposition() == Disposition::Never => Answer::Never(error.to_string()),
            Err(_) => Answer::Again,
        };
        answers.into_iter().map(read).collect()
    }

    async fn through_sql(&self, jobs: &[Planned], now: DateTime<Utc>) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            let (kind, payload, id, attempts) = job.for_sql(now);
            let asked = sqlx::query_scalar::<_, String>(ENQUEUE).bind(kind).bind(payload).bind(id).bind(attempts);
            answers.push(match asked.fetch_one(&self.pool).await {
                Ok(_) => Answer::Accepted,
                Err(sqlx::Error::Database(error)) if is_refusal(error.as_ref()) => Answer::Never(error.to_string()),
                Err(_) => Answer::Again,
            });
        }
        answers
    }

    async fn through_api(&self, job: &Planned, now: DateTime<Utc>) -> Answer {
        let url = format!("{}/api/v1/jobs", self.api);
        let sent = self.http.post(url).bearer_auth(&self.token).json(&job.for_api(now)).send().await;
        let Ok(response) = sent else { return Answer::Again };
        let status = response.status();
        let Ok(body) = response.text().await else { return Answer::Again };
        let outcome = serde_json::from_str::<EnqueueAnswer>(&body).ok().map(|answer| answer.outcome);
        read_status(status, outcome.as_deref(), &body)
    }

    async fn through_batch(&self, jobs: &[Planned], now: DateTime<Utc>) -> Vec<Answer> {
        let url = format!("{}/api/v1/jobs/batch", self.api);
        let lines: Vec<String> = jobs.iter().map(|job| job.for_api(now).to_string()).collect();
        let request = self.http.post(url).bearer_auth(&self.token).header("content-type", "application/x-ndjson");
        let all = |answer: fn() -> Answer| jobs.iter().map(|_| answer()).collect::<Vec<_>>();
        let Ok(response) = request.body(lines.join("\n")).send().await else { return all(|| Answer::Again) };
        let status = response.status();
        let Ok(body) = response.text().await else { return all(|| Answer::Again) };
        let mut answers = all(|| Answer::Again);
        if !status.is_success() {
            if let Answer::Never(why) = read_status(status, None, &body) {
                answers = jobs.iter().map(|_| Answer::Never(why.clone())).collect();
            }
            return answers;
        }
        for line in body.lines() {
            let Ok(item) = serde_json::from_str::<Item>(line) else { continue };
            let Ok(status) = StatusCode::from_u16(item.status) else { continue };
            if let Some(answer) = answers.get_mut(item.place.wrapping_sub(1)) {
                *answer = read_status(status, item.job.map(|job| job.outcome).as_deref(), line);
            }
        }
        answers
    }
}

const ENQUEUE: &str = "
    select perch_enqueue(kind => $1, payload => $2::json, environment => 'staging', id => $3, max_attempts => $4)";

/// Class 22 of SQL states is about the values. The kinds are unknown until the first scheduler has told them.
fn is_refusal(error: &dyn sqlx::error::DatabaseError) -> bool {
    error.code().is_some_and(|code| code.starts_with("22")) && !error.message().contains("is unknown")
}

fn read_status(status: StatusCode, outcome: Option<&str>, body: &str) -> Answer {
    match (status, outcome) {
        (_, Some("kept")) => Answer::Kept,
        (_, Some("replaced")) => Answer::Replaced,
        (_, Some("deferred")) => Answer::Deferred,
        (status, Some(_)) if status.is_success() => Answer::Accepted,
        (StatusCode::CONFLICT, _) => Answer::Refused,
        (StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT, _) => Answer::Again,
        (status, _) if status.is_client_error() => Answer::Never(body.chars().take(300).collect()),
        _ => Answer::Again,
    }
}
