//! The database of the template, taken over.

use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use perch_bot::Platform;
use perch_bot_personas::{
    ImportError, ImportOptions, ImportOutcome, ImportedPosts, PostState, StockStore as _, TemplateImport,
    import_template, read_template,
};
use perch_core::{Clients, personas::PersonaStore as _};
use perch_safety::{Guard, Rules};
use rusqlite::Connection;

use crate::{mentions::told, together::Together, world::World};

use super::{IDLE, add, baker, name, of, run};

/// The tables as the template makes them.
const TABLES: &str = "
    create table posts (id integer primary key, content text not null, bot_id text not null, category text,
        used integer default 0, created_at timestamp default current_timestamp, updated_at timestamp default current_timestamp,
        generation_cost real, generation_tokens integer, generation_model text, content_hash text unique);
    create table bot_stats (bot_id text primary key, total_posts integer default 0, remaining_posts integer default 0,
        last_post_at timestamp, last_replenishment_at timestamp, created_at timestamp default current_timestamp,
        updated_at timestamp default current_timestamp);
    create table bot_configs (bot_id text primary key, personality_prompt text, content_sources text, posting_style text,
        topics text, tone text, max_length integer, schedule_cron text, timezone text,
        created_at timestamp default current_timestamp, updated_at timestamp default current_timestamp);";

const BAKER: &str = "
    insert into bot_configs (bot_id, personality_prompt, topics, tone, schedule_cron, timezone)
        values ('baker', 'You are a baker.', 'rye, ovens', 'dry', '0 9 * * *', 'Europe/Berlin');
    insert into bot_stats (bot_id, total_posts, last_replenishment_at) values ('baker', 1, '2025-03-01 08:00:00');
    insert into posts (content, bot_id, category, used, created_at, updated_at, generation_cost, generation_tokens, generation_model)
        values ('Rye wants a cold night and a hot stone.', 'baker', 'rye', 1, '2025-02-01 09:00:00', '2025-03-02 09:00:00', 0.002, 41, 'gpt-4'),
               ('Flour remembers the weather. #bread', 'baker', 'flour', 0, '2025-02-01 09:00:00', '2025-02-01 09:00:00', 0.004, 37, 'gpt-4'),
               ('Rye wants a cold night and a HOT stone!', 'baker', 'rye', 0, '2025-02-01 09:00:00', null, null, null, null),
               ('Oh damn, the crust is burnt again.', 'baker', null, 0, null, null, null, null, null),
               ('What a faggot of an oven.', 'baker', null, 0, null, null, null, null, null);";

/// A file that is removed at its end.
struct Template(PathBuf);

impl Template {
    fn with(rows: &str) -> Self {
        let name = format!("perch template {}-{:?}.db", std::process::id(), std::thread::current().id());
        let template = Self(std::env::temp_dir().join(name));
        let _ = std::fs::remove_file(&template.0);
        template.write(TABLES);
        template.write(rows);
        template
    }

    fn write(&self, rows: &str) {
        let connection = Connection::open(&self.0).expect("a file can be made");
        connection.execute_batch(rows).expect("the rows fit");
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn platform(world: &World) -> Platform {
    let redis = world.client.queues().redis().clone();
    Platform {
        settings: std::sync::Arc::new(world.settings.clone()),
        client: world.client.clone(),
        store: world.store.clone(),
        clients: Clients::new(&world.settings, &redis, &world.store).expect("valid settings"),
        guard: std::sync::Arc::new(Guard::new(&Rules::default()).expect("the lists can be read")),
    }
}

async fn try_import(
    world: &World,
    template: &Template,
    options: &ImportOptions,
) -> Result<TemplateImport, ImportError> {
    let platform = platform(world);
    let bot = perch_bot_personas::Personas::new(&platform).expect("the bot is there");
    import_template(&platform, &bot, read_template(template.path())?, options, "ann").await
}

async fn import(world: &World, template: &Template) -> TemplateImport {
    try_import(world, template, &ImportOptions::default()).await.expect("it is imported")
}

fn posts_of(import: &TemplateImport) -> ImportedPosts {
    import.bots[0].posts
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("tests write valid times")
}

#[tokio::test]
async fn a_bot_of_the_template_goes_on_as_a_persona_with_its_stock_and_its_history() {
    let world = World::without_workers(&[IDLE]).await;
    let template = Template::with(BAKER);
    let imported = import(&world, &template).await;
    assert_eq!(
        (imported.bots.len(), imported.odd, imported.bots[0].outcome),
        (1, 0, ImportOutcome::Added),
        "{imported:?}"
    );
    let expected =
        ImportedPosts { published: 1, ready: 1, in_review: 1, rejected: 1, similar: 1, ..ImportedPosts::default() };
    assert_eq!(posts_of(&imported), expected);
    let persona = world.store.personas().get(&name("baker")).await.expect("Postgres answers").expect("it is added");
    assert_eq!(
        (persona.spec.prompt.as_str(), persona.spec.schedule.as_slice()),
        ("You are a baker.", &["0 9 * * *".to_owned()][..])
    );
    assert_eq!((persona.spec.topics.len(), persona.updated_by.as_str()), (2, "ann"));
    let published = &of(&world, "baker", PostState::Published).await[0];
    assert_eq!(published.published_at, Some(at("2025-03-02T09:00:00Z")), "its last change");
    assert_eq!((published.usd, published.tokens, published.model.as_deref()), (Some(0.002), Some(41), Some("gpt-4")));
    let ready = &of(&world, "baker", PostState::Ready).await[0];
    assert_eq!((ready.text.as_str(), ready.topic.as_deref()), ("Flour remembers the weather. bread", Some("flour")));
    assert_eq!((ready.created_at, ready.usd), (at("2025-02-01T09:00:00Z"), Some(0.004)));
    let similar = &of(&world, "baker", PostState::Rejected).await;
    assert!(
        similar.iter().any(|post| post.reason.as_deref().is_some_and(|why| why.contains("too similar"))),
        "{similar:?}"
    );
    let stats = world.store.stock().stats_of(&name("baker")).await.expect("Postgres answers").expect("it is there");
    assert_eq!((stats.total, stats.last_replenishment_at), (1, Some(at("2025-03-01T08:00:00Z"))));
}

#[tokio::test]
async fn a_second_import_adds_nothing_even_of_posts_that_were_changed_here() {
    let world = World::without_workers(&[IDLE]).await;
    let template = Template::with(BAKER);
    import(&world, &template).await;
    let waiting = of(&world, "baker", PostState::InReview).await[0].id;
    let expires = Utc::now() + TimeDelta::days(1);
    world.store.stock().approve_as(waiting, "The crust has character today.", expires, "ann").await.expect("it waits");
    let edited = perch_core::personas::PersonaSpec { tone: "warm".into(), ..baker() };
    world.store.personas().put(&name("baker"), &edited, None, "ann").await.expect("Postgres answers");
    let again = import(&world, &template).await;
    assert_eq!(again.bots[0].outcome, ImportOutcome::Kept);
    assert_eq!(posts_of(&again), ImportedPosts { known: 5, ..ImportedPosts::default() });
    let kept = world.store.personas().get(&name("baker")).await.expect("Postgres answers").expect("it is there");
    assert_eq!(kept.spec.tone, "warm", "what an operator has changed stays");
}

#[tokio::test]
async fn what_the_other_deployment_has_published_since_goes_out_of_the_stock() {
    let world = World::without_workers(&[IDLE]).await;
    let template = Template::with(BAKER);
    import(&world, &template).await;
    template.write("update posts set used = 1, updated_at = '2025-03-05 09:00:00' where content like 'Flour%'");
    assert_eq!(
        posts_of(&import(&world, &template).await),
        ImportedPosts { caught_up: 1, known: 4, ..ImportedPosts::default() }
    );
    assert!(of(&world, "baker", PostState::Ready).await.is_empty());
    assert_eq!(of(&world, "baker", PostState::Published).await.len(), 2);
}

#[tokio::test]
async fn a_trial_says_what_an_import_does_and_changes_nothing() {
    let world = World::without_workers(&[IDLE]).await;
    let template = Template::with(BAKER);
    let options = ImportOptions { dry_run: true, ..ImportOptions::default() };
    let trial = try_import(&world, &template, &options).await.expect("it is read");
    assert!(world.store.personas().get(&name("baker")).await.expect("Postgres answers").is_none());
    assert!(of(&world, "baker", PostState::Published).await.is_empty());
    let imported = import(&world, &template).await;
    assert_eq!(trial, TemplateImport { dry_run: true, ..imported });
}

#[tokio::test]
async fn an_imported_post_stays_in_the_stock_though_it_is_older_than_its_persona_and_costs_nothing_of_today() {
    let world = told(&Together::saying(&[]).await, &[IDLE]).await;
    let template = Template::with(BAKER);
    template.write(
        "insert into posts (content, bot_id, generation_cost) values ('Steam is a guest with loud shoes.', 'baker', 3)",
    );
    import(&world, &template).await;
    let usd = world.store.personas().spent_today(&name("baker")).await.expect("Postgres answers");
    assert!(usd.abs() < f64::EPSILON, "{usd}");
    run(&world).await;
    let expired = of(&world, "baker", PostState::Expired).await;
    let ready = of(&world, "baker", PostState::Ready).await;
    let old = ready.iter().filter(|post| post.created_at < at("2025-03-01T00:00:00Z")).count();
    assert!(old == 1 && expired.is_empty(), "{ready:?} {expired:?}");
}

#[tokio::test]
async fn odd_rows_are_named_and_stop_nothing() {
    let world = World::without_workers(&[IDLE]).await;
    let template = Template::with(BAKER);
    template.write(
        "pragma ignore_check_constraints = on;
         insert into posts (id, content, bot_id, used) values (11, x'ff00', 'baker', 0), (12, 'No bot.', '', 0),
            (13, 'Not used, not unused.', 'baker', null), (14, 'Seven times used.', 'baker', 7);
         insert into posts (id, content, bot_id, used, created_at) values (15, 'From nowhere.', 'baker', 0, 'yesterday');
         insert into posts (id, content, bot_id, used, generation_cost) values (16, 'For a word.', 'baker', 0, 'much');
         insert into posts (id, content, bot_id, used) values (17, cast(x'c328' as text), 'baker', 0);
         insert into posts (id, content, bot_id, used, generation_tokens) values (18, 'Less than none.', 'baker', 0, -1);
         insert into bot_configs (bot_id, personality_prompt, max_length) values ('odd', 'You are odd.', 'long');
         insert into posts (id, content, bot_id, used) values (19, 'Of an odd bot.', 'odd', 0);",
    );
    let imported = import(&world, &template).await;
    let named: Vec<(&str, &str, &str)> =
        imported.odd_rows.iter().map(|odd| (odd.table, odd.row.as_str(), odd.column)).collect();
    let expected = [
        ("bot_configs", "odd", "max_length"),
        ("posts", "11", "content"),
        ("posts", "12", "bot_id"),
        ("posts", "13", "used"),
        ("posts", "14", "used"),
        ("posts", "15", "created_at"),
        ("posts", "16", "generation_cost"),
        ("posts", "17", "content"),
        ("posts", "18", "generation_tokens"),
    ];
    assert_eq!(named, expected, "{imported:?}");
    assert!(imported.odd_rows[7].reason.contains("UTF-8"), "{imported:?}");
    let [baker, odd] = &imported.bots[..] else { panic!("two bots: {imported:?}") };
    assert_eq!((baker.posts.ready, baker.outcome), (1, ImportOutcome::Added));
    assert_eq!((odd.outcome, odd.posts.left_out), (ImportOutcome::Refused, 1));
    assert!(odd.problems[0].contains("no row in bot_configs"), "{odd:?}");
}

#[tokio::test]
async fn a_bot_that_cannot_be_a_persona_is_named_with_how_to_rename_it() {
    let world = World::without_workers(&[IDLE]).await;
    let template = Template::with(
        "insert into bot_configs (bot_id, personality_prompt) values ('My Bot!', 'You are kind.'), ('other', ' ');
         insert into posts (content, bot_id) values ('The kettle agrees with the oven.', 'My Bot!');",
    );
    let refused = import(&world, &template).await;
    let [bot, other] = &refused.bots[..] else { panic!("two bots: {refused:?}") };
    assert!(bot.problems[0].contains("--name 'My Bot!=my-bot'") && bot.posts.left_out == 1, "{bot:?}");
    assert!(other.problems[0].starts_with("personality_prompt: "), "{other:?}");
    let names = [("My Bot!".to_owned(), name("my-bot"))].into();
    let renamed = try_import(&world, &template, &ImportOptions { names, ..ImportOptions::default() }).await;
    let renamed = renamed.expect("it is imported");
    assert_eq!((renamed.bots[0].persona.clone(), renamed.bots[0].posts.ready), (Some(name("my-bot")), 1));
    let both = ["My Bot!", "other"].map(|bot| (bot.to_owned(), name("same"))).into();
    let same = try_import(&world, &template, &ImportOptions { names: both, ..ImportOptions::default() }).await;
    assert!(same.expect("it is read").bots[1].problems[0].contains("the persona of \"My Bot!\" already"));
    let unknown = [("nobody".to_owned(), name("nobody"))].into();
    let unknown = try_import(&world, &template, &ImportOptions { names: unknown, ..ImportOptions::default() }).await;
    assert!(matches!(&unknown, Err(ImportError::UnknownBot { named, .. }) if named == "nobody"), "{unknown:?}");
}

#[tokio::test]
async fn a_file_of_something_else_or_one_that_is_damaged_is_refused_by_name() {
    let other = Template::with("drop table posts; drop table bot_configs;");
    let error = read_template(other.path()).expect_err("it has no posts").to_string();
    assert!(error.contains("no table posts") && error.contains("perch template"), "{error}");
    let narrow =
        Template::with("drop table posts; create table posts (id integer primary key, content text, bot_id text);");
    let error = read_template(narrow.path()).expect_err("no column").to_string();
    assert!(error.contains("posts has no column used"), "{error}");
    std::fs::write(
        other.path(),
        "this is no database, but it is long enough to be taken for one at first sight, says SQLite",
    )
    .expect("it can be written");
    let error = read_template(other.path()).expect_err("no database").to_string();
    assert!(error.contains("SQLite cannot read it"), "{error}");
    assert!(matches!(read_template(Path::new("/nowhere/bots.db")), Err(ImportError::File { .. })));
    assert!(matches!(read_template(&std::env::temp_dir()), Err(ImportError::File { .. })));
}

#[tokio::test]
async fn a_file_in_use_is_read_with_what_its_log_holds_and_one_that_is_not_leaves_nothing_beside_it() {
    let template = Template::with("pragma journal_mode = wal;");
    let writer = Connection::open(template.path()).expect("it is there");
    writer
        .execute_batch("insert into bot_configs (bot_id, personality_prompt) values ('late', 'You are late.')")
        .expect("it fits");
    let world = World::without_workers(&[IDLE]).await;
    assert_eq!(import(&world, &template).await.bots[0].bot_id, "late");
    drop(writer);
    read_template(template.path()).expect("it can be read");
    for suffix in ["-wal", "-shm"] {
        let beside = PathBuf::from(format!("{}{suffix}", template.path().display()));
        assert!(!beside.exists(), "{}", beside.display());
    }
}

#[tokio::test]
async fn posts_of_a_bot_without_a_configuration_go_to_the_persona_of_its_name() {
    let world = World::without_workers(&[IDLE]).await;
    add(&world, "baker", &baker()).await;
    let template =
        Template::with("insert into posts (content, bot_id) values ('Steam is a guest with loud shoes.', 'baker');");
    let imported = import(&world, &template).await;
    assert_eq!((imported.bots[0].outcome, posts_of(&imported).ready), (ImportOutcome::Kept, 1));
}
