//! Cron entries: each tick once over all machines.

mod support;

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::settings::{CatchUp, CronSettings, Overlap};
use perch_job::JobKind;
use perch_queue::{
    CronEntry, TickOutcome,
    worker::{HandlerResult, Handlers},
};
use serde_json::json;
use support::{Chore, Seen, World, eventually};
use tokio_util::sync::CancellationToken;

fn settings(overlap: Overlap, catch_up: CatchUp) -> CronSettings {
    CronSettings {
        schedule: "* * * * * *".into(),
        timezone: chrono_tz::Europe::Berlin,
        kind: JobKind::from_static("chore"),
        payload: json!({ "n": 5 }),
        overlap,
        catch_up,
        enabled: true,
    }
}

fn tick(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000 + seconds, 0).expect("a valid time")
}

fn entry(world: &World, overlap: Overlap) -> CronEntry {
    CronEntry::new("every_second", &settings(overlap, CatchUp::Skip), &world.client).expect("a schedule")
}

#[tokio::test]
async fn two_schedulers_fire_a_tick_once() {
    let world = World::start().await;
    let (one, two) = (entry(&world, Overlap::Allow), entry(&world, Overlap::Allow));
    let (a, b) = tokio::join!(one.fire(tick(0)), two.fire(tick(0)));
    let fired = [a.expect("Redis"), b.expect("Redis")];
    assert!(fired.contains(&TickOutcome::Fired) && fired.contains(&TickOutcome::Passed), "{fired:?}");
    assert_eq!(world.queue.stats().await.expect("Redis").waiting(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_that_was_fired_is_not_fired_again_after_its_job_is_done() {
    let world = World::start().await;
    let working = world.work(Handlers::new().on(|_: Chore| async { HandlerResult::Ok(()) }));
    assert_eq!(entry(&world, Overlap::Skip).fire(tick(0)).await.expect("Redis"), TickOutcome::Fired);
    world.drained().await;
    assert_eq!(entry(&world, Overlap::Skip).fire(tick(0)).await.expect("Redis"), TickOutcome::Passed);
    assert_eq!(entry(&world, Overlap::Skip).fire(tick(1)).await.expect("Redis"), TickOutcome::Fired);
    working.stop().await;
}

#[tokio::test]
async fn a_tick_is_left_out_while_the_job_of_the_last_one_is_unfinished() {
    let world = World::start().await;
    let skipping = entry(&world, Overlap::Skip);
    assert_eq!(skipping.fire(tick(0)).await.expect("Redis"), TickOutcome::Fired);
    assert_eq!(skipping.fire(tick(1)).await.expect("Redis"), TickOutcome::Overlap);
    assert_eq!(entry(&world, Overlap::Allow).fire(tick(2)).await.expect("Redis"), TickOutcome::Fired);
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_ticks_are_made_up_for_as_the_entry_says() {
    for (catch_up, expected) in [(CatchUp::Skip, 0), (CatchUp::Latest, 1), (CatchUp::All, 5)] {
        let world = World::start().await;
        let mut settings = settings(Overlap::Allow, catch_up);
        settings.schedule = "0 0 * * *".into();
        let entry = CronEntry::new("nightly", &settings, &world.client).expect("a schedule");
        entry.fire(Utc::now() - TimeDelta::days(5)).await.expect("Redis");
        let seen = Seen::new();
        let record = seen.clone();
        let working = world.work(Handlers::new().on(move |chore: Chore| {
            record.push(chore.n);
            async { HandlerResult::Ok(()) }
        }));
        let stop = CancellationToken::new();
        let running = tokio::spawn(entry.run(stop.clone()));
        eventually("they were made up for", || async { seen.len() == 1 + expected }).await;
        stop.cancel();
        running.await.expect("it ends when told");
        world.drained().await;
        assert_eq!(seen.len(), 1 + expected);
        working.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_fires_by_itself_at_its_ticks() {
    let world = World::start().await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(entry(&world, Overlap::Allow).run(stop.clone()));
    eventually("two ticks", || async { world.queue.stats().await.expect("Redis").waiting() >= 2 }).await;
    stop.cancel();
    running.await.expect("it ends when told");
    let view = entry(&world, Overlap::Allow).view().await.expect("Redis");
    assert!(view.last.is_some() && view.next.is_some());
}
