//! Postgres as operators meet it: poolers, roles, odd rows, settings that void a promise.

use perch_base::{Environment, Paging};
use perch_testkit::{Pooler, TestDatabase, TestRedis};
use perch_workers::bots;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::{
    doctor::{check, level},
    processes::{address, publishes},
    world::{Ran, World, run, until},
};

const POST: &str = r#"{"account":"main","text":"kept"}"#;

async fn sql(world: &World, text: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&world.database.raw()).await;
    done.unwrap_or_else(|error| panic!("{text}: {error}"));
}

fn doctor(world: &World, url: &str) -> Value {
    let mut command = world.perch(&["doctor", "--json"]);
    let ran = run(command.env("DATABASE_URL", url), b"");
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_stops_no_command_and_is_named() {
    let world = World::start().await;
    let odd = world.json(&["enqueue", "publish_post", POST])["id"].as_str().expect("an id").to_owned();
    let fine = world.json(&["enqueue", "publish_post", POST])["id"].as_str().expect("an id").to_owned();
    sql(&world, "alter table jobs drop constraint if exists jobs_times_are_readable").await;
    sql(&world, &format!("update jobs set run_at = '-infinity' where id = '{odd}'")).await;
    world.redis.wipe().await;

    let report = doctor(&world, world.database.url());
    let found = check(&report, "ledger jobs")["found"].as_str().expect("text").to_owned();
    assert!(level(&report, "ledger jobs") == "warn" && found.contains(&odd) && found.contains("run_at"), "{report}");
    let backup = world.run(&["backup", "check", "--json"]);
    assert!(backup.stdout.contains(&odd), "{backup:?}");
    let planned = world.json(&["recover", "--dry-run"]);
    let queue = &planned["queues"]["pending_posts"];
    assert_eq!((&queue["restored"], &queue["unreadable"]), (&json!(1), &json!(1)), "{planned}");
    assert!(world.run(&["jobs", "list", "--state", "waiting"]).went_well().stdout.len() > 1);

    let shown = world.run(&["jobs", "show", &odd]).went_well();
    assert!(shown.stdout.contains("cannot be read") && shown.stdout.contains("-infinity"), "{shown:?}");
    assert_eq!(world.json(&["recover", "--yes"])["queues"]["pending_posts"]["restored"], 1);
    assert_eq!(world.json(&["jobs", "show", &fine])["state"], "waiting");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_runs_through_a_pooler_in_transaction_mode() {
    let world = World { redis: TestRedis::claim().await, database: TestDatabase::empty().await };
    let pooler = Pooler::with_sessions(5).await;
    let through = |arguments: &[&str]| {
        let mut command = world.perch(arguments);
        command.env("DATABASE_URL", pooler.url(&world.database)).env("DATABASE_SESSION_URL", world.database.url());
        command
    };
    let migrated = run(&mut through(&["migrate", "--json"]), b"").json();
    assert_eq!(migrated["from"], 0, "{migrated}");
    let up = publishes(&world, &address(), through(&["up", "--no-tui"])).await;
    // Heard of by the session past the pooler.
    let asked = format!("select perch_enqueue('publish_post', '{POST}')");
    let id: String =
        sqlx::query_scalar(AssertSqlSafe(asked)).fetch_one(&world.database.raw()).await.expect("it is accepted");
    until("it is published", || async { world.json(&["jobs", "show", &id])["state"] == "done" }).await;
    assert_eq!(up.end_with("INT").await, Some(0));

    let ran = run(&mut through(&["doctor", "--json"]), b"");
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(level(&report, "Postgres pooler"), "ok", "{report}");
    let mut elsewhere = through(&["doctor", "--json"]);
    let other = TestDatabase::of(|store| bots().store(store)).await;
    let ran = run(elsewhere.env("DATABASE_SESSION_URL", other.url()), b"");
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(level(&report, "Postgres pooler"), "fail", "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_runs_as_a_role_that_is_bound_to_staging_and_shows_nothing_of_production() {
    let world = World::start().await;
    let role = world.database.role().await;
    let bound = world.json(&["roles", "bind", &role.name]);
    assert_eq!((&bound["environment"], &bound["runs"]), (&json!("staging"), &json!(true)), "{bound}");
    let production = world.database.store(Environment::Production);
    let hidden = perch_jobs::JobId::at(chrono::Utc::now()).to_string();
    sql(
        &world,
        &format!(
            "insert into jobs (environment, id, queue, kind, state, created_at, changed_at)
             values ('production', '{hidden}', 'pending_posts', 'publish_post', 'done', now(), now())"
        ),
    )
    .await;
    production.audit().record("ann", "secret", "production", &json!({})).await.expect("Postgres answers");

    let api = address();
    let as_role = |env: &str, arguments: &[&str]| {
        let mut command = world.perch(arguments);
        command.env("DATABASE_URL", &role.url).env("APP_ENV", env);
        command
    };
    let up = publishes(&world, &api, as_role("staging", &["up", "--no-tui"])).await;
    let token = run(&mut as_role("staging", &["keys", "create", "x", "--scope", "read", "--json"]), b"").json();
    let token = token["token"].as_str().expect("a token").to_owned();
    let asked = reqwest::Client::new().get(format!("http://{api}/api/v1/jobs/{hidden}")).bearer_auth(token);
    assert_eq!(asked.send().await.expect("it answers").status(), 404);
    assert_eq!(up.end_with("INT").await, Some(0));

    for env in ["staging", "production"] {
        let of = |arguments: &[&str]| run(&mut as_role(env, arguments), b"");
        let shown: Ran = of(&["jobs", "show", &hidden]);
        assert!(shown.code == 1 && shown.stderr.contains("no job has the id"), "{shown:?}");
        assert!(!of(&["audit", "list"]).stdout.contains("secret"));
        assert!(!of(&["jobs", "list", "--state", "done"]).stdout.contains(&hidden));
    }
    let refused = run(&mut as_role("production", &["keys", "create", "y", "--scope", "read"]), b"");
    assert!(refused.code == 1 && refused.stderr.contains("does not let the role"), "{refused:?}");
    let refused = run(&mut as_role("production", &["recover", "--dry-run"]), b"");
    assert!(refused.code == 1 && refused.stderr.contains("is bound to staging"), "{refused:?}");
    let report = doctor(&world, &role.url);
    assert_eq!(level(&report, "Postgres role"), "ok", "{report}");
    let seen = production.audit().list(&perch_store::AuditFilter::default(), &Paging::default()).await;
    assert_eq!(seen.expect("Postgres answers").items.len(), 1, "nothing was added there");

    let listed = world.run(&["roles", "list"]).went_well().stdout;
    assert!(listed.contains(&role.name) && listed.contains("run Perch"), "{listed}");
    world.run(&["roles", "release", &role.name]).went_well();
    assert_eq!(world.list(&["roles", "list"]), json!([]));
    let refused = world.run(&["roles", "bind", "nobody_of_that_name"]);
    assert!(refused.code == 1 && refused.stderr.contains("there is no role"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_voids_a_promise_of_postgres_is_a_warning_with_its_remedy() {
    let world = World::start().await;
    let report = doctor(&world, world.database.url());
    let disk = check(&report, "Postgres on disk");
    assert!(
        disk["found"].as_str().is_some_and(|found| found.contains("fsync") && !found.contains("synchronous")),
        "{disk}"
    );
    assert_eq!(level(&report, "Postgres schema"), "ok", "{report}");

    sql(
        &world,
        "do $$ begin execute format('alter database %I set synchronous_commit = off', current_database()); end $$;
         grant create on schema public to public",
    )
    .await;
    let report = doctor(&world, world.database.url());
    let disk = check(&report, "Postgres on disk");
    assert!(disk["found"].as_str().is_some_and(|found| found.contains("jobs of ledger queues")), "{disk}");
    let schema = check(&report, "Postgres schema");
    assert!(schema["mend"].as_str().is_some_and(|mend| mend.contains("revoke create on schema public")), "{schema}");
}
