use perch_base::Environment;
use perch_bot_picks::store::{PicksStore as _, PollNote, PollOutcome};
use serde_json::{Value, json};

use crate::world::World;

fn handles(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().filter_map(|account| account["handle"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_added_listed_and_removed_and_the_configuration_is_overridden() {
    let world = World::start().await;
    let added = world.json(&[
        "accounts",
        "add",
        "@New_One",
        "other_one",
        "--schedule",
        "0 8 * * *",
        "--timezone",
        "Europe/Berlin",
        "--pages",
        "3",
        "--posts",
        "20",
        "--note",
        "hockey",
    ]);
    assert_eq!(handles(&added), ["New_One", "other_one"]);
    assert_eq!((&added[0]["added_by"], &added[0]["schedule"]), (&json!("tester"), &json!("0 8 * * *")));
    assert_eq!(
        handles(&world.list(&["accounts", "list"])),
        ["line_hunter", "New_One", "other_one", "parlay_pete", "sharp_sally"]
    );

    assert_eq!(
        world.json(&["accounts", "remove", "new_one", "SHARP_SALLY"])["removed"],
        json!(["new_one", "sharp_sally"])
    );
    assert_eq!(handles(&world.list(&["accounts", "list"])), ["line_hunter", "other_one", "parlay_pete"]);
    assert_eq!(world.list(&["accounts", "list", "--all"]).as_array().map(Vec::len), Some(5));
    let again = world.run(&["accounts", "remove", "new_one"]);
    assert!(again.code == 1 && again.stderr.contains("perch accounts list"), "{again:?}");
    world.run(&["accounts", "add", "sharp_sally"]).went_well();
    assert_eq!(handles(&world.list(&["accounts", "list"])), ["line_hunter", "other_one", "parlay_pete", "sharp_sally"]);
    let actions: Vec<Value> =
        world.list(&["audit", "list"]).as_array().expect("a list").iter().map(|line| line["action"].clone()).collect();
    assert_eq!(actions, ["account.add", "account.remove", "account.remove", "account.add", "account.add"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_without_a_time_zone_is_in_utc_whatever_the_one_before_was() {
    let world = World::start().await;
    let zone = |arguments: &[&str]| {
        let added = world.json(&[&["accounts", "add", "new_one"], arguments].concat());
        added[0]["timezone"].clone()
    };
    assert_eq!(zone(&["--schedule", "0 8 * * *", "--timezone", "Europe/Berlin"]), json!("Europe/Berlin"));
    assert_eq!(zone(&["--note", "hockey"]), json!("Europe/Berlin"));
    assert_eq!(zone(&["--schedule", "0 9 * * *"]), Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_shown_with_where_its_polls_stand_in_80_columns() {
    let world = World::start().await;
    let store = world.database.store(Environment::Staging);
    let note = PollNote {
        username: "sharp_sally".into(),
        at: chrono::Utc::now(),
        outcome: PollOutcome::Protected,
        error: Some("GET /2/users/12/tweets: not authorized".into()),
        since_id: Some("1849212345678901234".parse().expect("an id")),
        read_to: None,
        user_id: Some("12".into()),
    };
    store.accounts().note_poll(&note).await.expect("Postgres answers");
    let shown = world.run(&["accounts", "show", "Sharp_Sally"]).went_well().stdout;
    for part in
        ["named by the configuration", "protected", "tried again at the next tick", "1849212345678901234", "next poll"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(world.json(&["accounts", "show", "sharp_sally"])["last_outcome"], "protected");
    let table = world.run(&["accounts", "list", "--width", "80"]).went_well().stdout;
    assert!(table.contains("protected") && table.lines().all(|line| line.chars().count() <= 80), "{table}");
    assert_eq!(world.run(&["accounts", "show", "nobody"]).code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_cannot_be_watched_is_refused_before_anything_is_written() {
    let world = World::start().await;
    let bad: [(&[&str], &str); 5] = [
        (&["good_one", "not-good"], "handle"),
        (&["a", "--schedule", "61 * * * *"], "schedule"),
        (&["a", "--schedule", "0 8 * * *", "--timezone", "Nowhere"], "timezone"),
        (&["a", "--timezone", "UTC"], "--schedule"),
        (&["a", "--pages", "65"], "pages"),
    ];
    for (arguments, named) in bad {
        let ran = world.run(&[&["accounts", "add"], arguments].concat());
        assert!(ran.code == 2 && ran.stderr.contains(named), "{ran:?}");
    }
    assert_eq!(world.list(&["accounts", "list"]).as_array().map(Vec::len), Some(3));
}
