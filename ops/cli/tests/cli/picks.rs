use chrono::{DateTime, TimeDelta, Utc};
use perch_base::Environment;
use perch_bot_picks::store::{PickBody, PickRecord, PickSighting, PicksStore as _, PostRecord};
use perch_jobs::ExtractedBets;
use perch_store::Store;
use serde_json::{Value, json};

use crate::world::World;

pub const LAKERS: &str = r#"{"type":"spread","sport":"nba","event":null,"selection":"Los Angeles Lakers","line":-3.5,"side":null,"player":null,"stat":null,"odds":"-110","units":2}"#;
pub const TOTAL: &str = r#"{"type":"total","sport":"nba","event":"Boston Celtics vs New York Knicks","selection":null,"line":220.5,"side":"over","player":null,"stat":null,"odds":"-105","units":1}"#;
const PROP: &str = r#"{"type":"prop","sport":"nba","event":null,"selection":null,"line":25.5,"side":"over","player":"LeBron James","stat":"points","odds":"+100","units":null}"#;

fn store(world: &World) -> Store {
    world.database.store(Environment::Staging)
}

pub fn body(json: &str) -> PickBody {
    match ExtractedBets::parse(json).expect("a valid answer") {
        ExtractedBets::One(pick) => PickBody::Single(pick),
        ExtractedBets::Parlay(parlay) => PickBody::Parlay(parlay),
        other => panic!("one pick: {other:?}"),
    }
}

/// Records that an account named a pick in a post of its own; answers the key.
pub async fn names(store: &Store, post: &str, author: &str, json: &str, at: DateTime<Utc>) -> String {
    let pick = body(json);
    let (odds, units) = match &pick {
        PickBody::Single(pick) => (pick.odds.clone(), pick.units),
        PickBody::Parlay(parlay) => (parlay.odds.clone(), None),
    };
    let id: perch_jobs::PostId = post.parse().expect("an id");
    let written = perch_jobs::Post {
        id: id.clone(),
        author_id: "1".into(),
        author: author.into(),
        text: "a pick".into(),
        created_at: at,
        media: Vec::new(),
    };
    store.record(&[PostRecord { post: written, read_at: at }]).await.expect("Postgres answers");
    let record = PickRecord::new(pick, id.clone(), author.into(), at);
    let key = record.key.clone();
    if store.picks().get(&key).await.expect("Postgres answers").is_none() {
        store.record(&[record]).await.expect("Postgres answers");
    } else {
        let again =
            PickSighting { pick_key: key.clone(), post_id: id, author: author.into(), odds, units, seen_at: at };
        store.record(&[again]).await.expect("Postgres answers");
    }
    key
}

pub fn yesterday() -> DateTime<Utc> {
    Utc::now() - TimeDelta::days(1)
}

fn number(world: &World, key: &str) -> String {
    world.json(&["picks", "show", key])["number"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pick_is_settled_by_word_for_each_account_at_its_own_odds_and_settled_again_with_the_history_kept() {
    let world = World::start().await;
    let store = store(&world);
    let key = names(&store, "11", "Sharp_Sally", LAKERS, yesterday()).await;
    names(
        &store,
        "12",
        "parlay_pete",
        &LAKERS.replace("-110", "+105").replace("\"units\":2", "\"units\":null"),
        yesterday(),
    )
    .await;
    let number = number(&world, &key);

    let settled = world.json(&["picks", "settle", &number, "--won", "--closing", "-120", "--note", "by 7"]);
    assert_eq!(
        (&settled["state"], &settled["before"], &settled["accounts"]),
        (&json!("won"), &json!("open"), &json!(2))
    );
    assert_eq!(settled["units"], 1.82);
    let shown = world.json(&["picks", "show", &key[..20]]);
    let units: Vec<&Value> = shown["bets"].as_array().expect("bets").iter().map(|bet| &bet["units"]).collect();
    assert_eq!(units, [&json!(1.82), &json!(1.05)]);
    assert_eq!((&shown["bets"][1]["stake_assumed"], &shown["bets"][1]["odds_assumed"]), (&json!(true), &json!(false)));

    let again = world.json(&["picks", "settle", &format!("#{number}"), "--lost", "--note", "the score was corrected"]);
    assert_eq!((&again["before"], &again["units"]), (&json!("won"), &json!(-2.0)));
    let text = world.run(&["picks", "show", &number]).went_well().stdout;
    for part in ["lost", "by tester (stated): by 7", "the score was corrected", "[1u]", "closing -120"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let line = &world.list(&["audit", "list", "--object", &key]);
    assert_eq!((line.as_array().map(Vec::len), &line[0]["action"]), (Some(2), &json!("pick.settle")));

    let record = world.json(&["picks", "record"]);
    assert_eq!((&record["total"]["lost"], &record["total"]["units"]), (&json!(2), &json!(-3.0)));
    assert_eq!(
        (&record["groups"][1]["group"], &record["groups"][1]["record"]["streak"]),
        (&json!("sharp_sally"), &json!(-1))
    );
    assert!(record["total"]["clv"].as_f64().is_some_and(|clv| clv > 0.0), "{record}");

    assert_eq!(world.json(&["picks", "settle", &number, "--open"])["state"], "open");
    let opened = world.run(&["picks", "show", &number]).went_well().stdout;
    assert!(opened.contains("held: results leave it alone until it is settled by hand"), "{opened}");
    assert!(world.run(&["picks", "record"]).went_well().stdout.contains("no such bet"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_score_or_a_count_decides_a_pick_and_a_parlay_is_scored_leg_by_leg() {
    let world = World::start().await;
    let store = store(&world);
    let total = names(&store, "21", "sally", TOTAL, yesterday()).await;
    let prop = names(&store, "22", "sally", PROP, yesterday()).await;
    let parlay = format!(r#"{{"type":"parlay","picks":[{LAKERS},{PROP}],"odds":"+264"}}"#);
    let parlay = names(&store, "23", "sally", &parlay, yesterday()).await;
    assert_eq!(world.json(&["picks", "settle", &total, "--score", "110-112"])["state"], "won");
    assert_eq!(world.json(&["picks", "settle", &prop, "--counted", "25"])["state"], "lost");

    let whole = world.run(&["picks", "settle", &parlay, "--score", "112-104"]);
    assert!(whole.code == 1 && whole.stderr.contains("leg"), "{whole:?}");
    let first = world.json(&["picks", "settle", &parlay, "--score", "112-104", "--leg", "1"]);
    assert_eq!(first["state"], "open");
    assert_eq!(world.json(&["picks", "show", &parlay])["legs"], json!(["won", null]));
    let second = world.json(&["picks", "settle", &parlay, "--counted", "30", "--leg", "2"]);
    assert_eq!((&second["state"], &second["units"]), (&json!("won"), &json!(2.64)));

    let wrong = world.run(&["picks", "settle", &prop, "--score", "1-2"]);
    assert!(wrong.code == 1 && wrong.stderr.contains("player"), "{wrong:?}");
    for bad in [
        &["nothing", "--won"][..],
        &["", "--won"],
        &[&total, "--won", "--lost"],
        &[&total, "--score", "1"],
        &[&total],
        &[&total, "--won", "--closing", "nine"],
    ] {
        let ran = world.run(&[&["picks", "settle"], bad].concat());
        assert!(matches!(ran.code, 1 | 2) && !ran.stderr.is_empty(), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_results_settles_what_it_decides_after_a_dry_run_that_changes_nothing() {
    let world = World::start().await;
    let store = store(&world);
    names(&store, "31", "sally", LAKERS, yesterday()).await;
    names(&store, "32", "pete", TOTAL, yesterday()).await;
    names(&store, "33", "pete", PROP, yesterday()).await;
    let today = Utc::now().date_naive();
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let games = format!(
        "date,sport,event,score_first,score_second\n{today},nba,Los Angeles Lakers vs Utah Jazz,112,104\n\
         {today},nba,New York Knicks vs Boston Celtics,100,101\n{today},nfl,Dallas Cowboys vs New York Giants,20,17\n"
    );
    std::fs::write(file.path(), games).expect("it can be written");
    let path = file.path().to_str().expect("a path in UTF-8").to_owned();
    let dry = world.json(&["picks", "settle", "--csv", &path, "--dry-run"]);
    assert_eq!((dry["settled"].as_array().map(Vec::len), &dry["open"]), (Some(2), &json!(1)));
    assert_eq!(world.list(&["picks", "list", "--open"]).as_array().map(Vec::len), Some(3));
    let text = world.run(&["picks", "settle", "--csv", &path]).went_well().stdout;
    assert!(text.contains("2 picks settled by the results of 3 games, 1 stays open"), "{text}");
    let states: Vec<Value> =
        world.list(&["picks", "list"]).as_array().expect("a list").iter().map(|pick| pick["state"].clone()).collect();
    assert_eq!(states, ["open", "lost", "won"]);
    assert!(world.json(&["picks", "settle", "--csv", &path])["settled"].as_array().is_some_and(Vec::is_empty));

    let prop = world.list(&["picks", "list", "--open"])[0]["number"].to_string();
    std::fs::write(file.path(), format!("pick_key,outcome,closing\n{prop},half-won,\n")).expect("it can be written");
    world.run(&["picks", "settle", "--csv", &path]).went_well();
    assert!(world.list(&["picks", "list", "--open"]).as_array().is_some_and(Vec::is_empty));

    // The lines about the legs of one parlay add up, the closing odds of any of them too.
    let parlay = format!(r#"{{"type":"parlay","picks":[{LAKERS},{PROP}],"odds":"+264"}}"#);
    let parlay = names(&store, "34", "sally", &parlay, yesterday()).await;
    let legs = format!("pick_key,outcome,leg,closing\n{parlay},won,1,+250\n{parlay},won,2,\n");
    std::fs::write(file.path(), legs).expect("it can be written");
    world.run(&["picks", "settle", "--csv", &path]).went_well();
    let shown = world.json(&["picks", "show", &parlay]);
    assert_eq!((&shown["state"], &shown["closing_odds"]), (&json!("won"), &json!("+250")));

    // A result that is corrected settles again what it settled; what was settled by hand stays, and is told of.
    let by_hand = world.list(&["picks", "list", "--sport", "nba", "--market", "total"])[0]["number"].to_string();
    world.run(&["picks", "settle", &by_hand, "--lost", "--note", "seen on television"]).went_well();
    let corrected = format!(
        "date,sport,event,score_first,score_second\n{today},nba,LA Lakers vs Utah Jazz,104,112\n\
         {today},nba,Knicks vs Celtics,120,121\n{today},nba,Miami Heat vs Chicago Bulls,1,2\n"
    );
    std::fs::write(file.path(), corrected).expect("it can be written");
    let text = world.run(&["picks", "settle", "--csv", &path]).went_well().stdout;
    for part in [
        "the records change by -3.82 units",
        &format!("{by_hand} stays lost, as tester settled it; by the results it is won"),
        "Miami Heat vs Chicago Bulls (nba, ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(world.list(&["audit", "list", "--object", "results"])[0]["action"], "results.correct");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_bad_lines_is_refused_whole_with_each_line_and_column() {
    let world = World::start().await;
    let store = store(&world);
    names(&store, "41", "sally", LAKERS, yesterday()).await;
    let today = Utc::now().date_naive();
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let path = file.path().to_str().expect("a path in UTF-8").to_owned();
    let games = format!(
        "date,sport,event,score_first,score_second\n{today},nba,Los Angeles Lakers vs Utah Jazz,112,104\nsoon,nba,A vs B,1,2\n\
         {today},nba,A vs B,1,x\n"
    );
    std::fs::write(file.path(), games).expect("it can be written");
    let refused = world.run(&["picks", "settle", "--csv", &path]);
    assert_eq!(refused.code, 1, "{refused:?}");
    for part in ["line 3, column date", "line 4, column score_second", "nothing was imported: 2 lines"] {
        assert!(refused.stderr.contains(part), "{part}: {refused:?}");
    }
    std::fs::write(file.path(), "pick_key,outcome\n1,won\n99999,won\n").expect("it can be written");
    let unknown = world.run(&["picks", "settle", "--csv", &path]);
    assert!(unknown.code == 1 && unknown.stderr.contains("99999"), "{unknown:?}");
    assert_eq!(world.list(&["picks", "list", "--open"]).as_array().map(Vec::len), Some(1));
    assert_eq!(world.run(&["picks", "settle", "--csv", "/no/such/file"]).code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn picks_are_listed_by_account_sport_market_and_time_and_a_day_is_summed_up_in_80_columns() {
    let world = World::start().await;
    let store = store(&world);
    let key = names(&store, "51", "Sharp_Sally", LAKERS, Utc::now()).await;
    names(&store, "52", "pete", PROP, Utc::now()).await;
    names(&store, "53", "PETE", LAKERS, Utc::now()).await;
    let count = |filter: &[&str]| world.json(&[&["picks", "list"], filter].concat())["items"].as_array().map(Vec::len);
    assert_eq!(
        (count(&[]), count(&["--account", "pete"]), count(&["--account", "@sharp_sally"])),
        (Some(2), Some(2), Some(1))
    );
    assert_eq!(
        (count(&["--sport", "nfl"]), count(&["--market", "prop"]), count(&["--limit", "1"])),
        (Some(0), Some(1), Some(1))
    );
    assert_eq!((count(&["--since", "2999-01-01"]), count(&["--settled"])), (Some(0), Some(0)));
    world.run(&["picks", "settle", &key, "--won"]).went_well();
    for command in
        [&["picks", "list"][..], &["picks", "record"], &["picks", "record", "--by", "month"], &["picks", "show", &key]]
    {
        let text = world.run(&[command, &["--width", "80"]].concat()).went_well().stdout;
        let fits = |line: &&str| line.chars().count() <= 80 || line.starts_with("key ");
        assert!(text.lines().all(|line| fits(&line)), "{text}");
    }
    assert_eq!(world.run(&["picks", "record", "--by", "moon"]).code, 2);

    let day = world.json(&["summary"]);
    assert_eq!((&day["picks_new"], &day["picks_again"], &day["results"]["won"]), (&json!(2), &json!(1), &json!(2)));
    assert_eq!(day["units"], 3.64);
    let text = world.run(&["summary"]).went_well().stdout;
    assert!(text.contains("2 new, 1 named again") && text.contains("+3.64 of 4.00 staked"), "{text}");
    assert_eq!(world.json(&["summary", "--days", "7"]).as_array().map(Vec::len), Some(1));
    assert_eq!(world.run(&["summary", "--date", "2999-01-01"]).code, 2);

    // What was added up while the day still went on is added up again when it is over.
    let (ended, half) =
        ("2026-01-31", "update picks.daily_summaries set date = '2026-01-31', made_at = '2026-01-31T15:00:00Z'");
    sqlx::query(half).execute(&world.database.raw()).await.expect("Postgres answers");
    let whole = world.json(&["summary", "--date", ended]);
    assert_eq!((&whole["picks_new"], &whole["units"]), (&json!(0), &json!(0.0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pick_that_only_the_rules_have_read_waits_in_the_list_and_is_confirmed() {
    let world = World::start().await;
    let store = store(&world);
    let pick = body(LAKERS);
    let mut waiting = PickRecord::new(pick, "21".parse().expect("an id"), "sally".into(), yesterday());
    waiting.read_by = Some("rules".into());
    waiting.planned = Some(Vec::new());
    let key = waiting.key.clone();
    store.record(&[waiting]).await.expect("Postgres answers");
    names(&store, "22", "pete", TOTAL, yesterday()).await;

    let number = number(&world, &key);
    let list = world.run(&["picks", "list", "--unconfirmed"]).went_well().stdout;
    assert!(list.contains("unconfirmed") && list.contains("Los Angeles Lakers") && !list.contains("220.5"), "{list}");
    let shown = world.run(&["picks", "show", &number]).went_well();
    assert!(shown.stdout.contains("read by    rules"), "{shown:?}");
    assert!(shown.stderr.contains(&format!("perch picks confirm {number}")), "{shown:?}");
    let done = world.run(&["picks", "confirm", &number]).went_well().stdout;
    assert!(done.contains(&format!("{number} (Los Angeles Lakers -3.5) is confirmed")), "{done}");
    let again = world.run(&["picks", "confirm", &number]);
    assert!(again.code == 1 && again.stderr.contains("needs no confirmation"), "{again:?}");
    assert!(world.run(&["picks", "list", "--unconfirmed"]).went_well().stdout.contains("there is no such pick"));
}
