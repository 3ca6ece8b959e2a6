//! What an account may publish, and when: counted in Redis for all pools.

use chrono::{TimeDelta, Timelike as _, Utc};
use perch_jobs::{JobId, PublishPost};
use perch_publishing::limits::{LimitsReport, limits};
use perch_sandbox::{Endpoint, Fault, FaultKind};
use perch_store::{AttemptOutcome, JobState};

use crate::world::{SALLY, World, eventually, publication, retweet};

const MANY_AT_ONCE: [(&str, &str); 2] =
    [("PERCH__QUEUES__PENDING_POSTS__CONCURRENCY", "8"), ("PERCH__QUEUES__PENDING_POSTS__GROUP_CONCURRENCY", "0")];

impl World {
    /// A world whose day does not end while the test runs, with these limits.
    async fn paced(limits: &[(&str, &str)]) -> Self {
        // Noon in one of these zones is hours away from midnight in that zone.
        let zone = if (6..18).contains(&Utc::now().hour()) { "UTC" } else { "Etc/GMT+12" };
        let vars = [&MANY_AT_ONCE[..], &[("PERCH__POSTING__TIMEZONE", zone)], limits].concat();
        Self::without_workers(&vars).await.work().work()
    }

    async fn report(&self) -> LimitsReport {
        limits(&self.settings, self.client.queues(), None).await.expect("Redis answers")
    }

    /// Waits until a job was put off; answers why.
    async fn put_off(&self, id: JobId) -> String {
        eventually(&format!("job {id} is put off"), || async {
            self.sync().await;
            let attempts = self.store.history().attempts(id).await.expect("Postgres answers");
            let first = attempts.into_iter().find(|attempt| attempt.outcome == AttemptOutcome::Snoozed)?;
            first.error
        })
        .await
    }

    async fn made_or_put_off(&self, jobs: &[PublishPost]) -> (usize, Vec<JobId>) {
        let mut ids = Vec::new();
        for job in jobs {
            ids.push(self.enqueue(job).await);
        }
        let mut late = Vec::new();
        for id in ids {
            let is_late = eventually(&format!("job {id} is done or put off"), || async {
                self.sync().await;
                let job = self.store.history().job(id).await.expect("Postgres answers")?;
                let outcomes = self.outcomes(id).await;
                match (job.state, outcomes.last()) {
                    (JobState::Done, _) => Some(false),
                    (_, Some(AttemptOutcome::Snoozed)) => Some(true),
                    _ => None,
                }
            })
            .await;
            late.extend(is_late.then_some(id));
        }
        (self.x.made().len(), late)
    }
}

fn posts(count: usize) -> Vec<PublishPost> {
    (0..count).map(|n| publication(&format!("Number {n}"), None, None)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_publishes_no_more_a_day_than_it_may_whichever_pool_it_goes_through() {
    let world = World::paced(&[("PERCH__POSTING__PER_DAY", "5")]).await;
    let (made, late) = world.made_or_put_off(&posts(12)).await;
    assert_eq!((made, late.len()), (5, 7));
    let why = world.put_off(late[0]).await;
    assert!(why.contains("main has published 5 times today"), "{why}");
    let job = world.store.history().job(late[0]).await.expect("Postgres answers").expect("it is known");
    assert_eq!((job.state, job.attempts), (JobState::Delayed, 0), "no attempt counts");
    let report = world.report().await;
    let account = &report.posting[0];
    assert_eq!((account.posts, account.per_day, account.next_allowed), (5, 5, Some(account.day_ends)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_was_emptied_counts_what_the_ledger_knows_of_the_day() {
    let world = World::paced(&[("PERCH__POSTING__PER_DAY", "2")]).await;
    world.done(&publication("One", None, None)).await;
    world.done(&publication("Two", None, None)).await;
    world.redis().wipe().await;
    let why = world.put_off(world.enqueue(&publication("Three", None, None)).await).await;
    assert!(why.contains("2 times today"), "{why}");
    assert_eq!(world.x.made().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_and_retweets_have_limits_of_their_own() {
    let own = "{ replies_per_day = 1, retweets_per_day = 1 }";
    let world = World::paced(&[("PERCH__X__ACCOUNTS__MAIN__POSTING", own)]).await;
    let id = world.x.publish(SALLY, "Lakers tonight");
    let reply = |text| publication(text, Some(id.parse().expect("an id")), None);
    world.done(&reply("Tailing")).await;
    let why = world.put_off(world.enqueue(&reply("Fading")).await).await;
    assert!(why.contains("its 1 replies of today"), "{why}");
    world.done(&retweet(&id)).await;
    let other = world.x.publish(SALLY, "Suns tonight");
    let why = world.put_off(world.enqueue(&retweet(&other)).await).await;
    assert!(why.contains("its 1 retweets of today"), "{why}");
    world.done(&publication("A post of its own", None, None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_is_never_held_up_and_what_was_refused_gives_its_place_back() {
    let world = World::paced(&[("PERCH__POSTING__PER_DAY", "1")]).await;
    world.x.add_fault(Fault::new(Endpoint::CreatePost, FaultKind::Unavailable).times(2));
    let post = publication("Once", None, Some("promise:1"));
    world.done(&post).await;
    world.done(&post).await;
    assert_eq!((world.x.made().len(), world.report().await.posting[0].posts), (1, 1));
    let gone = publication("Nobody there", Some("1234".parse().expect("an id")), None);
    world.put_off(world.enqueue(&gone).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_keep_their_distance_whichever_pool_they_go_through() {
    let world = World::paced(&[("PERCH__POSTING__MIN_INTERVAL", "700ms")]).await;
    let mut ids = Vec::new();
    for post in posts(6) {
        ids.push(world.enqueue(&post).await);
    }
    for id in ids {
        let job = world.ended(id).await;
        assert_eq!((job.state, job.attempts), (JobState::Done, 1), "{:?}", job.last_error);
    }
    let mut made: Vec<_> = world.x.made().iter().map(|post| post.created_at).collect();
    made.sort_unstable();
    assert_eq!(made.len(), 6);
    let close = made.windows(2).find(|pair| pair[1] - pair[0] < TimeDelta::milliseconds(700));
    assert!(close.is_none(), "{close:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_quiet_hours_nothing_goes_out_and_the_job_waits_for_their_end() {
    let clock = |hours| (Utc::now() + TimeDelta::hours(hours)).format("%H:%M").to_string();
    let quiet = format!(r#"{{ from = "{}", to = "{}", timezone = "UTC" }}"#, clock(-2), clock(2));
    let world = World::paced(&[("PERCH__POSTING__QUIET", &quiet)]).await;
    let id = world.enqueue(&publication("Too early", None, None)).await;
    let why = world.put_off(id).await;
    assert!(why.contains("main has quiet hours; it goes on at"), "{why}");
    let due = world.client.queues().iter().find(|queue| queue.name().as_str() == "pending_posts");
    let due = due.expect("it is configured").job(id).await.expect("Redis answers").and_then(|job| job.due);
    let left = due.expect("it waits") - Utc::now();
    assert!(left > TimeDelta::minutes(110) && left <= TimeDelta::minutes(120), "{left}");
    let account = world.report().await.posting.remove(0);
    assert!(account.quiet && account.next_allowed.is_some(), "{account:?}");
    assert_eq!(world.x.calls(Endpoint::CreatePost), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_simulated_counts_too() {
    let world = World::paced(&[("PERCH__POSTING__PER_DAY", "1"), ("PERCH__X__BASE_URL", "https://api.x.com")]).await;
    world.done(&publication("Nobody sees this", None, None)).await;
    let id = world.enqueue(&publication("Nor this", None, None)).await;
    world.put_off(id).await;
    assert_eq!(world.report().await.posting[0].posts, 1);
}
