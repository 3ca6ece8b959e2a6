//! Roles separate the environments of one database: what a role that is bound to one of them can read and write.
#![allow(clippy::unwrap_used, reason = "a test that panics says where and why")]

use perch_base::{
    Environment::{self, Production, Staging},
    Paging,
};
use perch_jobs::JobId;
use perch_store::{AuditFilter, BoundRole, StoreError};
use perch_testkit::{TestDatabase, TestRole};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool, postgres::PgQueryResult};

/// A database that belongs to an ordinary role, as in production, with a role for each environment.
struct World {
    database: TestDatabase,
    owner: TestRole,
    staging: TestRole,
    production: TestRole,
}

impl World {
    async fn start() -> Self {
        let database = TestDatabase::empty().await;
        let (owner, staging, production) = (database.role().await, database.role().await, database.role().await);
        database.give_to(&owner).await;
        owner.store(Staging).migrate(|_| ()).await.unwrap();
        owner.store(Staging).roles().bind(&staging.name, false).await.unwrap();
        owner.store(Production).roles().bind(&production.name, false).await.unwrap();
        Self { database, owner, staging, production }
    }

    /// The tables and views of Perch.
    async fn relations(&self) -> (Vec<String>, Vec<String>) {
        let named = |kind: &'static str| {
            sqlx::query_scalar(
                "select c.table_name::text from information_schema.columns c
                 join information_schema.tables t using (table_schema, table_name)
                 where c.table_schema = 'public' and c.column_name = 'environment' and t.table_type = $1 order by 1",
            )
            .bind(kind)
        };
        let pool = self.database.raw();
        (named("BASE TABLE").fetch_all(&pool).await.unwrap(), named("VIEW").fetch_all(&pool).await.unwrap())
    }

    /// Plants a row of each environment in each table, whatever the values.
    async fn plant(&self) {
        sql(
            &self.database.raw(),
            "do $$
             declare
                 t record;
                 k record;
                 e text;
             begin
                 -- What a value must look like is not what this is about.
                 for k in select conname, conrelid::regclass as name from pg_constraint
                          where contype = 'c' and conrelid <> 0 and pg_get_constraintdef(oid) not like '%''staging''%' loop
                     execute format('alter table %s drop constraint %I', k.name, k.conname);
                 end loop;
                 for t in
                     select c.table_name as name, string_agg(quote_ident(c.column_name), ', ') as names,
                            string_agg(case c.data_type
                                when 'jsonb' then quote_literal('{}')
                                when 'ARRAY' then quote_literal('{}')
                                when 'bytea' then quote_literal('x')
                                when 'boolean' then quote_literal('t')
                                when 'date' then quote_literal('2026-01-01')
                                when 'interval' then quote_literal('1 day')
                                when 'timestamp with time zone' then quote_literal('2026-01-01Z')
                                else quote_literal('1') end, ', ') as planted
                     from information_schema.columns c
                     join information_schema.tables b using (table_schema, table_name)
                     where c.table_schema = 'public' and b.table_type = 'BASE TABLE' and c.table_name not in ('_sqlx_migrations', 'bot_migrations')
                       and c.is_nullable = 'NO' and c.column_default is null and c.is_identity = 'NO'
                       and c.is_generated = 'NEVER' and c.column_name <> 'environment'
                     group by c.table_name
                 loop
                     foreach e in array array['staging', 'production'] loop
                         execute format('insert into %I (environment, %s) values (%L, %s)', t.name, t.names, e, t.planted);
                     end loop;
                 end loop;
             end $$",
        )
        .await
        .unwrap();
    }
}

async fn sql(pool: &PgPool, text: &str) -> Result<PgQueryResult, sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(pool).await
}

async fn count(pool: &PgPool, of: &str) -> i64 {
    let sql = AssertSqlSafe(format!("select count(*) from {of}"));
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap_or_else(|error| panic!("{of}: {error}"))
}

fn is_forbidden(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "42501")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_staging_neither_sees_nor_writes_a_row_of_production_in_any_table_or_view() {
    let world = World::start().await;
    world.plant().await;
    let (tables, views) = world.relations().await;
    assert!(tables.len() > 15 && views.len() > 2, "{tables:?} {views:?}");
    let (pool, owner) = (world.staging.raw(), world.owner.raw());
    for table in &tables {
        assert_eq!(count(&owner, table).await, 2, "{table}: the owner sees both");
        assert_eq!(count(&pool, table).await, 1, "{table}");
        assert_eq!(count(&pool, &format!("{table} where environment = 'production'")).await, 0, "{table}");
        for change in [
            format!("update {table} set environment = environment where environment = 'production'"),
            format!("delete from {table} where environment = 'production'"),
        ] {
            assert_eq!(sql(&pool, &change).await.unwrap().rows_affected(), 0, "{change}");
        }
        for change in [
            format!("update {table} set environment = 'production'"),
            format!("truncate {table}"),
            format!("alter table {table} disable row level security"),
            format!("drop policy perch_staging on {table}"),
        ] {
            let refused = sql(&pool, &change).await.expect_err(&change);
            assert!(is_forbidden(&refused), "{change}: {refused}");
        }
        assert_eq!(sql(&pool, &format!("delete from {table}")).await.unwrap().rows_affected(), 1, "{table}: its own");
        assert_eq!(count(&owner, &format!("{table} where environment = 'production'")).await, 1, "{table}");
    }
    for view in &views {
        assert_eq!(count(&pool, &format!("{view} where environment = 'production'")).await, 0, "{view}");
    }
    for insert in [
        "insert into audit_log (environment, actor, action, object) values ('production', 'x', 'x', 'x')",
        "insert into outbox (environment, id, queue, kind, envelope) values ('production', 'x', 'x', 'x', '{}')",
    ] {
        assert!(is_forbidden(&sql(&pool, insert).await.unwrap_err()), "{insert}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_works_as_the_role_of_its_environment_and_is_refused_as_that_of_the_other() {
    let world = World::start().await;
    for (role, env) in [(&world.staging, Staging), (&world.production, Production)] {
        let store = role.store(env);
        store.require_schema().await.unwrap();
        store.outbox().register(&perch_jobs::types(), 1_000, std::time::Duration::from_secs(60)).await.unwrap();
        store.audit().record("ann", "test", env.as_str(), &json!({})).await.unwrap();
        let lines = store.audit().list(&AuditFilter::default(), &Paging::default()).await.unwrap().items;
        assert_eq!(lines.iter().map(|line| line.object.as_str()).collect::<Vec<_>>(), [env.as_str()]);
    }
    let astray = world.staging.store(Production);
    let refused = astray.require_schema().await.unwrap_err();
    assert!(matches!(refused, StoreError::OtherEnvironment { .. }), "{refused}");
    assert!(refused.to_string().contains("staging") && refused.to_string().contains("production"), "{refused}");
    let refused = astray.audit().record("ann", "test", "x", &json!({})).await.unwrap_err();
    assert!(matches!(refused, StoreError::Forbidden { .. }), "{refused}");
    let seen = astray.audit().list(&AuditFilter::default(), &Paging::default()).await.unwrap().items;
    assert!(seen.is_empty(), "{seen:?}");
    world.owner.store(Production).require_schema().await.unwrap();
}

async fn enqueue(pool: &PgPool, arguments: &str) -> Result<JobId, sqlx::Error> {
    let sql = format!(r#"select perch_enqueue('publish_post', '{{"account":"main","text":"x"}}'{arguments})"#);
    let id: String = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(pool).await?;
    Ok(id.parse().unwrap())
}

async fn accepted(world: &World, env: Environment, id: JobId) -> bool {
    world.owner.store(env).history().job(id).await.unwrap().is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_only_enqueue_does_so_in_its_own_environment_alone() {
    let world = World::start().await;
    for env in [Staging, Production] {
        let store = world.owner.store(env);
        store.outbox().register(&perch_jobs::types(), 10_000, std::time::Duration::from_secs(60)).await.unwrap();
    }
    let service = world.database.role().await;
    world.owner.store(Staging).roles().bind(&service.name, true).await.unwrap();
    let pool = service.raw();
    let id = enqueue(&pool, "").await.unwrap();
    assert!(accepted(&world, Staging, id).await && !accepted(&world, Production, id).await);
    enqueue(&pool, ", environment => 'staging'").await.unwrap();
    let refused = enqueue(&pool, ", environment => 'production'").await.unwrap_err();
    assert!(is_forbidden(&refused) && refused.to_string().contains("may enqueue in staging only"), "{refused}");
    for forbidden in ["select * from outbox", "select * from jobs", "select perch_protect()"] {
        assert!(is_forbidden(&sql(&pool, forbidden).await.unwrap_err()), "{forbidden}");
    }
    // A login that switches to this role with `set role` is bound as well.
    let login = world.database.role().await;
    sql(&world.database.raw(), &format!("grant {} to {}", service.name, login.name)).await.unwrap();
    let as_service = format!(
        "set role {}; {}",
        service.name,
        r#"select perch_enqueue('publish_post',
        '{"account":"main","text":"x"}', environment => 'production')"#
    );
    assert!(is_forbidden(&sql(&login.raw(), &as_service).await.unwrap_err()));

    let both = enqueue(&world.owner.raw(), "").await.unwrap_err().to_string();
    assert!(both.contains("environment must be"), "{both}");
    let id = enqueue(&world.owner.raw(), ", environment => 'production'").await.unwrap();
    assert!(accepted(&world, Production, id).await);
    let id = enqueue(&world.production.raw(), "").await.unwrap();
    assert!(accepted(&world, Production, id).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn before_any_role_is_bound_every_role_reaches_what_it_was_granted() {
    let database = TestDatabase::create().await;
    let app = database.role().await;
    let grant = format!("grant all on all tables in schema public to {}", app.name);
    sql(&database.raw(), &grant).await.unwrap();
    let secured = "pg_class where relrowsecurity and relnamespace = 'public'::regnamespace";
    assert_eq!(count(&database.raw(), secured).await, 0);
    for env in [Staging, Production] {
        app.store(env).audit().record("ann", "test", "x", &json!({})).await.unwrap();
    }
    // After it, a role without binding is not restricted, and is listed as unbound.
    let bound = database.role().await;
    database.store(Staging).roles().bind(&bound.name, false).await.unwrap();
    assert_eq!(count(&app.raw(), "audit_log").await, 2);
    assert_eq!(count(&bound.raw(), "audit_log").await, 1);
    assert_eq!(database.store(Staging).roles().unbound().await.unwrap(), [app.name.as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_later_release_brings_is_protected_by_its_migration() {
    let world = World::start().await;
    world.owner.store(Staging).audit().record("ann", "test", "x", &json!({})).await.unwrap();
    world.owner.store(Production).audit().record("ann", "test", "x", &json!({})).await.unwrap();
    sql(
        &world.owner.raw(),
        "create table later (environment text not null check (environment in ('staging', 'production')), id text);
         create view actors as select environment, actor from audit_log;
         create schema a_bot;
         create table a_bot.memory (environment text not null check (environment in ('staging', 'production')), id text);
         create view a_bot.memories as select * from a_bot.memory;
         insert into a_bot.memory values ('staging', 'a'), ('production', 'b');
         insert into later values ('staging', 'a'), ('production', 'b');
         -- As before the last migration.
         drop table persona_costs;
         delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)",
    )
    .await
    .unwrap();
    world.owner.store(Staging).migrate(|_| ()).await.unwrap();
    for name in ["later", "actors", "a_bot.memory", "a_bot.memories"] {
        assert_eq!(count(&world.staging.raw(), name).await, 1, "{name}");
        assert_eq!(count(&world.production.raw(), name).await, 1, "{name}");
        assert_eq!(count(&world.owner.raw(), name).await, 2, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_cannot_be_held_is_refused_with_the_reason_and_one_that_is_released_may_do_nothing() {
    let world = World::start().await;
    let bind = async |env: Environment, role: &str| world.owner.store(env).roles().bind(role, false).await;
    for (env, role, reason) in [
        (Staging, "nobody_of_that_name", "there is no role"),
        (Staging, "postgres", "superuser"),
        (Staging, world.owner.name.as_str(), "owns the tables"),
        (Production, world.staging.name.as_str(), "is bound to staging; release it first"),
    ] {
        let refused = bind(env, role).await.unwrap_err();
        assert!(matches!(&refused, StoreError::Role { reason: said } if said.contains(reason)), "{role}: {refused}");
    }
    let refused = world.staging.store(Staging).roles().bind(&world.production.name, false).await.unwrap_err();
    assert!(matches!(refused, StoreError::Forbidden { .. }), "{refused}");

    bind(Staging, &world.staging.name).await.unwrap();
    let named = |role: &TestRole, environment| BoundRole { role: role.name.clone(), environment, runs: true };
    let bound = [named(&world.production, Production), named(&world.staging, Staging)];
    assert_eq!(world.owner.store(Staging).roles().list().await.unwrap(), bound);

    assert!(world.owner.store(Staging).roles().release(&world.staging.name).await.unwrap());
    assert!(!world.owner.store(Staging).roles().release(&world.staging.name).await.unwrap());
    assert!(is_forbidden(&sql(&world.staging.raw(), "select * from jobs").await.unwrap_err()));
    bind(Production, &world.staging.name).await.unwrap();
    world.staging.store(Production).require_schema().await.unwrap();
}
