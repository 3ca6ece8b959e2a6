//! Enqueues the jobs of a plan: each is sent again, with the same id, until it is accepted.

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
    plan::{EnqueuePath, Offer, Planned},
};

/// The producers of a run.
#[derive(Debug, Clone)]
pub struct Producers {
    /// In process, over a direct connection.
    pub client: Client,
    /// Over HTTP.
    pub http: reqwest::Client,
    /// Where the API listens.
    pub api: String,
    /// The key of the API.
    pub token: String,
    /// Postgres, over a direct connection.
    pub pool: PgPool,
    /// The journal of the run.
    pub journal: Arc<Journal>,
    /// Held for writing while nobody may enqueue.
    pub gate: Arc<RwLock<()>>,
}

/// Calls under way at once.
const AT_ONCE: usize = 48;
/// The pause before an offer is repeated.
const AGAIN: Duration = Duration::from_millis(250);

/// The result of offering one job.
enum OfferOutcome {
    Accepted,
    /// Kept in Postgres until the relay hands it to Redis.
    Deferred,
    Kept,
    Replaced,
    /// The holder of the key was running.
    Refused,
    /// The result is unknown, or the server was away: offer it again.
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

impl Producers {
    /// Makes each offer at its time; returns when every job is accepted.
    pub async fn offer_all(self, offers: Vec<Offer>) {
        let start = Instant::now();
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut running = JoinSet::new();
        for offer in offers {
            tokio::time::sleep_until(start + offer.at).await;
            let place = places.clone().acquire_owned().await;
            let producers = self.clone();
            running.spawn(async move {
                producers.offer(offer).await;
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
            let answers = match offer.path {
                EnqueuePath::Client => self.through_client(&left, now).await,
                EnqueuePath::Sql => self.through_sql(&left, now).await,
                EnqueuePath::Api if left.len() == 1 => vec![self.through_api(&left[0], now).await],
                EnqueuePath::Api => self.through_batch(&left, now).await,
            };
            drop(open);
            let mut again = Vec::new();
            for (job, answer) in left.into_iter().zip(answers) {
                if let Some(job) = self.note(job, answer, offer.path, now, asked_ms) {
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
    fn note(
        &self,
        job: Planned,
        answer: OfferOutcome,
        path: EnqueuePath,
        now: DateTime<Utc>,
        asked_ms: i64,
    ) -> Option<Planned> {
        let mut notes = self.journal.notes();
        match answer {
            OfferOutcome::Accepted | OfferOutcome::Deferred | OfferOutcome::Replaced => {
                let accepted = Accepted {
                    label: job.label,
                    expect: job.expect,
                    effect: job.effect.clone(),
                    ledger: job.has_ledger() || path == EnqueuePath::Sql,
                    only_in_postgres: path == EnqueuePath::Sql || matches!(answer, OfferOutcome::Deferred),
                    asked_ms,
                    answered_ms: now_ms(),
                };
                notes.accepted.insert(job.id_at(now), accepted);
                if matches!(answer, OfferOutcome::Replaced) {
                    notes.replaced += 1;
                }
            }
            OfferOutcome::Kept => notes.kept += 1,
            OfferOutcome::Refused => notes.refused += 1,
            OfferOutcome::Again => {
                notes.repeated += 1;
                return Some(job);
            }
            OfferOutcome::Never(why) => notes.troubles.push(format!("a {} was refused: {why}", job.label.as_str())),
        }
        None
    }

    async fn through_client(&self, jobs: &[Planned], now: DateTime<Utc>) -> Vec<OfferOutcome> {
        let jobs = jobs.iter().map(|job| job.for_client(now)).collect();
        let answers = self.client.submit_all(jobs).await;
        let read = |answer: Result<perch_queue::Enqueued, EnqueueError>| match answer {
            Ok(enqueued) => match enqueued.acceptance {
                Acceptance::Kept => OfferOutcome::Kept,
                Acceptance::Replaced => OfferOutcome::Replaced,
                Acceptance::Deferred => OfferOutcome::Deferred,
                _ => OfferOutcome::Accepted,
            },
            Err(EnqueueError::Conflict { .. }) => OfferOutcome::Refused,
            Err(error) if error.disposition() == Disposition::Never => OfferOutcome::Never(error.to_string()),
            Err(_) => OfferOutcome::Again,
        };
        answers.into_iter().map(read).collect()
    }

    async fn through_sql(&self, jobs: &[Planned], now: DateTime<Utc>) -> Vec<OfferOutcome> {
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            let (kind, payload, id, attempts) = job.for_sql(now);
            let asked = sqlx::query_scalar::<_, String>(ENQUEUE).bind(kind).bind(payload).bind(id).bind(attempts);
            answers.push(match asked.fetch_one(&self.pool).await {
                Ok(_) => OfferOutcome::Accepted,
                Err(sqlx::Error::Database(error)) if is_refusal(error.as_ref()) => {
                    OfferOutcome::Never(error.to_string())
                }
                Err(_) => OfferOutcome::Again,
            });
        }
        answers
    }

    async fn through_api(&self, job: &Planned, now: DateTime<Utc>) -> OfferOutcome {
        let url = format!("{}/api/v1/jobs", self.api);
        let sent = self.http.post(url).bearer_auth(&self.token).json(&job.for_api(now)).send().await;
        let Ok(response) = sent else { return OfferOutcome::Again };
        let status = response.status();
        let Ok(body) = response.text().await else { return OfferOutcome::Again };
        let outcome = serde_json::from_str::<EnqueueAnswer>(&body).ok().map(|answer| answer.outcome);
        read_status(status, outcome.as_deref(), &body)
    }

    async fn through_batch(&self, jobs: &[Planned], now: DateTime<Utc>) -> Vec<OfferOutcome> {
        let url = format!("{}/api/v1/jobs/batch", self.api);
        let lines: Vec<String> = jobs.iter().map(|job| job.for_api(now).to_string()).collect();
        let request = self.http.post(url).bearer_auth(&self.token).header("content-type", "application/x-ndjson");
        let all = |answer: fn() -> OfferOutcome| jobs.iter().map(|_| answer()).collect::<Vec<_>>();
        let Ok(response) = request.body(lines.join("\n")).send().await else { return all(|| OfferOutcome::Again) };
        let status = response.status();
        let Ok(body) = response.text().await else { return all(|| OfferOutcome::Again) };
        let mut answers = all(|| OfferOutcome::Again);
        if !status.is_success() {
            if let OfferOutcome::Never(why) = read_status(status, None, &body) {
                answers = jobs.iter().map(|_| OfferOutcome::Never(why.clone())).collect();
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

/// SQL states of class 22 are about values. An unknown kind is no refusal: the first scheduler has not registered it yet.
fn is_refusal(error: &dyn sqlx::error::DatabaseError) -> bool {
    error.code().is_some_and(|code| code.starts_with("22")) && !error.message().contains("is unknown")
}

fn read_status(status: StatusCode, outcome: Option<&str>, body: &str) -> OfferOutcome {
    match (status, outcome) {
        (_, Some("kept")) => OfferOutcome::Kept,
        (_, Some("replaced")) => OfferOutcome::Replaced,
        (_, Some("deferred")) => OfferOutcome::Deferred,
        (status, Some(_)) if status.is_success() => OfferOutcome::Accepted,
        (StatusCode::CONFLICT, _) => OfferOutcome::Refused,
        (StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT, _) => OfferOutcome::Again,
        (status, _) if status.is_client_error() => OfferOutcome::Never(body.chars().take(300).collect()),
        _ => OfferOutcome::Again,
    }
}
