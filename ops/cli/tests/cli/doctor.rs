use chrono::{TimeDelta, Utc};
use perch_jobs::JobId;
use perch_sandbox::{Sandbox, SandboxOptions};
use perch_testkit::{OwnRedis, TestDatabase};
use perch_workers::bots;
use serde_json::Value;

use crate::world::{World, perch, run};

pub fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().expect("a list");
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no check {name}: {report}"))
}

pub fn level<'a>(report: &'a Value, name: &str) -> &'a str {
    check(report, name)["level"].as_str().expect("a level")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_setup_passes() {
    let redis = OwnRedis::start().await;
    let database = TestDatabase::of(|store| bots().store(store)).await;
    let mut command = perch();
    command.args(["doctor", "--json", "--env", "staging"]);
    command.env("REDIS_URL", redis.url()).env("DATABASE_URL", database.url());
    // The Postgres of the tests archives nothing.
    command.env("PERCH__BACKUP__POSTGRES", "provider");
    let report = run(&mut command, b"").json();
    // Nor does it wait for the disk.
    assert_eq!((&report["ok"], &report["warned"]), (&true.into(), &1.into()), "{report}");
    assert_eq!(level(&report, "Postgres on disk"), "warn", "{report}");
    let all = [
        "configuration",
        "Redis",
        "Redis on disk",
        "Redis memory",
        "clock of Redis",
        "Postgres",
        "Postgres role",
        "migrations",
    ];
    for name in all.into_iter().chain(["jobs in Redis", "outbox", "Postgres backups", "ledger jobs"]) {
        assert_eq!(level(&report, name), "ok", "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_forgets_and_evicts_is_found_and_the_remedy_named() {
    let redis = OwnRedis::with(&["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"]).await;
    let database = TestDatabase::empty().await;
    let arguments = ["doctor", "--env", "staging", "--json"];
    let mut command = perch();
    command.args(arguments).env("REDIS_URL", redis.url()).env("DATABASE_URL", database.url());
    let ran = run(&mut command, b"");
    assert_eq!(ran.code, 1, "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!((level(&report, "Redis on disk"), level(&report, "Redis memory")), ("warn", "fail"), "{report}");
    assert!(check(&report, "Redis memory")["mend"].as_str().is_some_and(|mend| mend.contains("noeviction")));
    assert_eq!(level(&report, "migrations"), "fail");
    assert!(check(&report, "migrations")["mend"].as_str().is_some_and(|mend| mend.contains("perch migrate")));
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_away_are_named_without_their_passwords() {
    let (redis, postgres) = (perch_testkit::free_port(), perch_testkit::free_port());
    let mut command = perch();
    command.args(["doctor", "--env", "staging", "--width", "80"]);
    command.env("REDIS_URL", format!("redis://me:hunter2@127.0.0.1:{redis}"));
    command.env("DATABASE_URL", format!("postgres://me:hunter2@127.0.0.1:{postgres}/perch"));
    command.env("PERCH__POSTGRES__ACQUIRE_TIMEOUT", "200ms");
    let ran = run(&mut command, b"");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("REDIS_URL") && ran.stdout.contains("DATABASE_URL"), "{ran:?}");
    assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_migrated_once_and_then_left_alone() {
    let world = World { redis: perch_testkit::TestRedis::claim().await, database: TestDatabase::empty().await };
    let first = world.json(&["migrate"]);
    assert!(first["from"] == 0 && first["applied"].as_array().is_some_and(|steps| !steps.is_empty()), "{first}");
    let again = world.json(&["migrate"]);
    assert_eq!((&again["applied"], &again["to"]), (&serde_json::json!([]), &first["to"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_release_is_refused_with_what_to_do() {
    let world = World::start().await;
    let raw = world.database.raw();
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (9999, 'the future', true, '\\x00', 0)",
    )
    .execute(&raw)
    .await
    .expect("the table is there");
    let ran = world.run(&["migrate"]);
    assert!(ran.code == 1 && ran.stderr.contains("newer release"), "{ran:?}");
    let mut worker = world.perch(&["worker"]);
    let bind = format!("127.0.0.1:{}", perch_testkit::free_port());
    let started = run(worker.args(["--bind", &bind]), b"");
    assert!(started.code == 1 && started.stderr.contains("newer release"), "{started:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_another_account_than_the_configured_one_are_found() {
    let world = World::start().await;
    let options =
        SandboxOptions { bot_accounts: vec!["perch_bot".into(), "my_bot".into()], ..SandboxOptions::default() };
    let sandbox = Sandbox::start(([127, 0, 0, 1], 0).into(), options).await.expect("a free port");
    for (username, level_of_it) in [("perch_bot", "fail"), ("my_bot", "ok")] {
        let mut command = world.perch(&["doctor", "--json"]);
        command.env("PERCH__X__BASE_URL", sandbox.base_url()).env("X_MAIN_USERNAME", username);
        command.env("X_API_KEY", "sandbox-consumer-key").env("X_API_SECRET", perch_sandbox::CONSUMER_SECRET);
        command.env("X_MAIN_ACCESS_TOKEN", "sandbox-my_bot-token").env("X_MAIN_ACCESS_SECRET", "sandbox-my_bot-secret");
        let ran = run(&mut command, b"");
        let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        assert_eq!(level(&report, "X accounts"), level_of_it, "{report}");
        assert!(check(&report, "X accounts")["found"].as_str().is_some_and(|found| found.contains("@my_bot")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_provider_of_models_is_asked_once_and_what_is_wrong_is_said_by_provider() {
    let world = World::start().await;
    let sandbox = Sandbox::start(([127, 0, 0, 1], 0).into(), SandboxOptions::default()).await.expect("a free port");
    let mut command = world.perch(&["doctor", "--json"]);
    for name in ["GROK", "OPENAI", "TOGETHER"] {
        command.env(format!("PERCH__MODELS__PROVIDERS__{name}__BASE_URL"), format!("{}/v1", sandbox.base_url()));
    }
    command.env("GROK_API_KEY", "sandbox").env("OPENAI_API_KEY", "sandbox").env("TOGETHER_API_KEY", "bad");
    // The sandbox plays a model of OpenAI that takes neither.
    command.env("PERCH__MODELS__PROVIDERS__OPENAI__MAX_TOKENS_FIELD", "max_tokens");
    command.env("PERCH__MODELS__PROVIDERS__OPENAI__TEMPERATURE", "true");
    let ran = run(&mut command, b"");
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let checks = report["checks"].as_array().expect("a list").iter().filter(|check| check["name"] == "model answers");
    let said: Vec<(&str, &str)> = checks
        .map(|check| (check["level"].as_str().expect("a level"), check["found"].as_str().expect("a text")))
        .collect();
    let [(grok, _), (openai, takes), (together, key)] = said.as_slice() else { panic!("three providers: {report}") };
    assert_eq!((*grok, *openai, *together), ("ok", "warn", "warn"), "{report}");
    assert!(takes.contains("max_tokens and temperature") && key.contains("TOGETHER_API_KEY"), "{report}");
    assert_eq!(sandbox.state().calls_that_ended(perch_sandbox::Endpoint::Chat, "200"), 2);
}

#[test]
fn the_configuration_is_checked_and_shown_without_its_credentials() {
    let mut command = perch();
    command.args(["config", "check", "--env", "production", "--json"]);
    assert_eq!(run(&mut command, b"").json()["valid"], true);
    let mut command = perch();
    command.args(["config", "show", "--env", "staging"]);
    command.env("REDIS_URL", "redis://me:hunter2@redis.internal:6379").env("GROK_API_KEY", "hunter2");
    let shown = run(&mut command, b"").went_well().stdout;
    assert!(shown.contains("redis.internal:6379") && shown.contains("GROK_API_KEY: ***"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_postgres_is_named_as_such_with_what_frees_it() {
    let world = World::start().await;
    for statement in [
        "create function disk_is_full() returns event_trigger language plpgsql as $$ begin
             raise exception 'could not extend file: No space left on device' using errcode = 'disk_full';
         end $$",
        "create event trigger disk_is_full on ddl_command_start when tag in ('CREATE TABLE AS') execute function disk_is_full()",
    ] {
        sqlx::query(statement).execute(&world.database.raw()).await.expect("Postgres answers");
    }
    let report = world.run_json(&["doctor"]);
    let check = check(&report, "Postgres writes");
    assert_eq!((&check["level"], &report["ok"]), (&"fail".into(), &false.into()), "{report}");
    let mend = check["mend"].as_str().expect("it says what to do");
    assert!(mend.contains("enlarge the disk") && !mend.contains("DATABASE_URL"), "{mend}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_how_full_redis_is_and_warns_before_it_refuses_jobs() {
    let redis = OwnRedis::with(&["--maxmemory", "40mb", "--maxmemory-policy", "noeviction"]).await;
    let database = TestDatabase::of(|store| bots().store(store)).await;
    let look = || {
        let mut command = perch();
        command.args(["doctor", "--env", "staging", "--json"]);
        command.env("REDIS_URL", redis.url()).env("DATABASE_URL", database.url());
        serde_json::from_str::<Value>(&run(&mut command, b"").stdout).expect("JSON")
    };
    let report = look();
    let found = check(&report, "Redis memory")["found"].as_str().expect("a text").to_owned();
    assert!(level(&report, "Redis memory") == "ok" && found.contains("of 40.0 MiB used"), "{found}");

    let mut connection =
        redis::Client::open(redis.url()).expect("a URL").get_multiplexed_async_connection().await.expect("it is up");
    for n in 0..33 {
        let piece = vec![b'x'; (1 << 20) - 1_024];
        redis::cmd("SET").arg(n).arg(piece).exec_async(&mut connection).await.expect("it has room");
    }
    let report = look();
    let found = check(&report, "Redis memory")["found"].as_str().expect("a text").to_owned();
    assert!(level(&report, "Redis memory") == "warn" && found.contains('%'), "{found}");
    assert!(check(&report, "Redis memory")["mend"].as_str().is_some_and(|mend| mend.contains("maxmemory")), "{report}");
    redis::cmd("CONFIG").arg(&["SET", "maxmemory", "20mb"]).exec_async(&mut connection).await.expect("it may");
    assert_eq!(level(&look(), "Redis memory"), "fail");
}

/// Enqueues so many jobs an hour ago, in this order.
fn enqueue_an_hour_ago(world: &World, kind: &str, payload: &str, jobs: u32) -> Vec<JobId> {
    let began = Utc::now() - TimeDelta::hours(1);
    let ids: Vec<JobId> =
        (0..jobs).map(|n| JobId::from_parts(began + TimeDelta::milliseconds(n.into()), n.into())).collect();
    let lines: Vec<String> =
        ids.iter().map(|id| format!(r#"{{"kind":"{kind}","payload":{payload},"id":"{id}"}}"#)).collect();
    let ran = world.run_with(&["enqueue", "--ndjson", "--json"], &lines.join("\n")).json();
    assert_eq!(ran["accepted"], jobs, "{ran}");
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn ledger_jobs_that_redis_lost_are_missed_however_many_older_ones_are_there() {
    let world = World::start().await;
    let ids = enqueue_an_hour_ago(&world, "publish_post", r#"{"account":"main","text":"Hello"}"#, 1_100);
    assert_eq!(level(&world.run_json(&["doctor"]), "jobs in Redis"), "ok");
    // Without a word in the history.
    world.queue("pending_posts").drop_ended(&ids[1_051..]).await.expect("Redis answers");
    let report = world.run_json(&["doctor"]);
    assert_eq!(level(&report, "jobs in Redis"), "warn", "{report}");
    let found = check(&report, "jobs in Redis")["found"].as_str().expect("a text");
    assert!(found.contains("49 of pending_posts") && found.contains("1,100 jobs"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_other_queues_the_newest_jobs_are_compared_as_well_as_the_oldest() {
    let world = World::start().await;
    let ids = enqueue_an_hour_ago(&world, "collect_metrics", r#"{"post_ids":["1"]}"#, 2_100);
    world.sync().await;
    let report = world.run_json(&["doctor"]);
    assert_eq!(level(&report, "jobs in Redis"), "ok", "{report}");
    let found = check(&report, "jobs in Redis")["found"].as_str().expect("a text");
    assert!(found.contains("the oldest and newest of the others"), "it says what was compared: {found}");
    world.queue("analytics_processing").drop_ended(&ids[2_090..]).await.expect("Redis answers");
    let report = world.run_json(&["doctor"]);
    let found = check(&report, "jobs in Redis")["found"].as_str().expect("a text");
    assert!(level(&report, "jobs in Redis") == "warn" && found.contains("10 of analytics_processing"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_that_changed_in_redis_is_found_by_a_deep_look() {
    let world = World::start().await;
    let ids = enqueue_an_hour_ago(&world, "collect_metrics", r#"{"post_ids":["1"]}"#, 3);
    let look = || world.run_json(&["doctor", "--deep"]);
    let report = look();
    assert!(level(&report, "envelopes") == "ok" && check(&report, "envelopes")["found"].to_string().contains("3 jobs"));
    let (key, id) = (world.queue("analytics_processing").keys().jobs(), ids[1].to_string());
    let mut connection = world.redis.raw().await;
    let envelope: String =
        redis::cmd("HGET").arg(&key).arg(&id).query_async(&mut connection).await.expect("it is there");
    redis::cmd("HSET")
        .arg(&key)
        .arg(&id)
        .arg(envelope.replace(r#"["1"]"#, r#"["2"]"#))
        .exec_async(&mut connection)
        .await
        .expect("Redis");
    let report = look();
    let found = check(&report, "envelopes")["found"].as_str().expect("a text");
    assert!(level(&report, "envelopes") == "warn" && found.contains(&id), "{report}");
}
