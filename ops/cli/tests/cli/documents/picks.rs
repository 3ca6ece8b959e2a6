use std::fs;

use chrono::{TimeDelta, Utc};
use perch_base::Environment;
use perch_bot_picks::{normal::BetTerms, store::PickRecord};
use perch_store::Store;
use serde_json::{Value, json};

use super::{
    sample::Sample,
    stage::{Api, Stage, a_post_is_read, models_fail, sandbox},
};
use crate::{
    picks::{LAKERS, TOTAL, body, names, yesterday},
    world::{World, until},
};

played! { "docs/picks.md":
    accounts_are_added_as_the_page_on_picks_prints_it("$ perch accounts add");
    what_the_rules_read_is_confirmed_as_the_page_on_picks_prints_it("$ perch picks list --unconfirmed");
    results_are_taken_as_the_page_on_picks_writes_them("[{\"event\"");
    results_that_changed_settle_again_as_the_page_on_picks_prints_it("$ perch picks settle --csv");
    the_record_is_shown_as_the_page_on_picks_prints_it("$ perch picks record");
}

fn store(world: &World) -> Store {
    world.database.store(Environment::Staging)
}

async fn accounts_are_added_as_the_page_on_picks_prints_it([accounts]: [Sample; 1]) {
    let world = World::start().await;
    Stage::of(&world).play(&accounts);
}

async fn what_the_rules_read_is_confirmed_as_the_page_on_picks_prints_it([confirmed]: [Sample; 1]) {
    let world = World::start().await;
    let sandbox = sandbox().await;
    models_fail(&sandbox).await;
    let stage =
        Stage::of(&world).with("PERCH__SANDBOX__URL", sandbox.base_url()).with("PERCH__PICKS__RULES_AFTER", "1");
    let worker = stage.start(&["worker"]);
    a_post_is_read(&world);
    let waiting = || world.list(&["picks", "list", "--unconfirmed"]);
    until("the rules have read the post", || async {
        world.sync().await;
        waiting() != json!([])
    })
    .await;
    drop(worker);
    let number = waiting()[0]["number"].to_string();
    stage
        .columns(100)
        .play_naming(&confirmed, |words, word| (words[1] == "confirm" && word == "12").then(|| number.clone()));
}

async fn results_are_taken_as_the_page_on_picks_writes_them([results]: [Sample; 1]) {
    let world = World::start().await;
    let api = Api::start(&world).await;
    let results: Value = serde_json::from_str(&results.text()).expect("JSON");
    let body = json!({ "results": results }).to_string();
    let taken: Value =
        serde_json::from_str(&api.post("/api/v1/results", "application/json", &body).await).expect("JSON");
    let named = &taken["unmatched"]["names"][0];
    assert_eq!((&taken["games"], named), (&json!(1), &json!("Los Angeles Lakers vs Utah Jazz (nba, 2026-11-21)")));
}

async fn results_that_changed_settle_again_as_the_page_on_picks_prints_it([settled]: [Sample; 1]) {
    let world = World::start().await;
    let store = store(&world);
    let today = Utc::now().date_naive();
    let occasion = today.to_string();
    // Each on the occasion that its post is about, as the workers name it.
    let named = |post: &str, author: &str, json: &str| {
        PickRecord::new(body(json), post.parse().expect("an id"), author.into(), yesterday()).on(&occasion)
    };
    let half = BetTerms { part: Some("first half".into()), ..BetTerms::default() };
    let picks = [
        named("31", "sally", LAKERS),
        named("32", "pete", TOTAL),
        named("33", "pete", &LAKERS.replace("-3.5", "-1.5")).with_terms(half),
    ];
    store.record(&picks).await.expect("Postgres answers");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("results.csv");
    let results = |games: &[&str]| {
        let lines = games.iter().map(|game| format!("\n{today},nba,{game}"));
        let text = format!("date,sport,event,score_first,score_second{}\n", lines.collect::<String>());
        fs::write(&file, text).expect("it can be written");
    };
    let stage = Stage::of(&world).within(folder.path()).columns(100);
    let path = file.to_str().expect("a path in UTF-8");
    results(&["Los Angeles Lakers vs Utah Jazz,112,104"]);
    world.run(&["picks", "settle", "--csv", path]).went_well();
    let by_anna = &mut world.perch(&["picks", "settle", &picks[1].key, "--lost"]);
    crate::world::run(by_anna.env("PERCH_OPERATOR", "anna"), b"").went_well();

    results(&[
        "Los Angeles Lakers vs Utah Jazz,104,112",
        "New York Knicks vs Boston Celtics,120,121",
        "Miami Heat vs Chicago Bulls,1,2",
    ]);
    stage.play(&settled);
}

/// Names a bet of its own and settles it.
async fn bet(world: &World, post: usize, author: &str, odds: &str, end: &[&str]) {
    let json = LAKERS.replace("-3.5", &format!("{post}.5")).replace("-110", odds);
    let key = names(&store(world), &post.to_string(), author, &json, yesterday()).await;
    world.run(&[&["picks", "settle", &key], end].concat()).went_well();
}

async fn the_record_is_shown_as_the_page_on_picks_prints_it([record]: [Sample; 1]) {
    let world = World::start().await;
    for (n, end) in ["--won", "--won", "--lost", "--lost", "--lost"].into_iter().enumerate() {
        bet(&world, 11 + n, "parlay_pete", "+120", &[end]).await;
    }
    for (n, end) in ["--lost", "--push", "--won", "--won"].into_iter().enumerate() {
        bet(&world, 21 + n, "sharp_sally", "-105", &[end, "--closing", "-110"]).await;
    }
    let since = (Utc::now() - TimeDelta::days(30)).date_naive().to_string();
    Stage::of(&world).columns(100).play_naming(&record, |_, word| (word == "2026-11-01").then(|| since.clone()));
}
