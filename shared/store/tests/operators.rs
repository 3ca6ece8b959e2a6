//! What operators can find, change and look up.
#![allow(clippy::unwrap_used, reason = "a test that panics says where and why")]

mod world;

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use perch_base::{Environment, Paging};
use perch_jobs::{JobId, JobKind};
use perch_queue::{Ledger as _, LedgerJob, LedgerState, OnConflict};
use perch_store::{AuditFilter, IdempotentRequest, JobFilter, JobState, Pruned, Scope, StoreError};
use perch_testkit::TestDatabase;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use world::{World, envelope, job, queue};

#[tokio::test]
async fn jobs_are_found_by_what_is_known_of_them() {
    let mut world = World::start().await;
    world.event("enqueued", job(1), &envelope("extract_post")).await;
    world.event("enqueued", job(2), &envelope("publish_post")).await;
    world.event("dead", job(2), r#"{"attempt":1,"error":"403 Forbidden: 100% no"}"#).await;
    world.sync().await;
    let found = async |filter: JobFilter| -> Vec<_> {
        world.store.history().search(&filter).await.unwrap().into_iter().map(|job| job.kind.unwrap()).collect()
    };
    let any = JobFilter::default;
    assert_eq!(found(any()).await, ["publish_post", "extract_post"]);
    assert_eq!(found(JobFilter { kind: Some(JobKind::from_static("extract_post")), ..any() }).await.len(), 1);
    assert_eq!(found(JobFilter { state: Some(JobState::Dead), ..any() }).await, ["publish_post"]);
    assert_eq!(found(JobFilter { error: Some("forbidden: 100%".into()), ..any() }).await, ["publish_post"]);
    assert_eq!(found(JobFilter { group: Some("main".into()), ..any() }).await.len(), 2);
    assert_eq!(found(JobFilter { group: Some("other".into()), ..any() }).await.len(), 0);
    assert_eq!(found(JobFilter { queue: vec![queue()], ..any() }).await.len(), 2);
    let hour_ago = Some("1h".parse().unwrap());
    assert_eq!(found(JobFilter { until: hour_ago, ..any() }).await.len(), 0);
    assert_eq!(found(JobFilter { since: hour_ago, ..any() }).await.len(), 2);
}

#[tokio::test]
async fn old_history_is_pruned_in_batches_and_jobs_still_to_run_are_kept() {
    let mut world = World::start().await;
    let day = 86_400_000;
    let now = u64::try_from(Utc::now().timestamp_millis()).unwrap();
    let old = now - 40 * day;
    let made = Utc::now() - TimeDelta::days(40);
    let aged = |n: u64| JobId::from_parts(made, u128::from(n) + 1);
    let [to_come, forgotten] = [aged(10), aged(11)];
    for n in 0..5 {
        let fields =
            [("enqueued", aged(n), envelope("extract_post")), ("succeeded", aged(n), r#"{"attempt":1}"#.to_owned())];
        let fields: Vec<_> = fields.iter().map(|(word, id, value)| (*word, *id, value.as_str())).collect();
        world.event_at(old + n, &fields).await;
    }
    let later = format!(r#"{{"kind":"extract_post","max":1,"run_at":{},"payload":{{}}}}"#, now + day);
    world.event_at(old + 10, &[("enqueued", to_come, &later)]).await;
    world
        .event_at(old + 11, &[("retried", forgotten, r#"{"attempt":1,"error":"forgotten by a history of failures"}"#)])
        .await;
    world.event("enqueued", job(12), &envelope("extract_post")).await;
    world.sync().await;

    let cutoff = Utc::now() - TimeDelta::days(30);
    let history = world.store.history();
    assert_eq!(history.prune(cutoff, 4).await.unwrap(), Pruned { jobs: 4, events: 8 });
    assert_eq!(history.prune(cutoff, 4).await.unwrap(), Pruned { jobs: 2, events: 3 });
    assert_eq!(history.prune(cutoff, 4).await.unwrap(), Pruned::default());
    assert_eq!(history.job(to_come).await.unwrap().unwrap().state, JobState::Delayed);
    assert_eq!(history.search(&JobFilter::default()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn the_audit_log_tells_who_did_what_to_what() {
    let world = World::start().await;
    let audit = world.store.audit();
    audit.record("ann", "queue.pause", "extraction", &json!({"why": "outage\0"})).await.unwrap();
    audit.record("bob", "dead.replay", "pending_posts", &json!({"jobs": 3})).await.unwrap();
    let all = audit.list(&AuditFilter::default(), &Paging::default()).await.unwrap().items;
    assert_eq!(all.iter().map(|entry| entry.actor.as_str()).collect::<Vec<_>>(), ["bob", "ann"]);
    assert_eq!(all[1].details["why"], "outage\u{fffd}");
    let about = AuditFilter { object: Some("extraction".into()), ..AuditFilter::default() };
    assert_eq!(audit.list(&about, &Paging::default()).await.unwrap().items.len(), 1);
    let production = world.database.store(Environment::Production);
    assert!(production.audit().list(&AuditFilter::default(), &Paging::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn an_api_key_is_known_by_its_token_alone_until_it_is_revoked() {
    let world = World::start().await;
    let keys = world.store.api_keys();
    let made = keys.create("billing", &[Scope::Read, Scope::Enqueue, Scope::Read]).await.unwrap();
    let token = made.token.expose_secret().to_owned();
    assert!(token.starts_with("perch_stg_"), "{token}");
    assert!(!format!("{made:?}").contains(&token));

    let known = keys.verify(&SecretString::from(token.clone())).await.unwrap().unwrap();
    assert_eq!(known.scopes, [Scope::Enqueue, Scope::Read]);
    assert!(known.may(Scope::Enqueue) && !known.may(Scope::Operate));
    assert!(keys.list(&Paging::default()).await.unwrap().items[0].last_used.is_some());
    for wrong in [format!("{token}x"), token.replace("stg", "prod"), String::new(), "perch_stg_".into()] {
        assert!(keys.verify(&SecretString::from(wrong)).await.unwrap().is_none());
    }
    let production = world.database.store(Environment::Production);
    assert!(production.api_keys().verify(&SecretString::from(token.clone())).await.unwrap().is_none());

    assert_eq!(keys.revoke("billing").await.unwrap().unwrap().id, known.id);
    assert!(keys.verify(&SecretString::from(token)).await.unwrap().is_none());
    assert!(keys.revoke("billing").await.unwrap().is_none());
}

#[tokio::test]
async fn the_token_itself_is_stored_nowhere() {
    let world = World::start().await;
    let made = world.store.api_keys().create("billing", &[Scope::Read]).await.unwrap();
    let row: String =
        sqlx::query_scalar("select k::text from api_keys k").fetch_one(&world.database.raw()).await.unwrap();
    assert!(!row.contains(made.token.expose_secret()), "{row}");
}

#[tokio::test]
async fn a_key_without_a_name_or_a_scope_is_refused_and_a_name_is_used_once_at_a_time() {
    let world = World::start().await;
    let keys = world.store.api_keys();
    assert!(matches!(keys.create("", &[Scope::Read]).await, Err(StoreError::Invalid { .. })));
    assert!(matches!(keys.create("a\nb", &[Scope::Read]).await, Err(StoreError::Invalid { .. })));
    assert!(matches!(keys.create("billing", &[]).await, Err(StoreError::Invalid { .. })));
    keys.create("billing", &[Scope::Read]).await.unwrap();
    let twice = keys.create("billing", &[Scope::Read]).await.unwrap_err();
    assert!(twice.to_string().contains("in use"), "{twice}");
    keys.revoke("billing").await.unwrap().unwrap();
    keys.create("billing", &[Scope::Operate]).await.unwrap();
    assert_eq!("operate".parse(), Ok(Scope::Operate));
    assert!("root".parse::<Scope>().unwrap_err().to_string().contains("enqueue"));
}

#[tokio::test]
async fn of_racing_claims_of_an_idempotency_key_one_gets_it_and_the_others_hear_who() {
    let database = TestDatabase::create().await;
    let store = database.store(Environment::Staging);
    let (key, day) = ("a".repeat(64), Duration::from_secs(86_400));
    let mine = |n| IdempotentRequest { request: "b".repeat(64), job: job(n), answer: None };
    let requests: Vec<IdempotentRequest> = (0..6).map(mine).collect();
    let keys = store.idempotency_keys();
    let claims = futures::future::try_join_all(requests.iter().map(|mine| keys.claim(&key, mine, day))).await.unwrap();
    let winner = claims.iter().position(Option::is_none).unwrap();
    for (n, claim) in claims.iter().enumerate() {
        assert_eq!(claim.as_ref(), (n != winner).then_some(&requests[winner]));
    }
    let answered = IdempotentRequest { answer: Some(json!({ "id": 1 })), ..requests[winner].clone() };
    keys.keep(&key, &answered, day).await.unwrap();
    assert_eq!(keys.find(&key).await.unwrap(), Some(answered));
    let production = database.store(Environment::Production);
    assert_eq!(production.idempotency_keys().find(&key).await.unwrap(), None);

    keys.keep(&key, &requests[0], Duration::ZERO).await.unwrap();
    assert_eq!(keys.find(&key).await.unwrap(), None, "it has run out");
    assert_eq!((production.idempotency_keys().prune().await.unwrap(), keys.prune().await.unwrap()), (0, 1));
}

#[tokio::test]
async fn the_key_of_a_request_that_was_answered_is_not_let_go_of() {
    let database = TestDatabase::create().await;
    let store = database.store(Environment::Staging);
    let (keys, key, day) = (store.idempotency_keys(), "a".repeat(64), Duration::from_secs(86_400));
    let asked = IdempotentRequest { request: "b".repeat(64), job: job(1), answer: None };
    assert_eq!(keys.claim(&key, &asked, day).await.unwrap(), None);
    assert!(keys.release(&key).await.unwrap());
    assert_eq!(keys.claim(&key, &asked, day).await.unwrap(), None, "it was free again");

    let answered = IdempotentRequest { answer: Some(json!({ "id": 1 })), ..asked };
    keys.keep(&key, &answered, day).await.unwrap();
    assert!(!keys.release(&key).await.unwrap());
    assert_eq!(keys.find(&key).await.unwrap(), Some(answered));
}

#[tokio::test]
async fn a_job_that_was_cancelled_before_redis_had_it_was_not_accepted_and_may_be_asked_for_again() {
    let database = TestDatabase::create().await;
    let store = database.store(Environment::Staging);
    let (queue, kind) = (queue(), "extract_post".parse().unwrap());
    let asked =
        LedgerJob { id: job(1), queue, kind, envelope: envelope("extract_post"), on_conflict: OnConflict::Keep };
    assert_eq!(store.keep(std::slice::from_ref(&asked)).await.unwrap(), [LedgerState::New]);
    sqlx::query("update outbox set relay_at = clock_timestamp()").execute(&database.raw()).await.unwrap();
    let never = [(asked.id, "another stands for it".to_owned())];
    store.outbox().take(1).await.unwrap().settle(&[], &never, &[]).await.unwrap();
    let state = async || store.history().job(asked.id).await.unwrap().unwrap().state;
    assert_eq!(state().await, JobState::Cancelled);
    assert_eq!(store.idempotency_keys().accepted(asked.id).await.unwrap(), None);

    assert_eq!(store.keep(std::slice::from_ref(&asked)).await.unwrap(), [LedgerState::New]);
    assert_eq!(state().await, JobState::Waiting);
    // As an event of Redis reports it.
    let told = "update jobs set state = 'cancelled', version_ms = 1";
    sqlx::query(told).execute(&database.raw()).await.unwrap();
    assert_eq!(store.idempotency_keys().accepted(asked.id).await.unwrap(), Some(asked.queue));
}
