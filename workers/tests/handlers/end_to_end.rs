use chrono::{TimeDelta, Utc};
use perch_bot_picks::store::{PickBody, PicksStore as _};
use perch_core::scheduler;
use perch_jobs::JobId;
use perch_publishing::reconciler;
use perch_sandbox::Endpoint;
use perch_store::{ActionState, AttemptOutcome, JobState};

use crate::world::{CHATTER, LAKERS, SALLY, World, eventually, main_account};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pick_on_a_timeline_becomes_one_comment_whose_metrics_come_back_and_all_of_it_rests_in_postgres() {
    let world = World::start().await;
    let pick = world.x.publish(SALLY, LAKERS);
    world.x.publish(SALLY, CHATTER);

    // Nothing is enqueued by hand: cron polls and syncs.
    let (settings, client, stop) = (world.settings.clone(), world.client.clone(), world.stop.clone());
    let store = world.store.clone();
    let scheduling = tokio::spawn(async move { scheduler::run(&settings, &client, &store, reconciler(), stop).await });

    let comment = eventually("the comment stands at the sandbox", || async { world.x.made().pop() }).await;
    assert_eq!((comment.reply_to.as_deref(), comment.account.as_str()), (Some(pick.as_str()), "perch_bot"));
    assert_eq!(comment.text, "Los Angeles Lakers -3.5 (-110) 2u (via @sharp_sally)");

    let id = comment.id.parse().expect("an id");
    let series = eventually("two readings of its metrics are in Postgres", || async {
        let series = world.store.performance().series(&id, 10).await.expect("Postgres answers");
        (series.len() >= 2).then_some(series)
    })
    .await;
    assert!(series[0].observed_at < series[1].observed_at);

    let picks = world.store.picks().latest(10).await.expect("Postgres answers");
    let [record] = picks.as_slice() else { panic!("one pick: {picks:?}") };
    assert!(matches!(&record.pick, PickBody::Single(pick) if pick.line == Some(-3.5)));
    assert_eq!((record.source_post.as_str(), record.author.as_str()), (pick.as_str(), SALLY));
    assert_eq!(world.store.posts().latest(Some(SALLY), 10).await.expect("Postgres answers").len(), 2);

    let actions = world.store.picks().actions_of(&record.key).await.expect("Postgres answers");
    let [action] = actions.as_slice() else { panic!("one action: {actions:?}") };
    assert_eq!((action.state, action.external_id.as_deref()), (ActionState::Published, Some(comment.id.as_str())));
    let published = world.store.performance().post(&id).await.expect("Postgres answers").expect("it is recorded");
    assert_eq!((published.account, published.subject.as_deref()), (main_account(), Some(record.key.as_str())));

    // Polls go on, and find nothing new.
    let polls = world.x.calls(Endpoint::UserPosts);
    eventually("the account is polled twice more", || async {
        (world.x.calls(Endpoint::UserPosts) >= polls + 4).then_some(())
    })
    .await;
    assert_eq!(world.x.made().len(), 1);

    // A job tells what it did, in how many attempts, and what it followed from.
    let comments = world.jobs_of("publish_post").await;
    let [job] = comments.as_slice() else { panic!("one job: {comments:?}") };
    assert_eq!((job.state, job.attempts), (JobState::Done, 1));
    assert_eq!(job.result.as_ref().map(|r| &r["post_id"]), Some(&serde_json::json!(comment.id)));
    let attempts = world.store.history().attempts(job.id).await.expect("Postgres answers");
    assert!(matches!(attempts.as_slice(), [one] if one.outcome == AttemptOutcome::Succeeded && one.worker.is_some()));
    let extraction = world.ended(job.parent.expect("an extraction led to it")).await;
    assert_eq!(extraction.kind.as_deref(), Some("extract_post"));
    assert_eq!(extraction.result.as_ref().map(|r| &r["new"]), Some(&serde_json::json!(1)));

    world.stop.cancel();
    scheduling.await.expect("the scheduler ends when it is told to");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheduler_removes_jobs_beyond_their_retention_from_the_history_and_no_others() {
    let world = World::without_workers(&[]).await;
    let (old, young) = (JobId::from_parts(Utc::now() - TimeDelta::days(91), 1), JobId::at(Utc::now()));
    for (id, days) in [(old, 91), (young, 89)] {
        sqlx::query(
            "insert into jobs (environment, id, queue, state, created_at, finished_at, changed_at)
             values ('staging', $1, 'extraction', 'done', now() - $2 * interval '1 day', now() - $2 * interval '1 day',
                     now() - $2 * interval '1 day')",
        )
        .bind(id.to_string())
        .bind(days)
        .execute(&world.database().raw())
        .await
        .expect("Postgres answers");
    }
    let (settings, client, stop) = (world.settings.clone(), world.client.clone(), world.stop.clone());
    let store = world.store.clone();
    let scheduling = tokio::spawn(async move { scheduler::run(&settings, &client, &store, reconciler(), stop).await });
    eventually("the old one is gone", || async {
        world.store.history().job(old).await.expect("Postgres answers").is_none().then_some(())
    })
    .await;
    assert!(world.store.history().job(young).await.expect("Postgres answers").is_some());
    world.stop.cancel();
    scheduling.await.expect("the scheduler ends when it is told to");
}
