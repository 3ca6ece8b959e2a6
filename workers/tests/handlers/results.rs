//! What results do to picks, whatever the source says and however late.

use std::sync::{Arc, Mutex};

use axum::{Json, Router, routing::get};
use chrono::{DateTime, TimeDelta, Utc};
use perch_base::Paging;
use perch_bot_picks::{
    store::{BetFilter, PickBody, PickLookup, PickRecord, PickSighting, PicksStore as _, PostRecord, TrackedPick},
    tracking::{EnteredOutcome, Entry, settle},
};
use perch_jobs::{ExtractedBets, FetchResults, Post};
use perch_odds::settle::Grade;
use perch_store::AuditFilter;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::world::World;

const LAKERS: &str = r#"{"type":"spread","sport":"nba","event":null,"selection":"Los Angeles Lakers","line":-3.5,"side":null,"player":null,"stat":null,"odds":"-110","units":2}"#;
const LAKERS_WIN: &str = r#"{"type":"moneyline","sport":"nba","event":null,"selection":"Los Angeles Lakers","line":null,"side":null,"player":null,"stat":null,"odds":"-150","units":1}"#;
const POINTS: &str = r#"{"type":"prop","sport":"nba","event":null,"selection":null,"line":25.5,"side":"over","player":"LeBron James","stat":"points","odds":"+100","units":1}"#;
const FIGHT: &str = r#"{"type":"moneyline","sport":"mma","event":null,"selection":"Jon Jones","line":null,"side":null,"player":null,"stat":null,"odds":"-200","units":1}"#;
const TOTAL: &str = r#"{"type":"total","sport":"nba","event":"Boston Celtics vs New York Knicks","selection":null,"line":220.5,"side":"over","player":null,"stat":null,"odds":"-105","units":1}"#;
const YANKEES: &str = r#"{"type":"moneyline","sport":"mlb","event":null,"selection":"New York Yankees","line":null,"side":null,"player":null,"stat":null,"odds":"-120","units":1}"#;

/// A world whose results are those that the test says.
struct Played {
    world: World,
    results: Arc<Mutex<Value>>,
}

impl Played {
    async fn start() -> Self {
        let results = Arc::new(Mutex::new(json!([])));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/results", listener.local_addr().expect("it is bound"));
        let told = Arc::clone(&results);
        let answer = move || std::future::ready(Json(told.lock().expect("nobody panicked").clone()));
        let router = Router::new().route("/results", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let world = World::with(&[("PERCH__PICKS__RESULTS__URL", url.as_str())]).await;
        Self { world, results }
    }

    /// What a fetch of these results comes to.
    async fn fetch(&self, results: Value) -> Value {
        *self.results.lock().expect("nobody panicked") = results;
        self.world.done(&FetchResults {}).await.result.expect("a result")
    }

    /// Records that an account named a pick in a post of that time, which is read now; answers its key.
    async fn names(&self, post: &str, author: &str, json: &str, at: DateTime<Utc>) -> String {
        let Ok(ExtractedBets::One(pick)) = ExtractedBets::parse(json) else { panic!("one pick") };
        let (store, id): (_, perch_jobs::PostId) = (&self.world.store, post.parse().expect("an id"));
        let (odds, units) = (pick.odds.clone(), pick.units);
        let written = Post {
            id: id.clone(),
            author_id: "1".into(),
            author: author.into(),
            text: "a pick".into(),
            created_at: at,
            media: Vec::new(),
        };
        store.record(&[PostRecord { post: written, read_at: Utc::now() }]).await.expect("Postgres answers");
        let record = PickRecord::new(PickBody::Single(pick), id.clone(), author.into(), Utc::now());
        let (pick_key, author, seen_at) = (record.key.clone(), author.to_owned(), Utc::now());
        if store.picks().get(&pick_key).await.expect("Postgres answers").is_none() {
            store.record(&[record]).await.expect("Postgres answers");
        } else {
            let again = PickSighting { pick_key: pick_key.clone(), post_id: id, author, odds, units, seen_at };
            store.record(&[again]).await.expect("Postgres answers");
        }
        pick_key
    }

    async fn pick(&self, key: &str) -> TrackedPick {
        let PickLookup::One(pick) = self.world.store.tracking().find(key).await.expect("Postgres answers") else {
            panic!("one pick")
        };
        *pick
    }

    async fn by_hand(&self, key: &str, outcome: EnteredOutcome) {
        let entry = Entry { outcome: Some(outcome), ..Entry::default() };
        let settings = self.world.settings.sections.get().expect("the bot is there");
        settle(&self.world.store, &settings, self.pick(key).await, &entry, "anna").await.expect("it is settled");
    }
}

fn ago(minutes: i64) -> DateTime<Utc> {
    Utc::now() - TimeDelta::minutes(minutes)
}

fn lakers(first: u32, second: u32, finished_at: DateTime<Utc>) -> Value {
    json!({ "event": "LA Lakers vs Utah Jazz", "sport": "NBA", "scores": [first, second], "finished_at": finished_at })
}

#[tokio::test]
async fn props_winners_and_games_that_were_called_off_come_in_from_a_source_and_what_is_about_no_pick_is_named() {
    let played = Played::start().await;
    let points = played.names("1", "sally", POINTS, ago(120)).await;
    let fight = played.names("2", "sally", FIGHT, ago(120)).await;
    let total = played.names("3", "sally", TOTAL, ago(120)).await;
    let end = ago(5);
    let game = lakers(112, 104, end);
    let with_players = json!({ "players": { "Lebron James": { "pts": 27 } }, "event": game["event"], "sport": "nba",
        "scores": [112, 104], "finished_at": end });
    let fetched = played
        .fetch(json!([
            with_players,
            { "event": "Jon Jones vs Stipe Miocic", "sport": "UFC", "winner": "Jon Jones", "finished_at": end },
            { "event": "Celtics vs Knicks", "sport": "nba", "called_off": true, "finished_at": end },
            { "event": "Atlético Madrid vs Girona", "sport": "La Liga", "scores": [2, 1], "finished_at": end },
        ]))
        .await;
    assert_eq!((&fetched["settled"], &fetched["unmatched"]["games"]), (&json!(3), &json!(1)), "{fetched}");
    let name = fetched["unmatched"]["names"][0].as_str().unwrap_or_default();
    assert!(name.starts_with("Atletico Madrid vs Girona (soccer, "), "{name}");
    for (key, grade) in [(points, Grade::Won), (fight, Grade::Won), (total, Grade::Void)] {
        assert_eq!(played.pick(&key).await.grade, Some(grade), "{key}");
    }
}

#[tokio::test]
async fn a_corrected_result_settles_again_what_results_settled_and_tells_of_what_a_hand_did() {
    let played = Played::start().await;
    let spread = played.names("1", "sally", LAKERS, ago(120)).await;
    let winner = played.names("2", "sally", LAKERS_WIN, ago(120)).await;
    let end = ago(5);
    let first = played.fetch(json!([lakers(112, 104, end)])).await;
    assert_eq!((&first["settled"], &first["corrected"]), (&json!(2), &json!([])));
    played.by_hand(&winner, EnteredOutcome::Stated(Grade::Won)).await;

    let corrected = played.fetch(json!([lakers(104, 112, end)])).await;
    let again = &corrected["corrected"][0];
    assert_eq!(
        (&again["key"], &again["before"], &again["state"], &again["change"]),
        (&json!(spread), &json!("won"), &json!("lost"), &json!(-3.82))
    );
    let contradicted = &corrected["contradicted"][0];
    assert_eq!(
        (&contradicted["key"], &contradicted["state"], &contradicted["results"]),
        (&json!(winner), &json!("won"), &json!("lost"))
    );
    assert_eq!(played.pick(&winner).await.grade, Some(Grade::Won));
    let filter = AuditFilter { object: Some("results".into()), ..AuditFilter::default() };
    let audit = played.world.store.audit().list(&filter, &Paging::default()).await.expect("Postgres answers").items;
    assert_eq!(
        (audit.len(), audit[0].action.as_str(), audit[0].actor.as_str()),
        (1, "results.correct", "fetch_results")
    );
    assert_eq!((&audit[0].details["change"], &audit[0].details["picks"][0]["key"]), (&json!(-3.82), &json!(spread)));
    let same = played.fetch(json!([lakers(104, 112, end)])).await;
    assert_eq!((&same["corrected"], &same["settled"]), (&json!([]), &json!(0)));
}

#[tokio::test]
async fn a_pick_that_was_opened_again_by_hand_waits_for_a_hand() {
    let played = Played::start().await;
    let key = played.names("1", "sally", LAKERS, ago(120)).await;
    let end = ago(5);
    played.fetch(json!([lakers(112, 104, end)])).await;
    played.by_hand(&key, EnteredOutcome::Reopened).await;
    let fetched = played.fetch(json!([lakers(112, 104, end)])).await;
    let why = fetched["left_open"][0]["why"].as_str().unwrap_or_default();
    assert!(why.contains("reopened by hand"), "{fetched}");
    let held = played.pick(&key).await;
    assert_eq!((held.grade, held.held), (None, true));
    played.by_hand(&key, EnteredOutcome::Stated(Grade::Push)).await;
    let settled = played.pick(&key).await;
    assert_eq!((settled.grade, settled.held), (Some(Grade::Push), false));
}

#[tokio::test]
async fn a_post_counts_by_when_it_was_written_however_late_it_is_read() {
    let played = Played::start().await;
    let key = played.names("1", "sally", LAKERS, ago(300)).await;
    let end = ago(90);
    played.names("2", "past_poster", LAKERS, ago(60)).await;
    let first = played.fetch(json!([lakers(112, 104, end)])).await;
    assert_eq!((&first["settled"], &first["late"]), (&json!(1), &json!(0)));
    played.names("3", "read_late", LAKERS, ago(120)).await;
    played.names("4", "later_still", LAKERS, ago(30)).await;
    let second = played.fetch(json!([])).await;
    assert_eq!((&second["settled"], &second["late"]), (&json!(0), &json!(1)));
    let bets = played.world.store.tracking().bets(&BetFilter::default()).await.expect("Postgres answers");
    let accounts: Vec<&str> = bets.iter().map(|bet| bet.account.as_str()).collect();
    assert_eq!(accounts, ["sally", "read_late"]);
    assert_eq!(played.pick(&key).await.over_at.map(|at| at.timestamp_millis()), Some(end.timestamp_millis()));
}

#[tokio::test]
async fn two_games_of_one_day_are_both_kept_and_a_pick_that_may_be_of_either_stays_open_and_says_so() {
    let played = Played::start().await;
    let key = played.names("1", "sally", YANKEES, ago(120)).await;
    let today = Utc::now().date_naive();
    let game = |first: u32, second: u32| {
        json!({ "event": "New York Yankees vs Boston Red Sox", "sport": "mlb",
        "date": today, "scores": [first, second] })
    };
    let fetched = played.fetch(json!([game(5, 3), game(2, 6)])).await;
    assert_eq!((&fetched["settled"], &fetched["open"]), (&json!(0), &json!(1)));
    let why = fetched["left_open"][0]["why"].as_str().unwrap_or_default();
    assert!(why.contains("2 of its games"), "{fetched}");
    let kept = played.world.store.tracking().games(today).await.expect("Postgres answers");
    let scores: Vec<_> = kept.iter().map(|row| (row.game, row.score_first)).collect();
    assert_eq!(scores, [(Some(1), Some(5.0)), (Some(2), Some(2.0))]);
    let unclear = played.fetch(json!([game(9, 9)])).await;
    assert_eq!(unclear["unclear"]["games"], 1, "{unclear}");
    // One of them alone was seen first: what it settled is open again when the other one is known.
    assert_eq!(played.pick(&key).await.grade, None);
}

#[tokio::test]
async fn a_pick_on_a_part_of_a_game_is_left_to_a_hand() {
    let played = Played::start().await;
    let key = played.names("1", "sally", LAKERS, ago(120)).await;
    sqlx::query("update picks.picks set terms = '{\"part\": \"first half\"}'")
        .execute(&played.world.database().raw())
        .await
        .expect("Postgres answers");
    let fetched = played.fetch(json!([lakers(112, 104, ago(5))])).await;
    assert_eq!((&fetched["settled"], &fetched["left_open"][0]["key"]), (&json!(0), &json!(key)));
    assert!(fetched["left_open"][0]["why"].as_str().is_some_and(|why| why.contains("first half")), "{fetched}");
}
