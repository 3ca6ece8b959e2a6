use axum::{Json, Router, http::StatusCode, routing::get};
use chrono::Utc;
use perch_base::Paging;
use perch_bot_picks::{
    store::{BetFilter, PickFilter, PicksStore as _, TrackedPick},
    tracking::ResultEntry,
};
use perch_jobs::{FetchResults, SummariseDay};
use perch_odds::settle::Grade;
use perch_store::JobState;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::world::{CELTICS, LAKERS, PETE, SALLY, World, eventually};

/// A source of results; answers its URL.
async fn source(results: Value) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/results?day=all", listener.local_addr().expect("it is bound"));
    let router = Router::new().route("/results", get(move || std::future::ready(Json(results.clone()))));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn picks(world: &World) -> Vec<TrackedPick> {
    world.sync().await;
    let filter = PickFilter::default();
    world.store.tracking().list(&filter, &Paging::default()).await.expect("Postgres answers").items
}

#[tokio::test]
async fn results_that_a_source_gives_settle_the_picks_of_all_who_named_them() {
    let finished = Utc::now() + chrono::TimeDelta::hours(3);
    let url = source(json!([
        { "event": "Los Angeles Lakers vs Utah Jazz", "sport": "nba", "scores": [112, 104], "finished_at": finished, "id": 1 },
        { "event": "no game at all", "sport": "nba", "scores": [1, 2], "finished_at": finished },
    ]))
    .await;
    let world = World::with(&[("PERCH__PICKS__RESULTS__URL", url.as_str())]).await;
    world.done(&world.written(SALLY, LAKERS)).await;
    world.done(&world.written(PETE, "Lakers -3.5 (-105) 1u")).await;
    world.done(&world.written(SALLY, CELTICS)).await;
    assert_eq!(picks(&world).await.len(), 2);

    let fetched = world.done(&FetchResults {}).await.result.expect("a result");
    assert_eq!((&fetched["games"], &fetched["settled"], &fetched["open"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!(fetched["refused"]["entries"], 1);
    let settled: Vec<TrackedPick> = picks(&world).await.into_iter().filter(|pick| pick.grade.is_some()).collect();
    assert_eq!((settled.len(), settled[0].grade, settled[0].source.as_deref()), (1, Some(Grade::Won), Some("results")));
    let bets = world.store.tracking().bets(&BetFilter::default()).await.expect("Postgres answers");
    let units: Vec<(&str, f64)> = bets.iter().map(|bet| (bet.account.as_str(), bet.units)).collect();
    assert_eq!(units, [(SALLY, 1.82), (PETE, 0.95)]);
    let again = world.done(&FetchResults {}).await.result.expect("a result");
    assert_eq!((&again["settled"], &again["late"]), (&json!(0), &json!(0)));
}

#[test]
fn the_results_of_the_sandbox_are_of_the_documented_shape() {
    let result = perch_sandbox::GameResult {
        event: "Los Angeles Lakers vs Utah Jazz".into(),
        sport: "nba".into(),
        first: "Los Angeles Lakers".into(),
        second: "Utah Jazz".into(),
        scores: [112, 104],
        finished_at: Utc::now(),
        players: [("LeBron James".into(), [("points".into(), 27)].into())].into(),
    };
    let row = ResultEntry::from_source(json!(result)).and_then(ResultEntry::into_row).expect("a result");
    assert_eq!((row.score_first, row.called_off), (Some(112.0), false));
    assert_eq!(row.players["LeBron James"].as_ref().map(|stats| stats["points"]), Some(27.0));
}

#[tokio::test]
async fn a_source_that_is_gone_for_good_is_a_dead_letter_that_names_the_setting() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/results", listener.local_addr().expect("it is bound"));
    let router = Router::new().route("/results", get(async || StatusCode::GONE));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let world = World::with(&[("PERCH__PICKS__RESULTS__URL", url.as_str())]).await;
    let ended = world.ended(world.enqueue(&FetchResults {}).await).await;
    assert_eq!(ended.state, JobState::Dead);
    assert!(ended.last_error.is_some_and(|error| error.contains("picks.results.url")));
}

#[tokio::test]
async fn a_day_is_added_up_and_posted_once_where_that_is_configured() {
    let world = World::with(&[("PERCH__PICKS__SUMMARY__POST", "true")]).await;
    world.done(&world.written(SALLY, LAKERS)).await;
    eventually("the pick is in Postgres", || async { (picks(&world).await.len() == 1).then_some(()) }).await;
    let today = SummariseDay { date: Some(Utc::now().date_naive()) };
    let day = world.done(&today).await.result.expect("a result");
    assert_eq!((&day["picks_new"], &day["posted"]), (&json!(1), &json!(true)));
    world.done(&today).await;
    let is_summary = |text: &str| text.contains("1 new picks, 0 settled (0-0), +0.00 units");
    eventually("the summary is posted", || async {
        world.x.made().iter().any(|post| is_summary(&post.text)).then_some(())
    })
    .await;
    eventually("the second post of it is done with", || async {
        let posts = world.jobs_of("publish_post").await;
        posts.iter().all(|post| post.state == JobState::Done).then_some(())
    })
    .await;
    assert_eq!(world.x.made().iter().filter(|post| is_summary(&post.text)).count(), 1);
    let kept = world.store.summaries().get(Utc::now().date_naive()).await.expect("Postgres answers");
    assert_eq!(kept.map(|kept| kept.picks_new), Some(1));
}
