//! Walking through lists of Postgres while rows come and go.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::{Cursor, Environment, Paging};
use perch_jobs::{JobId, JobState};
use perch_store::{AuditFilter, EffectFilter, JobFilter, Store, StoreError};
use perch_testkit::TestDatabase;
use proptest::{prelude::*, test_runner::TestRunner};
use sqlx::PgPool;

#[derive(Debug, Clone, Copy)]
enum List {
    Jobs,
    Audit,
    Effects,
    Keys,
}

const LISTS: [List; 4] = [List::Jobs, List::Audit, List::Effects, List::Keys];

/// Rows by number, and what happens after each page: rows that are added or removed.
#[derive(Debug, Clone)]
struct Story {
    rows: BTreeSet<u16>,
    page: u32,
    meanwhile: Vec<(Vec<u16>, Vec<prop::sample::Index>)>,
}

fn story() -> impl Strategy<Value = Story> {
    let come = prop::collection::vec(0..500_u16, 0..3);
    let go = prop::collection::vec(any::<prop::sample::Index>(), 0..3);
    let rows = prop::collection::btree_set(0..500_u16, 1..20);
    (rows, 1..6_u32, prop::collection::vec((come, go), 0..20)).prop_map(|(rows, page, meanwhile)| Story {
        rows,
        page,
        meanwhile,
    })
}

fn base() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).expect("a time")
}

fn job(n: u16) -> JobId {
    JobId::from_parts(base(), u128::from(n))
}

impl List {
    /// How the row with this number is named in the list.
    fn name(self, n: u16) -> String {
        match self {
            Self::Jobs => job(n).to_string(),
            Self::Audit => (i64::from(n) + 1_000).to_string(),
            Self::Effects => format!("effect:{n:03}"),
            Self::Keys => format!("key_{n:03}"),
        }
    }

    async fn come(self, pool: &PgPool, n: u16) {
        let name = self.name(n);
        let insert = match self {
            Self::Jobs => {
                "insert into jobs (environment, id, queue, state, created_at, changed_at)
                 values ('staging', $1, 'extraction', 'done', $2, $2) on conflict do nothing"
            }
            Self::Audit => {
                "insert into audit_log (environment, id, at, actor, action, object, details) overriding system value
                 values ('staging', $1::bigint, $2, 'ann', 'a', 'o', '{}') on conflict do nothing"
            }
            Self::Effects => {
                "insert into effects (environment, key, kind, account, state, fence, digest, job_id, attempt, holder, created_at, intended_at)
                 values ('staging', $1, 'post', 'main', 'confirmed', 1, sha256('x'), '01KAJ3Z8Q0V5N6T7R8S9W0X1Y2', 1, 'w', $2, $2)
                 on conflict do nothing"
            }
            Self::Keys => {
                "insert into api_keys (environment, id, name, hash, scopes, created_at)
                 values ('staging', $1, $1, sha256($1::bytea), '{read}', $2) on conflict do nothing"
            }
        };
        // Several share a time, down to the microsecond.
        let at = base() + TimeDelta::microseconds(i64::from(n % 3));
        sqlx::query(insert).bind(name).bind(at).execute(pool).await.expect("Postgres answers");
    }

    async fn go(self, pool: &PgPool, n: u16) {
        let delete = match self {
            Self::Jobs => "delete from jobs where id = $1",
            Self::Audit => "delete from audit_log where id = $1::bigint",
            Self::Effects => "delete from effects where key = $1",
            Self::Keys => "delete from api_keys where id = $1",
        };
        sqlx::query(delete).bind(self.name(n)).execute(pool).await.expect("Postgres answers");
    }

    async fn page(self, store: &Store, paging: &Paging) -> Result<(Vec<String>, Option<Cursor>), StoreError> {
        Ok(match self {
            Self::Jobs => {
                let done = JobFilter { state: Some(JobState::Done), ..JobFilter::default() };
                let page = store.history().page(&done, paging, Utc::now()).await?.map(|job| job.id.to_string());
                (page.items, page.next)
            }
            Self::Audit => {
                let page = store.audit().list(&AuditFilter::default(), paging).await?.map(|line| line.id.to_string());
                (page.items, page.next)
            }
            Self::Effects => {
                let page = store.effects().list(&EffectFilter::default(), paging).await?.map(|effect| effect.key);
                (page.items, page.next)
            }
            Self::Keys => {
                let page = store.api_keys().list(paging).await?.map(|key| key.id);
                (page.items, page.next)
            }
        })
    }
}

/// How often each row was in a page, and which rows existed all the time.
async fn walked(database: &TestDatabase, list: List, told: &Story) -> (BTreeMap<String, u32>, BTreeSet<String>) {
    let (store, pool) = (database.store(Environment::Staging), database.raw());
    for table in ["jobs", "audit_log", "effects", "api_keys"] {
        let empty = sqlx::AssertSqlSafe(format!("delete from {table}"));
        sqlx::query(empty).execute(&pool).await.expect("Postgres answers");
    }
    for n in &told.rows {
        list.come(&pool, *n).await;
    }
    let began: Vec<u16> = told.rows.iter().copied().collect();
    let mut stayed = told.rows.clone();
    let (mut seen, mut meanwhile, mut paging) = (BTreeMap::new(), told.meanwhile.iter(), Paging::first(told.page));
    loop {
        let (rows, next) = list.page(&store, &paging).await.expect("a page");
        assert!(rows.len() <= told.page as usize, "{rows:?}");
        for row in rows {
            *seen.entry(row).or_default() += 1;
        }
        let Some(next) = next else { break };
        // Passed on as text, as a client does.
        paging.cursor = Some(next.to_string().parse().expect("a cursor"));
        let Some((come, go)) = meanwhile.next() else { continue };
        for n in come {
            list.come(&pool, *n).await;
        }
        for which in go {
            let n = *which.get(&began);
            stayed.remove(&n);
            list.go(&pool, n).await;
        }
    }
    (seen, stayed.into_iter().map(|n| list.name(n)).collect())
}

#[test]
fn a_row_that_is_there_all_the_while_is_in_one_page_of_a_walk_and_in_no_second() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let database = runtime.block_on(TestDatabase::create());
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() });
    let outcome = runner.run(&(story(), 0..LISTS.len()), |(story, list)| {
        let list = LISTS[list];
        let (seen, stayed) = runtime.block_on(walked(&database, list, &story));
        for row in stayed {
            prop_assert_eq!(seen.get(&row).copied().unwrap_or(0), 1, "{} of {:?} among {:?}", row, list, seen);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[tokio::test]
async fn rows_that_cannot_be_read_end_no_walk() {
    let database = TestDatabase::create().await;
    let (store, pool) = (database.store(Environment::Staging), database.raw());
    for n in 0..5 {
        List::Audit.come(&pool, n).await;
    }
    sqlx::query("update audit_log set at = 'infinity' where id in (1001, 1002, 1004)")
        .execute(&pool)
        .await
        .expect("Postgres answers");
    let (mut seen, mut paging) = (Vec::new(), Paging::first(1));
    loop {
        let (rows, next) = List::Audit.page(&store, &paging).await.expect("a page");
        seen.extend(rows);
        let Some(next) = next else { break };
        paging.cursor = Some(next);
    }
    assert_eq!(seen, ["1003", "1000"]);
}

#[tokio::test]
async fn what_was_spent_is_told_once_though_more_is_spent_during_the_walk() {
    let database = TestDatabase::create().await;
    let (store, pool) = (database.store(Environment::Staging), database.raw());
    let spend = async |id: &str, account: &str, micros: i64, at: DateTime<Utc>| {
        sqlx::query(
            "insert into spend (environment, id, at, provider, bot, account, kind, units, prompt_tokens, completion_tokens, micros,
                                version_ms, version_seq)
             values ('staging', $1, $2, 'x', 'a_bot', $3, 'post_read', 1, 0, 0, $4, 0, 0)",
        )
        .bind(id)
        .bind(at)
        .bind(account)
        .bind(micros)
        .execute(&pool)
        .await
        .expect("Postgres answers");
    };
    let until = base() + TimeDelta::hours(1);
    for (n, account) in ["a", "b", "c", "d"].into_iter().enumerate() {
        spend(account, account, 100 - 10 * i64::try_from(n / 2).expect("small"), base()).await;
    }
    let (mut accounts, mut paging, mut end) = (Vec::new(), Paging::first(1), until);
    loop {
        let (_, told, page) = store.spend().sums(base(), end, &paging).await.expect("a page");
        assert_eq!(told, until, "every page is about the time of the first");
        accounts.extend(page.items.into_iter().map(|sum| sum.account));
        let Some(next) = page.next else { break };
        paging.cursor = Some(next);
        // More expensive than all others, but outside the time span of the first page.
        end += TimeDelta::hours(1);
        spend(&format!("more {end}"), "d", 1_000, until).await;
    }
    assert_eq!(accounts, ["a", "b", "c", "d"]);
}
