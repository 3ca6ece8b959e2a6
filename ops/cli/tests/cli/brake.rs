use perch_store::{RateWindow, RateWindows};

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn the_brake_is_pulled_shown_wherever_an_operator_looks_and_lifted() {
    let world = World::start().await;
    assert_eq!(world.json(&["brake", "status"])["on"], false);
    assert!(world.run(&["brake", "on"]).stderr.contains("--reason"), "nothing is stopped without a reason");
    let pulled = world.json(&["brake", "on", "--reason", "wrong odds"]);
    assert_eq!((&pulled["on"], &pulled["changed"], &pulled["logged"]), (&true.into(), &true.into(), &true.into()));
    let again = world.run(&["brake", "on", "--reason", "wrong odds"]).went_well();
    assert!(again.stdout.contains("it was on already"), "{again:?}");

    for command in [&["brake", "status"][..], &["queues"], &["limits"]] {
        let shown = world.run(command).went_well().stdout;
        let line = shown.lines().next().unwrap_or_default();
        assert!(line.starts_with("BRAKE ON") && line.ends_with("by tester: wrong odds"), "{command:?}: {shown}");
    }
    let doctor = world.run(&["doctor"]).stdout;
    assert!(doctor.contains("nothing is published: the emergency brake is on"), "{doctor}");

    let lifted = world.run(&["brake", "off", "--reason", "mended"]).went_well();
    assert!(lifted.stdout.contains("the jobs that wait go on"), "{lifted:?}");
    let lines = world.list(&["audit", "list", "--object", "brake"]);
    assert_eq!((&lines[0]["action"], &lines[0]["actor"]), (&"brake.off".into(), &"tester".into()));
    assert_eq!(lines[0]["details"]["reason"], "mended");
    assert!(!world.run(&["queues"]).went_well().stdout.contains("BRAKE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_brake_of_an_account_or_a_bot_is_pulled_and_lifted_by_its_name_and_shown_beside_that_of_everything() {
    let world = World::start().await;
    let pulled = world.run(&["brake", "on", "--account", "main", "--reason", "odd words"]).went_well();
    assert!(pulled.stdout.contains("nothing is published as main from now on"), "{pulled:?}");
    let pulled = world.json(&["brake", "on", "--bot", "picks", "--reason", "wrong odds"]);
    assert_eq!(
        (&pulled["scope"], &pulled["on"], &pulled["changed"]),
        (&"bot:picks".into(), &true.into(), &true.into())
    );

    let shown = world.json(&["brake", "status"]);
    assert_eq!((&shown["scope"], &shown["on"]), (&"everything".into(), &false.into()));
    assert_eq!(
        (&shown["scoped"][0]["scope"], &shown["scoped"][1]["scope"]),
        (&"account:main".into(), &"bot:picks".into())
    );
    for command in [&["brake", "status"][..], &["queues"], &["limits"]] {
        let text = world.run(command).went_well().stdout;
        let on: Vec<&str> = text.lines().filter(|line| line.starts_with("BRAKE ON")).collect();
        assert!(
            matches!(on[..], [account, bot] if account.contains("account:main") && bot.contains("bot:picks")),
            "{text}"
        );
    }
    let doctor = world.run(&["doctor"]).stdout;
    assert!(
        doctor.contains("nothing is published as main") && doctor.contains("perch brake off --account main"),
        "{doctor}"
    );

    let wrong = world.run(&["brake", "on", "--account", "nobody", "--reason", "x"]);
    assert!(wrong.code == 1 && wrong.stderr.contains("there is no account nobody; there are main"), "{wrong:?}");
    let wrong = world.run(&["brake", "off", "--bot", "nobody", "--reason", "x"]);
    assert!(wrong.code == 1 && wrong.stderr.contains("there is no bot nobody; there are"), "{wrong:?}");
    let both = world.run(&["brake", "on", "--account", "main", "--bot", "picks", "--reason", "x"]);
    assert!(both.stderr.contains("cannot be used with"), "{both:?}");

    world.run(&["brake", "off", "--account", "main", "--reason", "mended"]).went_well();
    assert_eq!(world.json(&["brake", "status", "--account", "main"])["on"], false);
    assert_eq!(world.json(&["brake", "status", "--bot", "picks"])["on"], true);
    let lines = world.list(&["audit", "list", "--object", "brake:account:main"]);
    assert_eq!((&lines[0]["action"], &lines[0]["details"]["reason"]), (&"brake.off".into(), &"mended".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_say_what_is_left_and_when_it_goes_on() {
    let world = World::start().await;
    let windows = RateWindows::new(world.redis.door(), perch_base::Environment::Staging);
    let reset = chrono::Utc::now() + chrono::TimeDelta::minutes(10);
    windows.set("x:posts_create:main", RateWindow { limit: 100, remaining: 0, reset }).await.expect("Redis answers");
    let shown = world.run(&["limits", "--width", "80"]).went_well().stdout;
    assert!(shown.contains("posts_create") && shown.contains("0/100") && shown.contains("account:main"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    let json = world.json(&["limits", "--account", "main"]);
    assert_eq!((&json["api"][0]["remaining"], &json["posting"][0]["account"]), (&0.into(), &"main".into()));
    let wrong = world.run(&["limits", "--account", "other"]);
    assert!(wrong.code == 1 && wrong.stderr.contains("configured are main"), "{wrong:?}");
}
