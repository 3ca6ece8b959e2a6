//! Jobs that other services enqueue with `perch_enqueue`, in their own transactions.

use std::time::Duration;

use perch_core::{
    recovery::{Watch, WatchOutcome},
    relay,
};
use perch_jobs::{JobId, PollAccount};
use perch_publishing::reconciler;
use perch_store::JobState;
use sqlx::PgPool;

use crate::world::{World, eventually};

async fn kinds_are_known(pool: &PgPool) {
    eventually("the relay has told of the kinds", || async {
        let known: i64 = sqlx::query_scalar("select count(*) from job_kinds").fetch_one(pool).await.ok()?;
        (known > 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_service_hands_over_in_sql_is_read_by_the_guard() {
    let world = World::start().await;
    world.relay();
    let pool = world.database().raw();
    kinds_are_known(&pool).await;
    let id: String = sqlx::query_scalar("select perch_enqueue('publish_post', $1::json)")
        .bind(serde_json::json!({ "account": "main", "text": "a guaranteed win at bet.com" }))
        .fetch_one(&pool)
        .await
        .expect("it is accepted");
    let job = world.ended(id.parse().expect("a ULID")).await;
    let error = job.last_error.unwrap_or_default();
    assert!(job.state == JobState::Dead && error.contains("the guard refuses the text"), "{error}");
    assert!(world.x.made().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_service_enqueues_inside_its_own_transaction() {
    let world = World::start().await;
    world.relay();
    let pool = world.database().raw();
    kinds_are_known(&pool).await;
    sqlx::query("create table orders (id int)").execute(&pool).await.expect("Postgres answers");
    for (text, commits) in [("undone", false), ("bought", true)] {
        let mut tx = pool.begin().await.expect("Postgres answers");
        sqlx::query("insert into orders values (1)").execute(&mut *tx).await.expect("Postgres answers");
        let id: String = sqlx::query_scalar("select perch_enqueue('publish_post', $1::json)")
            .bind(serde_json::json!({ "account": "main", "text": text }))
            .fetch_one(&mut *tx)
            .await
            .expect("it is accepted");
        if commits {
            tx.commit().await.expect("Postgres answers");
            let job = world.ended(id.parse().expect("a ULID")).await;
            assert_eq!((job.state, job.kind.as_deref()), (JobState::Done, Some("publish_post")));
        } else {
            tx.rollback().await.expect("Postgres answers");
        }
    }
    let texts: Vec<String> = world.x.made().into_iter().map(|made| made.text).collect();
    assert_eq!(texts, ["bought"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_enqueued_in_sql_is_put_back_when_redis_has_lost_it_whatever_its_queue() {
    let world = World::without_workers(&[]).await;
    let watch = Watch::new(&world.settings, world.client.queues(), &world.store, reconciler());
    watch.run_once().await.expect("both answer");
    world.relay();
    let pool = world.database().raw();
    kinds_are_known(&pool).await;
    let of = |username: &str| PollAccount { username: username.into() };
    let id: String = sqlx::query_scalar("select perch_enqueue('poll_account', $1::json)")
        .bind(serde_json::to_value(of("sharp_sally")).expect("JSON"))
        .fetch_one(&pool)
        .await
        .expect("it is accepted");
    let id: JobId = id.parse().expect("a ULID");
    let of_redis_alone = world.enqueue(&of("parlay_pete")).await;
    let queue = world.client.queues().get(&"extraction".parse().expect("a name")).expect("configured").clone();
    let has = async |id: JobId| queue.job(id).await.expect("Redis answers").is_some();
    eventually("it is handed over", || async { has(id).await.then_some(()) }).await;
    world.sync().await;
    eventually("nothing waits in the outbox", || async {
        (world.store.outbox().backlog().await.expect("Postgres answers").waiting == 0).then_some(())
    })
    .await;
    world.redis().wipe().await;
    let look = watch.run_once().await.expect("both answer");
    assert!(matches!(look, WatchOutcome::PutBack(_)), "{look:?}");
    assert!(has(id).await, "it is back");
    assert!(!has(of_redis_alone).await, "nobody but Redis was told of that one; `perch recover` brings it back");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_perch_enqueue_refuses_is_told_with_what_is_wrong() {
    let world = World::without_workers(&[]).await;
    world.relay();
    let pool = world.database().raw();
    kinds_are_known(&pool).await;
    let fine = r#"'publish_post', '{"account":"main","text":"x"}'"#;
    let cases = [
        (r"'publish_pst', '{}'".to_owned(), "kind \"publish_pst\" is unknown"),
        (r"'publish_post', '[]'".to_owned(), "must be a JSON object"),
        (r#"'publish_post', '{"account":"main"}'"#.to_owned(), "lacks text"),
        (r#"'publish_post', '{"account":"main","text":"x","txt":1}'"#.to_owned(), "must not have txt"),
        (format!("{fine}, priority => 'urgent'"), "priority \"urgent\""),
        (format!("{fine}, id => 'abc'"), "not a ULID"),
        (format!("{fine}, max_attempts => 0"), "max_attempts 0"),
        (format!("{fine}, run_at => now() + interval '9 years'"), "further ahead"),
        (format!("{fine}, deadline => now() - interval '1 s'"), "deadline"),
        (format!("{fine}, unique_key => ''"), "unique_key"),
        (format!("{fine}, on_conflict => 'maybe'"), "on_conflict \"maybe\""),
        (format!("{fine}, job_group => 'a|b'"), "job_group"),
        (format!("{fine}, environment => 'test'"), "unknown in test"),
    ];
    for (arguments, wrong) in cases {
        let sql = format!("select perch_enqueue({arguments})");
        let refused = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&pool).await.expect_err(&arguments).to_string();
        assert!(refused.contains(wrong), "{arguments}: {refused}");
    }
    assert_eq!(world.store.outbox().backlog().await.expect("Postgres answers").waiting, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_sql_for_the_key_of_a_reply_ends_in_the_dead_letters_with_the_reason() {
    let world = World::start().await;
    world.relay();
    let pool = world.database().raw();
    kinds_are_known(&pool).await;
    let asked = [
        r#"select perch_enqueue('publish_post', '{"account":"main","text":"mine","effect_key":"reply:main:1849"}')"#,
        r#"select perch_enqueue('publish_post', '{"account":"main","text":"mine"}', unique_key => 'reply:main:1849')"#,
    ];
    for ask in asked {
        let id: String =
            sqlx::query_scalar(ask).fetch_one(&pool).await.expect("Postgres does not know whose key it is");
        let letter = eventually("it is dead", || async {
            let queue = world.client.queues().get(&"pending_posts".parse().expect("a name")).expect("configured");
            queue.dead_letter(id.parse().expect("a ULID")).await.expect("Redis answers")
        })
        .await;
        assert!(letter.last_error().contains("belongs to Perch's own jobs"), "{ask}: {letter:?}");
    }
    assert_eq!(world.x.made().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_payload_does_not_fit_ends_in_the_dead_letters_with_the_reason() {
    let world = World::start().await;
    world.relay();
    let pool = world.database().raw();
    kinds_are_known(&pool).await;
    let id: String = sqlx::query_scalar(r#"select perch_enqueue('publish_post', '{"account":"main","text":7}')"#)
        .fetch_one(&pool)
        .await
        .expect("its members are the right ones");
    let letter = eventually("it is dead", || async {
        let queue = world.client.queues().get(&"pending_posts".parse().expect("a name")).expect("configured");
        queue.dead_letter(id.parse().expect("a ULID")).await.expect("Redis answers")
    })
    .await;
    assert!(letter.envelope.is_some_and(|envelope| envelope.contains("$.text")), "the reason is with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_requests_with_one_unique_key_the_second_is_cancelled_with_the_reason() {
    let world = World::without_workers(&[]).await;
    let pool = world.database().raw();
    world.relay();
    kinds_are_known(&pool).await;
    let ask = r#"select perch_enqueue('publish_post', '{"account":"main","text":"x"}', unique_key => 'k')"#;
    let mut ids: Vec<JobId> = Vec::new();
    for _ in 0..2 {
        let id: String = sqlx::query_scalar(ask).fetch_one(&pool).await.expect("accepted");
        ids.push(id.parse().expect("a ULID"));
    }
    let second = eventually("the second is settled", || async {
        let job = world.store.history().job(ids[1]).await.expect("Postgres answers")?;
        (job.state == JobState::Cancelled).then_some(job)
    })
    .await;
    assert!(second.last_error.is_some_and(|reason| reason.contains(&ids[0].to_string())));
}

/// One of some values, or, two times of three, none: the argument is left out then.
fn one_of(values: &[&str]) -> String {
    let at = rand::random_range(0..3 * values.len());
    values.get(at).map(|&value| value.to_owned()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_perch_enqueue_accepts_becomes_the_job_that_was_asked_for() {
    let world = World::without_workers(&[]).await;
    let pool = world.database().raw();
    world
        .store
        .outbox()
        .register(world.client.queues().types(), 100_000, Duration::from_secs(86_400))
        .await
        .expect("fine");
    let service = world.database().role().await;
    let grant = format!("grant execute on function perch_enqueue to {}", service.name);
    sqlx::query(sqlx::AssertSqlSafe(grant)).execute(&pool).await.expect("Postgres answers");
    let as_service = service.raw();
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..300 {
        let arguments = [
            one_of(&[
                "run_at => now() + '1 h'",
                "run_at => '-infinity'",
                "run_at => 'infinity'",
                "run_at => '0001-01-01Z'",
                "run_at => '0044-03-15 BC'",
                "run_at => '1899-12-31'",
                "run_at => '9999-12-31 12:00Z'",
                "run_at => 'epoch'",
            ]),
            one_of(&[
                "deadline => now() + '1 day'",
                "deadline => 'infinity'",
                "deadline => '-infinity'",
                "deadline => '9999-12-31Z'",
                "deadline => '9999-12-31 00:00:01Z'",
                "deadline => '294276-01-01'",
            ]),
            one_of(&["priority => 'high'", "priority => 'urgent'"]),
            one_of(&["max_attempts => 1", "max_attempts => 100", "max_attempts => 0"]),
            one_of(&[
                "unique_key => gen_random_uuid()::text",
                r"unique_key => E'a\nb'",
                "unique_key => 'ü ß'",
                "unique_key => repeat('x', 257)",
                r"unique_key => E'\u2028'",
                r"unique_key => E'\u009f'",
            ]),
            one_of(&["unique_scope => 'queued'", "unique_scope => 'done'"]),
            one_of(&[
                "job_group => 'main'",
                "job_group => 'a|b'",
                r"job_group => E'\t'",
                "job_group => repeat('ü', 64)",
                "job_group => repeat('ü', 65)",
                "job_group => ' '",
            ]),
        ];
        let text = one_of(&["x", "ü 🎲", r"a\nb", r"\u0000", r"\ud800", r#"\""#]);
        let payload = format!(r#"'{{"account":"main","text":"{text}"}}'"#);
        let given: Vec<String> = arguments.into_iter().filter(|argument| !argument.is_empty()).collect();
        let call = [vec!["'publish_post'".to_owned(), payload], given].concat().join(", ");
        let zone = ["UTC", "Europe/Amsterdam", "America/St_Johns", "Asia/Kathmandu"][round % 4];
        let mut conn = as_service.acquire().await.expect("Postgres answers");
        let set = format!("set timezone = '{zone}'");
        sqlx::raw_sql(sqlx::AssertSqlSafe(set)).execute(&mut *conn).await.expect("a time zone");
        let asked = sqlx::AssertSqlSafe(format!("select perch_enqueue({call})"));
        let id: String = match sqlx::query_scalar(asked).fetch_one(&mut *conn).await {
            Ok(id) => id,
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("perch_enqueue: "), "{call}: {error}");
                refused += 1;
                continue;
            }
        };
        accepted += 1;
        let relayed = relay::relay_some(&world.store, &world.client).await.expect("Postgres answers");
        assert_eq!((relayed.taken, relayed.handed_over + relayed.never), (1, 1), "{call}");
        // Another one has its unique key.
        if relayed.never == 1 {
            continue;
        }
        let id: JobId = id.parse().expect("a ULID");
        let queue = world.client.queues().get(&"pending_posts".parse().expect("a name")).expect("configured");
        let job = queue.job(id).await.expect("Redis answers").expect("it was handed over");
        assert_eq!(job.decoded().expect("an envelope").kind.as_str(), "publish_post", "{call}");
        let known = world.store.history().job(id).await.expect("it can be read");
        assert!(known.is_some_and(|job| serde_json::to_string(&job).is_ok()), "{call}");
    }
    assert!(accepted > 20 && refused > 20, "{accepted} were accepted and {refused} refused");
}
