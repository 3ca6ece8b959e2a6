use metrics_exporter_prometheus::PrometheusBuilder;
use perch_base::{Environment, Paging};
use perch_bot_picks::store::{
    AccountChange, AccountRecord, Marks, PicksStore as _, PollNote, PollOutcome, PollProgress, PollTally,
};
use perch_jobs::{JobId, PollAccount, PollAccounts, PollDueAccounts, PostId};
use perch_queue::EnqueueOptions;
use perch_sandbox::{AccountStanding, Endpoint, Fault, FaultKind, NewPost};
use perch_store::JobState;
use redis::AsyncCommands;
use serde_json::{Value, json};

use crate::world::{CELTICS, CHATTER, LAKERS, PETE, SALLY, World, eventually};

fn poll(username: &str) -> PollAccount {
    PollAccount { username: username.into() }
}

async fn noted(world: &World, username: &str) -> AccountRecord {
    world.store.accounts().get(username).await.expect("Postgres answers").expect("a poll noted it")
}

async fn polled(world: &World, username: &str) -> Value {
    world.done(&poll(username)).await.result.expect("a result")
}

/// Takes away what Redis knows of the account's polls and of what they read.
async fn forgotten(world: &World) {
    let mut conn = world.redis().raw().await;
    for pattern in ["stg:since_id:*", "stg:user_id:*", "stg:processed:*"] {
        let keys: Vec<String> = conn.keys(pattern).await.expect("Redis answers");
        assert!(!keys.is_empty(), "{pattern}");
        conn.del::<_, ()>(keys).await.expect("Redis answers");
    }
}

#[tokio::test]
async fn an_account_that_is_gone_ends_its_poll_well_is_noted_and_passed_over_more_and_more_often() {
    let world = World::with(&[("PERCH__PICKS__WATCH", r#"["nobody_here"]"#)]).await;
    let result = polled(&world, "nobody_here").await;
    assert_eq!(result["unreadable"]["state"], "not_found");
    assert!(result["unreadable"]["reason"].as_str().is_some_and(|reason| reason.contains("nobody_here")), "{result}");
    let account = noted(&world, "nobody_here").await;
    assert_eq!((account.last_outcome, account.failures, account.passes_over), (Some(PollOutcome::NotFound), 1, 0));
    assert!(account.last_error.is_some_and(|error| error.contains("not found")));

    polled(&world, "nobody_here").await;
    assert_eq!(noted(&world, "nobody_here").await.passes_over, 1);
    let passed = world.done(&PollAccounts {}).await;
    assert_eq!(passed.result, Some(json!({ "enqueued": 0, "unfinished": 0, "passed_over": 1 })));
    let again = world.done(&PollAccounts {}).await;
    assert_eq!(again.result, Some(json!({ "enqueued": 1, "unfinished": 0 })));

    world.x.add_account("nobody_here");
    eventually("the account is read again", || async {
        polled(&world, "nobody_here").await;
        (noted(&world, "nobody_here").await.failures == 0).then_some(())
    })
    .await;
    assert_eq!(noted(&world, "nobody_here").await.last_error, None);
}

#[tokio::test]
async fn a_protected_account_and_a_suspended_one_are_told_apart_and_read_again_once_they_are_open() {
    let world = World::start().await;
    world.x.publish(SALLY, LAKERS);
    for (standing, outcome) in
        [(AccountStanding::Protected, PollOutcome::Protected), (AccountStanding::Suspended, PollOutcome::Suspended)]
    {
        // Known already, and looked up anew.
        for round in ["known", "looked up"] {
            world.x.set_standing(SALLY, AccountStanding::Open);
            polled(&world, SALLY).await;
            if round == "looked up" {
                let mut conn = world.redis().raw().await;
                conn.del::<_, ()>("stg:user_id:sharp_sally").await.expect("Redis answers");
            }
            world.x.set_standing(SALLY, standing);
            let result = polled(&world, SALLY).await;
            let account = noted(&world, SALLY).await;
            assert_eq!(result["unreadable"]["state"], outcome.as_str(), "{round}");
            assert!(account.failures == 1 && account.last_outcome == Some(outcome), "{round}: {account:?}");
        }
    }
    world.x.set_standing(SALLY, AccountStanding::Open);
    world.x.publish(SALLY, CELTICS);
    assert_eq!(polled(&world, SALLY).await["taken"], 1);
}

#[tokio::test]
async fn an_account_whose_answer_is_held_holds_up_no_other() {
    let world = World::with(&[("PERCH__QUEUES__EXTRACTION__CONCURRENCY", "2")]).await;
    world.x.publish(SALLY, CHATTER);
    world.x.publish(PETE, CHATTER);
    world.x.add_fault(Fault::new(Endpoint::UserPosts, FaultKind::Timeout).times(1));
    let polls = [world.enqueue(&poll(SALLY)).await, world.enqueue(&poll(PETE)).await];
    let done = eventually("one of the two is read", || async {
        let jobs = world.jobs_of("poll_account").await;
        jobs.into_iter().find(|job| job.state == JobState::Done)
    })
    .await;
    assert_eq!(done.attempts, 1);
    let other = polls.into_iter().find(|id| *id != done.id).expect("there are two");
    let held = world.store.history().job(other).await.expect("Postgres answers").expect("it was enqueued");
    assert!(!held.state.is_final(), "{:?}", held.state);
}

#[tokio::test]
async fn a_poll_reads_as_many_pages_as_it_may_and_stops_where_the_last_one_ended() {
    let world = World::with(&[("PERCH__PICKS__POSTS_PER_POLL", "5"), ("PERCH__PICKS__PAGES", "3")]).await;
    for n in 0..12 {
        world.x.publish(SALLY, format!("Lakers -{n}.5 (-110)").as_str());
    }
    let first = polled(&world, SALLY).await;
    assert_eq!((&first["read"], &first["taken"], &first["more"]), (&json!(12), &json!(12), &Value::Null));
    assert_eq!(world.x.calls(Endpoint::UserPosts), 3);
    world.x.publish(SALLY, CELTICS);
    assert_eq!(polled(&world, SALLY).await["read"], 1);

    let one_page = AccountChange { pages: Some(Some(1)), ..AccountChange::default() };
    world.store.accounts().change(PETE, &one_page).await.expect("Postgres answers");
    for n in 0..7 {
        world.x.publish(PETE, format!("Celtics -{n}.5 (-110)").as_str());
    }
    let bounded = polled(&world, PETE).await;
    assert_eq!((&bounded["taken"], &bounded["more"]), (&json!(5), &json!(true)));
}

#[tokio::test]
async fn a_failure_on_a_later_page_keeps_what_was_read_and_no_post_is_paid_for_twice() {
    let world = World::with(&[("PERCH__PICKS__POSTS_PER_POLL", "5"), ("PERCH__PICKS__PAGES", "3")]).await;
    for n in 0..8 {
        world.x.publish(SALLY, format!("Lakers -{n}.5 (-110)").as_str());
    }
    world.x.add_fault(Fault::new(Endpoint::UserPosts, FaultKind::Slow).times(1).delay_ms(1));
    world.x.add_fault(Fault::new(Endpoint::UserPosts, FaultKind::RateLimited).times(1).delay_ms(5_000));
    let id = world.enqueue(&poll(SALLY)).await;
    eventually("the first page is handed on while the second waits", || async {
        (world.jobs_of("extract_post").await.len() == 5).then_some(())
    })
    .await;
    let marks = Marks::new(world.redis().door(), Environment::Staging);
    assert_eq!(marks.since_id(SALLY).await.expect("Redis answers"), None, "older posts are unread");
    let late = world.x.publish(SALLY, CELTICS);
    let ended = world.ended(id).await;
    assert_eq!((ended.attempts, &ended.result.expect("a result")["taken"]), (1, &json!(9)));
    assert_eq!(noted(&world, SALLY).await.since_id.map(|id| id.to_string()), Some(late));
    assert_eq!(world.jobs_of("extract_post").await.len(), 9);
    let spent = eventually("what was read is written down", || async {
        world.sync().await;
        let day = perch_store::day(chrono::Utc::now());
        let sums = world
            .store
            .spend()
            .sums(day, day + chrono::TimeDelta::days(2), &Paging::default())
            .await
            .expect("Postgres answers")
            .2
            .items;
        sums.into_iter().find(|sum| sum.kind == "post_read" && sum.account == SALLY)
    })
    .await;
    assert_eq!(spent.units, 9, "each post once");
}

#[tokio::test]
async fn a_poll_whose_next_page_x_does_not_know_any_more_begins_anew_and_passes_nothing() {
    let world = World::with(&[("PERCH__PICKS__POSTS_PER_POLL", "5"), ("PERCH__PICKS__PAGES", "3")]).await;
    let mut ids: Vec<PostId> = Vec::new();
    for n in 0..7 {
        ids.push(world.x.publish(SALLY, format!("Lakers -{n}.5 (-110)").as_str()).parse().expect("an id"));
    }
    let now = chrono::Utc::now();
    let left = PollProgress {
        since_id: None,
        from: Some(now - chrono::TimeDelta::days(1)),
        began: now,
        newest: ids.last().cloned(),
        pages: 1,
        page: Some("ff".into()),
        tally: PollTally::default(),
    };
    let marks = Marks::new(world.redis().door(), Environment::Staging);
    marks.set_poll_progress(SALLY, Some(&left)).await.expect("Redis answers");
    assert_eq!(polled(&world, SALLY).await, json!({ "read": 7, "taken": 7 }));
    assert_eq!(marks.poll_progress(SALLY).await.expect("Redis answers"), None);
}

#[tokio::test]
async fn a_poll_that_comes_late_takes_all_that_was_written_since_the_one_before() {
    let world = World::start().await;
    let ago = |hours| chrono::Utc::now() - chrono::TimeDelta::hours(hours);
    let written = |text: &str, hours| {
        let post = NewPost { text: text.into(), created_at: Some(ago(hours)), ..NewPost::default() };
        world.x.publish(SALLY, post).parse::<PostId>().expect("an id")
    };
    let (last, _) = (written(CHATTER, 40), written(LAKERS, 26));
    let note = PollNote {
        username: SALLY.into(),
        at: ago(39),
        outcome: PollOutcome::Polled,
        error: None,
        since_id: Some(last),
        read_to: Some(ago(39)),
        user_id: None,
    };
    world.store.accounts().note_poll(&note).await.expect("Postgres answers");
    assert_eq!(polled(&world, SALLY).await, json!({ "read": 1, "taken": 1 }));
    let read_to = noted(&world, SALLY).await.read_to.expect("it is noted");
    assert!(read_to > ago(1), "{read_to}");
}

#[tokio::test]
async fn a_poll_that_stands_for_several_reads_the_pages_of_them_all() {
    let world = World::with(&[("PERCH__PICKS__POSTS_PER_POLL", "5"), ("PERCH__PICKS__PAGES", "1")]).await;
    let hourly = AccountChange { schedule: Some(Some("0 * * * *".into())), ..AccountChange::default() };
    world.store.accounts().change(SALLY, &hourly).await.expect("Postgres answers");
    world.x.publish(SALLY, CHATTER);
    polled(&world, SALLY).await;
    sqlx::query("update picks.watched_accounts set read_to = read_to - interval '3 hours'")
        .execute(&world.database().raw())
        .await
        .expect("Postgres answers");
    for n in 0..8 {
        world.x.publish(SALLY, format!("Lakers -{n}.5 (-110)").as_str());
    }
    assert_eq!(polled(&world, SALLY).await, json!({ "read": 8, "taken": 8 }));
}

#[tokio::test]
async fn the_first_poll_of_an_account_takes_what_was_fresh_when_it_was_due_and_nothing_older() {
    let world = World::start().await;
    let ago = |hours| chrono::Utc::now() - chrono::TimeDelta::hours(hours);
    for (text, hours) in [(CHATTER, 60), (LAKERS, 30), (CELTICS, 1)] {
        world.x.publish(PETE, NewPost { text: text.into(), created_at: Some(ago(hours)), ..NewPost::default() });
    }
    let due = EnqueueOptions { id: Some(JobId::at(ago(20))), ..EnqueueOptions::default() };
    let ended = world.ended(world.enqueue_with(&poll(PETE), due).await).await;
    assert_eq!(ended.result, Some(json!({ "read": 2, "taken": 2 })));
}

#[tokio::test]
async fn an_account_that_is_watched_again_is_not_made_up_for() {
    let world = World::start().await;
    polled(&world, SALLY).await;
    let accounts = world.store.accounts();
    for enabled in [false, true] {
        assert!(noted(&world, SALLY).await.read_to.is_some());
        let change = AccountChange { enabled: Some(enabled), ..AccountChange::default() };
        accounts.change(SALLY, &change).await.expect("Postgres answers");
    }
    assert_eq!(noted(&world, SALLY).await.read_to, None);
    polled(&world, SALLY).await;
    accounts.remove(SALLY, "tester").await.expect("Postgres answers");
    accounts.add(SALLY, &AccountChange::default(), "tester").await.expect("Postgres answers");
    assert_eq!(noted(&world, SALLY).await.read_to, None);
}

#[tokio::test]
async fn each_post_that_a_poll_read_is_counted_by_what_became_of_it() {
    let metrics = PrometheusBuilder::new().install_recorder().expect("the only one of this process");
    let world = World::start().await;
    world.x.publish(SALLY, CHATTER);
    world.x.publish(SALLY, LAKERS);
    assert_eq!(polled(&world, SALLY).await["taken"], 2);
    world.sync().await;
    forgotten(&world).await;
    sqlx::query("update picks.watched_accounts set since_id = null")
        .execute(&world.database().raw())
        .await
        .expect("Postgres answers");
    polled(&world, SALLY).await;
    let shown = metrics.render();
    for line in [r#"perch_polled_posts_total{outcome="taken"} 2"#, r#"perch_polled_posts_total{outcome="processed"} 2"#]
    {
        assert!(shown.contains(line), "{line}: {shown}");
    }
}

#[tokio::test]
async fn after_redis_was_wiped_a_poll_goes_on_where_postgres_says_the_last_one_ended() {
    let world = World::start().await;
    world.x.publish(SALLY, CHATTER);
    let newest = world.x.publish(SALLY, LAKERS);
    assert_eq!(polled(&world, SALLY).await["taken"], 2);
    assert_eq!(noted(&world, SALLY).await.since_id.map(|id| id.to_string()), Some(newest));
    world.sync().await;
    forgotten(&world).await;
    assert_eq!(polled(&world, SALLY).await, json!({ "read": 0, "taken": 0 }));
    assert_eq!(world.x.calls(Endpoint::User), 1, "Postgres knows the id of the account");
}

#[tokio::test]
async fn a_post_whose_mark_was_evicted_is_known_to_postgres_and_not_read_again() {
    let world = World::start().await;
    world.x.publish(SALLY, CHATTER);
    world.x.publish(SALLY, LAKERS);
    assert_eq!(polled(&world, SALLY).await["taken"], 2);
    world.sync().await;
    forgotten(&world).await;
    sqlx::query("update picks.watched_accounts set since_id = null")
        .execute(&world.database().raw())
        .await
        .expect("Postgres answers");
    let again = polled(&world, SALLY).await;
    assert_eq!(again, json!({ "read": 2, "taken": 0, "skipped": { "processed": 2 } }));
    let (accounts, yesterday) = (world.store.accounts(), chrono::Utc::now() - chrono::TimeDelta::days(1));
    let totals = accounts.totals(SALLY, yesterday).await.expect("Postgres answers");
    assert_eq!((totals.polls, totals.read, totals.taken), (2, 4, 2));
    assert_eq!(totals.skipped.get("processed"), Some(&2));
}

#[tokio::test]
async fn what_an_operator_decided_of_an_account_goes_before_the_configuration() {
    let world = World::start().await;
    let accounts = world.store.accounts();
    accounts.remove(SALLY, "tester").await.expect("Postgres answers");
    accounts.add("New_One", &AccountChange::default(), "tester").await.expect("Postgres answers");
    let off = AccountChange { enabled: Some(false), ..AccountChange::default() };
    accounts.change(PETE, &off).await.expect("Postgres answers");
    let started = world.done(&PollAccounts {}).await;
    assert_eq!(started.result, Some(json!({ "enqueued": 1, "unfinished": 0 })));
    let polls = world.jobs_of("poll_account").await;
    assert_eq!(
        polls.iter().map(|poll| poll.payload.clone()).collect::<Vec<_>>(),
        [Some(json!({ "username": "New_One" }))]
    );
}

#[tokio::test]
async fn an_account_with_a_schedule_of_its_own_is_polled_by_it_and_not_with_the_others() {
    let world = World::start().await;
    let own = AccountChange { schedule: Some(Some("* * * * * *".into())), ..AccountChange::default() };
    world.store.accounts().change(SALLY, &own).await.expect("Postgres answers");
    let common = world.done(&PollAccounts {}).await;
    assert_eq!(common.result.map(|result| result["enqueued"].clone()), Some(json!(1)), "only the other one");
    eventually("its own schedule makes it due", || async {
        let due = world.done(&PollDueAccounts {}).await.result.expect("a result");
        (due["enqueued"] == 1).then_some(())
    })
    .await;
    let hourly = AccountChange { schedule: Some(Some("0 0 1 1 *".into())), ..AccountChange::default() };
    world.store.accounts().change(SALLY, &hourly).await.expect("Postgres answers");
    let none = world.done(&PollDueAccounts {}).await;
    assert_eq!(none.result, Some(json!({ "enqueued": 0, "unfinished": 0 })), "a new schedule makes up for nothing");
}
