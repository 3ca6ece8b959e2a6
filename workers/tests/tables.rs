//! The rules for the tables of every bot.

use std::path::{Path, PathBuf};

use perch_base::{Environment, Settings};
use perch_bot::Bot;
use perch_jobs::JobTypes;
use perch_queue::{Client, Queues, Redis};
use perch_store::{ActionRecord, Families, Store};
use perch_testkit::TestDatabase;
use perch_workers::bots;
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};

/// A table or view outside `public`.
#[derive(Debug, sqlx::FromRow)]
struct Relation {
    name: String,
    is_view: bool,
    /// Whether rows have the column that binds them to an environment.
    has_environment: bool,
}

const RELATIONS: &str = "
    select c.oid::regclass::text as name, c.relkind = 'v' as is_view,
           exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'environment') as has_environment
    from pg_class c
    where c.relkind in ('r', 'p', 'v') and c.relnamespace::regnamespace::text = any ($1)
    order by 1";

#[tokio::test(flavor = "multi_thread")]
async fn every_table_and_view_of_a_bot_holds_a_role_to_its_environment() {
    let database = TestDatabase::of(|store| bots().store(store)).await;
    let staging = database.role().await;
    database.store(Environment::Staging).roles().bind(&staging.name, false).await.expect("it can be bound");
    let schemas: Vec<&str> = bots().iter().filter(|bot| bot.tables().is_some()).map(|bot| bot.name()).collect();
    let relations: Vec<Relation> =
        sqlx::query_as(RELATIONS).bind(&schemas).fetch_all(&database.raw()).await.expect("Postgres answers");
    assert!(relations.len() > schemas.len(), "{relations:?}");
    for Relation { name, is_view, has_environment } in relations {
        assert!(has_environment, "{name} has no column environment");
        let protected: bool = sqlx::query_scalar(if is_view {
            "select coalesce('security_invoker=true' = any (reloptions), false) from pg_class where oid = $1::regclass"
        } else {
            "select c.relrowsecurity and exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'perch_staging')
             from pg_class c where c.oid = $1::regclass"
        })
        .bind(&name)
        .fetch_one(&database.raw())
        .await
        .expect("Postgres answers");
        assert!(protected, "{name} does not hold a role to its environment");
        let seen = AssertSqlSafe(format!("select count(*) from {name}"));
        let rows: i64 = sqlx::query_scalar(seen).fetch_one(&staging.raw()).await.expect("a bound role may read it");
        assert_eq!(rows, 0, "{name}");
    }
}

/// A bot that claims a family of the platform.
#[derive(Debug)]
struct Greedy;

impl Bot for Greedy {
    fn name(&self) -> &'static str {
        "greedy"
    }

    fn job_types(&self, types: JobTypes) -> JobTypes {
        types
    }

    fn records(&self, families: Families) -> Families {
        families.with::<ActionRecord>()
    }
}

#[test]
fn a_family_of_records_says_whose_it_is() {
    assert_eq!(bots().wrong_family(), None);
    let wrong = bots().with(Greedy).wrong_family();
    assert!(wrong.as_deref().is_some_and(|wrong| wrong.contains("\"greedy.actions\"")), "{wrong:?}");
}

#[tokio::test]
async fn whoever_sets_the_bots_up_has_their_tables_and_records_whatever_store_they_are_given() {
    let config = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    let vars = [("APP_ENV".to_owned(), "staging".to_owned())];
    let settings = Settings::load_from(&config, bots().config_schema(), vars).expect("the shipped configuration");
    let redis = Redis::new(&"redis://127.0.0.1:1".into(), &settings.redis).expect("a URL");
    let client = Client::new(Queues::new(redis, &settings, bots().job_types()));
    let nowhere = "postgres://127.0.0.1:1/nowhere".into();
    let plain = Store::connect_lazy(&nowhere, settings.env, &settings.postgres).expect("a URL");
    let platform = bots().platform(&settings, &plain, &client).expect("nothing is connected yet");
    let with_bots = bots().store(plain.clone()).schema_fingerprint();
    assert_eq!(platform.store.schema_fingerprint(), with_bots);
    assert_ne!(plain.schema_fingerprint(), with_bots);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_is_not_there_leaves_no_table() {
    let database = TestDatabase::create().await;
    for bot in bots().iter() {
        let there: bool = sqlx::query_scalar("select to_regnamespace($1) is not null")
            .bind(bot.name())
            .fetch_one(&database.raw())
            .await
            .expect("Postgres answers");
        assert!(!there, "the schema of {} is there without it", bot.name());
    }
}

/// The description of a statement in `.sqlx` of a crate.
#[derive(Debug, serde::Deserialize)]
struct Known {
    query: String,
    describe: serde_json::Value,
}

/// The crates that check their statements, with the descriptions of these.
fn known() -> Vec<(PathBuf, Vec<Known>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folders = ["shared", "workers"].iter().flat_map(|room| entries(&root.join(room)));
    let crates = folders.filter(|folder| folder.join(".sqlx").is_dir());
    crates
        .map(|folder| {
            let read = |path: &PathBuf| std::fs::read(path).expect("it can be read");
            let known = entries(&folder.join(".sqlx"));
            let known = known.iter().map(|path| serde_json::from_slice(&read(path)).expect("it is a statement"));
            let known = known.collect();
            (folder, known)
        })
        .collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("an entry").path()).collect()
}

/// All the source under a folder.
fn source(folder: &Path) -> String {
    let text = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    entries(folder).iter().map(|path| if path.is_dir() { source(path) } else { text(path) }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_build_knows_of_a_statement_is_what_postgres_says_of_it() {
    let database = TestDatabase::of(|store| bots().store(store)).await;
    let pool = database.raw();
    let known = known();
    assert!(known.len() > 2 && known.iter().all(|(_, known)| !known.is_empty()), "{known:?}");
    for (folder, statements) in known {
        let source = source(&folder.join("src"));
        for Known { query, describe } in statements {
            let said = pool.describe(AssertSqlSafe(query.clone()).into_sql_str()).await;
            let said = said.unwrap_or_else(|error| panic!("run ./ops/sql: {error}: {query}"));
            let said = serde_json::to_value(&said).expect("it is JSON");
            // Whether a column may be null comes from a query plan, which differs between versions of Postgres.
            for part in ["columns", "parameters"] {
                assert_eq!(said[part], describe[part], "run ./ops/sql: {query}");
            }
            let beginning: String = query.chars().take(60).collect();
            let beginning = beginning.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
            assert!(source.contains(beginning), "run ./ops/sql: no longer in {}: {query}", folder.display());
        }
    }
}
