//! What the texts of accounts promise: of texts that are alike, one account has its claim.
#![allow(clippy::unwrap_used, reason = "a test that panics says where and why")]

use std::sync::LazyLock;

use futures::future::join_all;
use perch_base::Environment;
use perch_jobs::{AccountId, JobId};
use perch_store::{Claim, EffectIntent, NewText, OtherText, Permit, Store, request_digest};
use perch_testkit::TestDatabase;

static ONE: LazyLock<AccountId> = LazyLock::new(|| AccountId::from_static("one"));
static TWO: LazyLock<AccountId> = LazyLock::new(|| AccountId::from_static("two"));
const RYE: &str = "rye wants a cold night";

struct World {
    store: Store,
    database: TestDatabase,
}

impl World {
    async fn start() -> Self {
        let database = TestDatabase::create().await;
        Self { store: database.store(Environment::Staging), database }
    }

    /// Claims a text, which is like every other that begins with the same word.
    async fn claim(&self, key: &str, account: &AccountId, text: &str) -> Option<OtherText> {
        let others: Vec<String> =
            [&*ONE, &*TWO].into_iter().filter(|other| *other != account).map(ToString::to_string).collect();
        let first = |text: &str| text.split(' ').next().map(str::to_owned);
        let new = NewText { key, account, text, keys: &[1, 2, 3], others: &others };
        self.store.account_texts().claim(&new, |other| first(other) == first(text)).await.unwrap()
    }

    /// A permit for the effect of a text.
    async fn begin(&self, key: &str) -> Permit {
        let intent = EffectIntent {
            key: key.into(),
            kind: "post".into(),
            account: "one".into(),
            digest: request_digest(&[key]),
            job: JobId::at(chrono::Utc::now()),
            attempt: 1,
            holder: "a worker".into(),
            live: true,
        };
        match self.store.effects().claim(&intent).await.unwrap() {
            Claim::Granted(permit) => permit,
            other => panic!("it is free: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_text_of_another_account_is_answered_and_one_of_the_own_account_is_not() {
    let world = World::start().await;
    assert_eq!(world.claim("a", &ONE, RYE).await, None);
    assert_eq!(world.claim("b", &ONE, RYE).await, None, "what an account repeats is its own business");
    let other = world.claim("c", &TWO, "rye!").await;
    assert_eq!(other, None, "another word begins it");
    let other = world.claim("d", &TWO, RYE).await.expect("it is another's");
    assert_eq!((other.account.as_str(), other.text.as_str()), ("one", RYE));
    assert_eq!(world.claim("a", &ONE, RYE).await, None, "a claim may be renewed");
}

#[tokio::test]
async fn of_many_that_claim_at_once_all_that_have_their_claim_are_of_one_account() {
    let world = World::start().await;
    let claims = (0..20).map(|n| {
        let account = if n % 2 == 0 { ONE.clone() } else { TWO.clone() };
        let world = &world;
        async move { (account.clone(), world.claim(&format!("key:{n}"), &account, RYE).await.is_none()) }
    });
    let granted: Vec<AccountId> =
        join_all(claims).await.into_iter().filter(|(_, granted)| *granted).map(|(account, _)| account).collect();
    assert!(granted.len() == 10 && granted.iter().all(|account| *account == granted[0]), "{granted:?}");
}

#[tokio::test]
async fn a_text_whose_effect_has_failed_is_free_until_it_is_claimed_again() {
    let world = World::start().await;
    assert_eq!(world.claim("a", &ONE, RYE).await, None);
    let permit = world.begin("a").await;
    world.store.effects().fail(&permit, "X: 503").await.unwrap();
    assert_eq!(world.claim("b", &TWO, RYE).await, None, "nobody says it now");
    let permit = world.begin("b").await;
    world.store.effects().fail(&permit, "X: 503").await.unwrap();
    // Both are to be tried again, and neither effect has begun.
    assert_eq!(world.claim("b", &TWO, RYE).await, None);
    assert!(world.claim("a", &ONE, RYE).await.is_some(), "the other one was first this time");
}

#[tokio::test]
async fn an_account_that_is_configured_no_more_and_a_text_of_two_years_ago_count_no_more() {
    let world = World::start().await;
    let account = AccountId::from_static("gone");
    let gone = NewText { key: "a", account: &account, text: RYE, keys: &[1], others: &[] };
    assert_eq!(world.store.account_texts().claim(&gone, |_| true).await.unwrap(), None);
    assert_eq!(world.claim("b", &ONE, RYE).await, None);
    sqlx::query("update account_texts set claimed_at = claimed_at - interval '2 years' where key = 'b'")
        .execute(&world.database.raw())
        .await
        .unwrap();
    assert_eq!(world.claim("c", &TWO, RYE).await, None);
    assert_eq!(world.store.account_texts().prune().await.unwrap(), 1);
    assert_eq!(world.store.account_texts().prune().await.unwrap(), 0);
}

#[tokio::test]
async fn a_text_with_a_nul_character_which_postgres_does_not_hold_is_claimed_like_any_other() {
    let world = World::start().await;
    assert_eq!(world.claim("a", &ONE, "rye\0 wants a night").await, None);
    assert_eq!(
        world.claim("b", &TWO, "rye\u{fffd} wants a night").await.map(|other| other.account),
        Some("one".into())
    );
}
