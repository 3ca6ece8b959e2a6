//! A bot that is added to a deployment is there in every part of it, and in none of one that does not have it.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use perch_bot_heartbeat::HeartbeatBot;
use perch_testkit::{TestDatabase, TestRedis, free_port};
use tempfile::TempDir;

/// A deployment with the bot: its program, and where that finds what it needs.
struct Deployment {
    config: TempDir,
    redis: TestRedis,
    database: TestDatabase,
    processes: Vec<Child>,
}

impl Deployment {
    async fn start() -> Self {
        let config = TempDir::new().expect("a temporary folder");
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        copy(&own.join("../../../config"), config.path());
        copy(&own.join("config"), &config.path().join("bots"));
        let (redis, database) =
            (TestRedis::claim().await, TestDatabase::of(|store| perch_workers::bots().store(store)).await);
        Self { config, redis, database, processes: Vec::new() }
    }

    fn perch(&self, args: &[&str]) -> Command {
        let mut perch = Command::new(env!("CARGO_BIN_EXE_perch-bot-heartbeat"));
        perch
            .args(args)
            .env("APP_ENV", "staging")
            .env("PERCH_CONFIG_DIR", self.config.path())
            .env("REDIS_URL", self.redis.url())
            .env("DATABASE_URL", self.database.url())
            .stdin(Stdio::null());
        perch
    }

    fn run(&self, args: &[&str]) -> Output {
        self.perch(args).output().expect("the program is built")
    }

    fn says(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    fn begin(&mut self, args: &[&str]) {
        let child = self.perch(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.processes.push(child.expect("the program is built"));
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a copy");
        }
    }
}

async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_bot_that_is_added_beats_and_shows_in_every_part_of_the_deployment() {
    let mut world = Deployment::start().await;
    let early = world.run(&["heartbeat"]);
    assert!(!early.status.success(), "there is no table yet");
    let told = String::from_utf8_lossy(&world.run(&["doctor"]).stdout).into_owned();
    assert!(told.contains("the tables of the bot heartbeat have schema 0") && told.contains("perch migrate"), "{told}");

    let migrated = world.says(&["migrate", "--json"]);
    assert!(migrated.contains(r#""bot": "heartbeat""#), "{migrated}");
    assert!(world.says(&["migrate"]).contains("already"), "it is migrated once");
    assert_eq!(world.says(&["heartbeat"]).trim(), "no beat yet");
    let doctor = world.run(&["doctor"]);
    let told = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(told.contains("no beat within a minute"), "{told}");

    let (port, of_worker, of_scheduler) = (free_port(), free_port(), free_port());
    world.begin(&["scheduler", "--bind", &format!("127.0.0.1:{of_scheduler}")]);
    world.begin(&["worker", "heartbeat", "--bind", &format!("127.0.0.1:{of_worker}")]);
    world.begin(&["api", "--bind", &format!("127.0.0.1:{port}")]);
    eventually("the command lists a beat", async || {
        world.says(&["heartbeat", "--limit", "1"]).contains("alive").then_some(())
    })
    .await;
    let beats = world.says(&["heartbeat", "--json"]);
    assert!(beats.contains(r#""word": "alive""#), "{beats}");

    let token = world.says(&["keys", "create", "reader", "--scope", "read", "--json"]);
    let token: String = token.split('"').skip_while(|part| *part != "token").nth(2).expect("a token").to_owned();
    perch_base::tls::install();
    let http = reqwest::Client::new();
    let url = format!("http://127.0.0.1:{port}/api/v1/heartbeat?limit=1");
    let answer = eventually("the route answers", async || {
        let answer = http.get(&url).bearer_auth(&token).send().await.ok()?;
        answer.status().is_success().then_some(answer)
    })
    .await;
    assert!(answer.text().await.expect("a body").contains("alive"));
    let metrics = http.get(format!("http://127.0.0.1:{of_worker}/metrics")).bearer_auth(&token).send().await;
    let metrics = metrics.expect("an answer").text().await.expect("a body");
    assert!(metrics.contains("perch_heartbeats_total"), "{metrics}");
    let without_key = http.get(&url).send().await.expect("an answer");
    assert_eq!(without_key.status(), 401, "its routes are behind the same door");
    let wrong = http.get(url.replace("limit=1", "limit=x")).bearer_auth(&token).send().await.expect("an answer");
    assert_eq!(wrong.headers()["content-type"], "application/problem+json");
    let document = http.get(format!("http://127.0.0.1:{port}/openapi.json")).send().await.expect("an answer");
    assert!(document.text().await.expect("a body").contains("/api/v1/heartbeat"));

    let told = String::from_utf8_lossy(&world.run(&["doctor"]).stdout).into_owned();
    assert!(told.contains("the last beat was at"), "{told}");
    assert!(world.says(&["openapi"]).contains("/api/v1/heartbeat"));
    assert!(world.says(&["completions", "bash"]).contains("heartbeat"));
    assert!(world.says(&["config", "show"]).contains("word = \"alive\""));
    let wrong = world.perch(&["config", "check"]).env("PERCH__HEARTBEAT__KEPT", "1s").output().expect("it runs");
    let wrong = String::from_utf8_lossy(&wrong.stdout).into_owned() + &String::from_utf8_lossy(&wrong.stderr);
    assert!(wrong.contains("PERCH__HEARTBEAT__KEPT") && wrong.contains("heartbeat.kept is 1s"), "{wrong}");
}

#[tokio::test]
async fn a_deployment_without_the_bot_has_no_trace_of_it() {
    let bots = perch_workers::bots();
    assert!(bots.iter().all(|bot| bot.name() != "heartbeat"));
    assert!(bots.job_types().get("heartbeat").is_none());
    let database = TestDatabase::create().await;
    let schemas = "select count(*) from information_schema.schemata where schema_name = 'heartbeat'";
    let there: i64 = sqlx::query_scalar(schemas).fetch_one(&database.raw()).await.expect("Postgres answers");
    assert_eq!(there, 0);
    let with = bots.with(HeartbeatBot);
    assert!(with.job_types().get("heartbeat").is_some(), "and one with it has");
}
