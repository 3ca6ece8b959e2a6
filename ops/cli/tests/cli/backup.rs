use perch_jobs::JobId;
use perch_testkit::{OwnRedis, TestDatabase, TestRedis, free_port};
use perch_workers::bots;
use serde_json::{Value, json};

use crate::{
    doctor::{check, level},
    world::{World, run},
};

const CHECK: [&str; 3] = ["backup", "check", "--json"];

/// A world whose Redis writes to disk.
async fn world(redis: &OwnRedis) -> World {
    World { redis: TestRedis::at(&redis.url()), database: TestDatabase::of(|store| bots().store(store)).await }
}

fn checked(world: &World, made_by: &str) -> Value {
    let mut command = world.perch(&CHECK);
    run(command.env("PERCH__BACKUP__POSTGRES", made_by), b"").json()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_restore_needs_is_looked_for_and_an_unseen_backup_taken_at_the_operators_word() {
    let redis = OwnRedis::start().await;
    let world = world(&redis).await;
    let post = r#"{"account":"main","text":"kept"}"#;
    world.run(&["enqueue", "publish_post", post]).went_well();

    let report = checked(&world, "archive");
    assert_eq!((level(&report, "Postgres backups"), &report["warned"]), ("warn", &json!(1)), "{report}");
    assert!(check(&report, "Postgres backups")["mend"].as_str().is_some_and(|mend| mend.contains("backup.postgres")));

    let report = checked(&world, "provider");
    assert_eq!((&report["failed"], &report["warned"]), (&json!(0), &json!(0)), "{report}");
    for name in ["Redis on disk", "Postgres backups", "ledger jobs", "sync"] {
        assert_eq!(level(&report, name), "ok", "{report}");
    }
    let ledger = check(&report, "ledger jobs")["found"].as_str().expect("text").to_owned();
    assert!(ledger.contains("pending_posts: 1 unfinished job"), "{ledger}");

    let text = world.run(&["backup", "check", "--width", "80"]).went_well().stdout;
    assert!(text.contains("1 thing to look at") && text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ledger_jobs_that_postgres_could_not_put_back_are_counted_by_cause() {
    let redis = OwnRedis::start().await;
    let world = world(&redis).await;
    let lines: Vec<String> = (0..4).map(|n| format!(r#"{{"account":"main","text":"post {n}"}}"#)).collect();
    world.run_with(&["enqueue", "publish_post", "--ndjson"], &lines.join("\n")).went_well();
    let raw = world.database.raw();
    for broken in [
        "delete from outbox where id in (select id from outbox order by id limit 1)",
        "update outbox set envelope = '{' where id in (select id from outbox order by id limit 1)",
        "delete from jobs where id in (select id from jobs order by id desc limit 1)",
    ] {
        sqlx::query(broken).execute(&raw).await.expect("Postgres answers");
    }
    let report = checked(&world, "provider");
    assert_eq!(level(&report, "ledger jobs"), "warn", "{report}");
    let found = check(&report, "ledger jobs")["found"].as_str().expect("text").to_owned();
    for part in ["3 unfinished jobs", "1 without the envelope", "1 without a history", "1 with an envelope"] {
        assert!(found.contains(part), "{part}: {found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_few_rights_is_told_as_much() {
    let redis = OwnRedis::start().await;
    let world = world(&redis).await;
    let role = format!("perch_test_{}", JobId::at(chrono::Utc::now()).to_string().to_lowercase());
    let raw = world.database.raw();
    let sql = |text: String| sqlx::raw_sql(sqlx::AssertSqlSafe(text));
    sql(format!("create role {role} login password 'hunter2'; grant all on all tables in schema public to {role}"))
        .execute(&raw)
        .await
        .expect("Postgres answers");
    let mut url = url::Url::parse(world.database.url()).expect("a URL");
    url.set_username(&role).and_then(|()| url.set_password(Some("hunter2"))).expect("it takes a user");
    let mut command = world.perch(&CHECK);
    let ran = run(command.env("DATABASE_URL", url.as_str()), b"");
    sql(format!("drop owned by {role}; drop role {role}")).execute(&raw).await.expect("Postgres answers");
    assert_eq!(level(&ran.json(), "Postgres backups"), "warn", "{ran:?}");
    assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_away_are_failures() {
    let world = World::start().await;
    let mut command = world.perch(&CHECK);
    command.env("REDIS_URL", format!("redis://127.0.0.1:{}", free_port()));
    command.env("DATABASE_URL", format!("postgres://me:hunter2@127.0.0.1:{}/perch", free_port()));
    let ran = run(command.env("PERCH__POSTGRES__ACQUIRE_TIMEOUT", "200ms"), b"");
    assert_eq!(ran.code, 1, "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(report["failed"], 2, "{report}");
    assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
}
