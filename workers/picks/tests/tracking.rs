//! The guarantees of settlements and records.
#![allow(clippy::unwrap_used, reason = "a test that panics says where and why")]

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::Environment;
use perch_bot::Bots;
use perch_bot_picks::{
    PicksBot,
    store::{
        PickBody, PickLookup, PickRecord, PickSettlement, PickSighting, PicksStore as _, PostRecord, SettleSource,
        SettledBet, SettledBy, TrackedPick,
    },
};
use perch_jobs::{ExtractedBets, Post};
use perch_odds::{
    record::Period,
    settle::{Grade, profit},
};
use perch_store::Store;
use perch_testkit::TestDatabase;
use sqlx::Row as _;

const ENV: Environment = Environment::Staging;

const LAKERS: &str = r#"{"type":"spread","sport":"nba","event":null,"selection":"Los Angeles Lakers","line":-3.5,"side":null,"player":null,"stat":null,"odds":"-110","units":2}"#;

/// Records that an account named a pick in a post of that time, which is read now. Returns the key of the pick.
async fn names(store: &Store, post: &str, author: &str, line: f64, at: DateTime<Utc>) -> String {
    let ExtractedBets::One(pick) = ExtractedBets::parse(&LAKERS.replace("-3.5", &line.to_string())).unwrap() else {
        panic!("one pick")
    };
    let id: perch_jobs::PostId = post.parse().unwrap();
    let written = Post {
        id: id.clone(),
        author_id: "1".into(),
        author: author.into(),
        text: "a pick".into(),
        created_at: at,
        media: Vec::new(),
    };
    store.record(&[PostRecord { post: written, read_at: Utc::now() }]).await.unwrap();
    let record = PickRecord::new(PickBody::Single(pick), id.clone(), author.into(), Utc::now());
    let key = record.key.clone();
    if store.picks().get(&key).await.unwrap().is_none() {
        store.record(&[record]).await.unwrap();
    } else {
        let again = PickSighting {
            pick_key: key.clone(),
            post_id: id,
            author: author.into(),
            odds: None,
            units: None,
            seen_at: Utc::now(),
        };
        store.record(&[again]).await.unwrap();
    }
    key
}

fn bet(account: &str, posted_at: DateTime<Utc>, grade: Grade, closing: Option<f64>, odds_assumed: bool) -> SettledBet {
    SettledBet {
        account: account.into(),
        post_id: "1".parse().unwrap(),
        posted_at,
        sport: Some("nba".into()),
        market: "spread".into(),
        grade,
        odds: Some(2.0),
        odds_assumed,
        closing,
        stake: 1.0,
        stake_assumed: false,
        units: profit(grade, 1.0, perch_odds::Odds::EVEN),
    }
}

fn settlement(key: &str, grade: Grade, bets: Vec<SettledBet>) -> PickSettlement {
    PickSettlement {
        key: key.into(),
        grade: Some(grade),
        legs: Vec::new(),
        closing_odds: None,
        source: Some(SettleSource::Results),
        held: false,
        over_at: None,
        note: None,
        bets,
        seen_revision: 0,
    }
}

fn by(actor: &str) -> SettledBy {
    SettledBy { actor: actor.into(), source: SettleSource::Stated }
}

async fn tracked(store: &Store, key: &str) -> TrackedPick {
    let PickLookup::One(pick) = store.tracking().find(key).await.unwrap() else { panic!("one pick") };
    *pick
}

#[tokio::test]
async fn of_several_that_settle_a_pick_at_once_one_does_and_the_others_are_told() {
    let database = TestDatabase::of(|store| Bots::default().with(PicksBot).store(store)).await;
    let store = database.store(ENV);
    let key = names(&store, "1", "sally", -3.5, Utc::now()).await;
    let attempts = (0..8).map(|n| {
        let (store, key) = (store.clone(), key.clone());
        async move {
            let grade = if n % 2 == 0 { Grade::Won } else { Grade::Lost };
            let one = settlement(&key, grade, vec![bet("sally", Utc::now(), grade, None, false)]);
            store.tracking().apply(&[], &[one], &by(&n.to_string()), None).await.unwrap()
        }
    });
    let done = futures::future::join_all(attempts).await;
    assert_eq!(done.iter().filter(|done| **done).count(), 1, "{done:?}");
    let (pick, history) = (tracked(&store, &key).await, store.tracking().history(&key).await.unwrap());
    assert_eq!((pick.revision, history.len()), (1, 1));
    assert_eq!(history[0].settled_by, pick.settled_by.clone().unwrap());
    assert_eq!(store.tracking().bets_of(&key).await.unwrap()[0].grade, pick.grade.unwrap());
}

#[tokio::test]
async fn closing_odds_that_come_later_leave_who_settled_a_pick_and_when() {
    let database = TestDatabase::of(|store| Bots::default().with(PicksBot).store(store)).await;
    let store = database.store(ENV);
    let key = names(&store, "1", "sally", -3.5, Utc::now()).await;
    let won = settlement(&key, Grade::Won, Vec::new());
    assert!(store.tracking().apply(&[], std::slice::from_ref(&won), &by("fetch_results"), None).await.unwrap());
    let before = tracked(&store, &key).await;
    let closing = PickSettlement { source: None, closing_odds: Some("-120".into()), seen_revision: 1, ..won.clone() };
    assert!(store.tracking().apply(&[], &[closing], &by("anna"), None).await.unwrap());
    let after = tracked(&store, &key).await;
    assert_eq!((after.closing_odds.as_deref(), after.revision), (Some("-120"), 2));
    assert_eq!(
        (after.settled_at, after.settled_by, after.source.as_deref()),
        (before.settled_at, before.settled_by, Some("results"))
    );
    assert_eq!(store.tracking().history(&key).await.unwrap()[1].settled_by, "anna", "the history says who did what");
    let lost = PickSettlement { grade: Some(Grade::Lost), source: Some(SettleSource::Stated), seen_revision: 2, ..won };
    assert!(store.tracking().apply(&[], &[lost], &by("anna"), None).await.unwrap());
    let changed = tracked(&store, &key).await;
    assert!(changed.settled_at > before.settled_at && changed.settled_by.as_deref() == Some("anna"));
}

#[tokio::test]
async fn a_bet_is_missing_where_its_post_was_written_before_the_end_whenever_it_was_read() {
    let database = TestDatabase::of(|store| Bots::default().with(PicksBot).store(store)).await;
    let store = database.store(ENV);
    let end = Utc::now() - TimeDelta::hours(20);
    let key = names(&store, "1", "sally", -3.5, end - TimeDelta::hours(2)).await;
    let over = PickSettlement {
        over_at: Some(end),
        ..settlement(&key, Grade::Won, vec![bet("sally", end - TimeDelta::hours(2), Grade::Won, None, false)])
    };
    assert!(store.tracking().apply(&[], &[over], &by("x"), None).await.unwrap());
    names(&store, "2", "too_late", -3.5, end + TimeDelta::hours(1)).await;
    assert!(store.tracking().lacking_bets().await.unwrap().is_empty());
    names(&store, "3", "read_late", -3.5, end - TimeDelta::hours(1)).await;
    let lacking = store.tracking().lacking_bets().await.unwrap();
    assert_eq!(lacking.iter().map(|pick| &pick.key).collect::<Vec<_>>(), [&key]);
}

#[tokio::test]
async fn the_views_of_the_record_say_what_the_record_says() {
    use Grade::{Lost, Push, Won};
    let database = TestDatabase::of(|store| Bots::default().with(PicksBot).store(store)).await;
    let store = database.store(ENV);
    let day = |day: i64| "2026-11-01T18:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::days(day);
    // The last three bets are from one post.
    let ends = [(0, Lost), (1, Lost), (2, Won), (3, Push), (31, Won), (32, Won), (32, Lost), (32, Won)];
    for (n, (on, grade)) in (0_u32..).zip(ends) {
        let key = names(&store, &(n + 1).to_string(), "sally", f64::from(n) + 0.5, day(on)).await;
        // Assumed odds have no closing-line value, even if an older release stored closing odds beside them.
        let closing = if n < 2 { Some(1.6) } else { None };
        let one = settlement(&key, grade, vec![bet("sally", day(on), grade, closing, n == 1)]);
        assert!(store.tracking().apply(&[], &[one], &by("x"), None).await.unwrap());
    }
    let raw = database.raw();
    let streaks =
        sqlx::query("select * from picks.account_streaks where environment = 'staging' and account = 'sally'");
    let row = streaks.fetch_one(&raw).await.unwrap();
    let streak: [i64; 3] = ["streak", "longest_won", "longest_lost"].map(|name| row.get(name));
    assert_eq!(streak, [1, 3, 2]);
    let months = sqlx::query("select * from picks.account_record where account = 'sally' order by period");
    let months = months.fetch_all(&raw).await.unwrap();
    let november = &months[0];
    assert_eq!((months.len(), november.get::<String, _>("period")), (2, "2026-11".to_owned()));
    let counts: [i64; 5] = ["bets", "w", "l", "p", "v"].map(|name| november.get(name));
    assert_eq!(counts, [4, 1, 2, 1, 0]);
    let sums: [f64; 5] = ["staked", "won", "roi", "hit_rate", "clv"].map(|name| november.get(name));
    for (sum, expected) in sums.into_iter().zip([4.0, -1.0, -0.25, 1.0 / 3.0, 0.25]) {
        assert!((sum - expected).abs() < 1e-9, "{sums:?}");
    }
    for (by, period) in [("day", Period::Day), ("week", Period::Week), ("month", Period::Month), ("year", Period::Year)]
    {
        let named =
            sqlx::query_scalar("select period from picks.account_periods where by = $1 order by period desc limit 1");
        let last: String = named.bind(by).fetch_one(&raw).await.unwrap();
        assert_eq!(last, period.of(day(32)));
    }
}

#[tokio::test]
async fn no_text_at_all_names_no_pick() {
    let database = TestDatabase::of(|store| Bots::default().with(PicksBot).store(store)).await;
    let store = database.store(ENV);
    names(&store, "1", "sally", -3.5, Utc::now()).await;
    for text in ["", "  "] {
        assert_eq!(store.tracking().find(text).await.unwrap(), PickLookup::NotFound);
    }
}
