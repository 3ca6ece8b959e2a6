//! Races in the ledger: a relay that takes a job before its enqueuer hands it over, and a Postgres that fails before it answers.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{FutureExt as _, future::BoxFuture};
use perch_base::Disposition;
use perch_core::relay;
use perch_jobs::{JobId, PublishPost};
use perch_queue::{
    Acceptance, Client, EnqueueError, EnqueueOptions, Enqueued, Ledger, LedgerError, LedgerJob, LedgerState,
    OnConflict, Queues, RelayState,
};
use perch_store::{JobState, OutboxContent, OutboxEntry, Store};

use crate::world::{World, main_account};

fn post(text: &str, effect_key: Option<&str>) -> PublishPost {
    PublishPost { effect_key: effect_key.map(str::to_owned), ..PublishPost::new(main_account(), text) }
}

type Deed = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// The ledger in Postgres, while something else happens.
struct Between {
    store: Store,
    after_keep: Mutex<Option<Deed>>,
    before_settle: Mutex<Option<Deed>>,
    settles: bool,
}

impl fmt::Debug for Between {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Between")
    }
}

impl Between {
    fn of(world: &World) -> Self {
        let store = world.store.clone();
        Self { store, after_keep: Mutex::default(), before_settle: Mutex::default(), settles: true }
    }

    /// A client that keeps its jobs with it.
    fn client(self, world: &World) -> Client {
        let redis = world.client.queues().redis().clone();
        Client::new(Queues::new(redis, &world.settings, perch_jobs::types()).with_ledger(Arc::new(self)))
    }
}

async fn done(deed: &Mutex<Option<Deed>>) {
    let deed = deed.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(deed) = deed {
        deed().await;
    }
}

impl Ledger for Between {
    fn keep<'a>(&'a self, jobs: &'a [LedgerJob]) -> BoxFuture<'a, Result<Vec<LedgerState>, LedgerError>> {
        async move {
            let kept = self.store.keep(jobs).await?;
            done(&self.after_keep).await;
            Ok(kept)
        }
        .boxed()
    }

    fn settle<'a>(
        &'a self,
        there: &'a [JobId],
        refused: &'a [JobId],
    ) -> BoxFuture<'a, Result<HashMap<JobId, RelayState>, LedgerError>> {
        async move {
            done(&self.before_settle).await;
            if !self.settles {
                return Err(LedgerError { reason: "it is away".into(), disposition: Disposition::Retry });
            }
            self.store.settle(there, refused).await
        }
        .boxed()
    }
}

impl World {
    /// Relays all waiting rows, also those that their enqueuer is about to hand over.
    fn relays_all(&self) -> Deed {
        let (store, client, pool) = (self.store.clone(), self.client.clone(), self.database().raw());
        Box::new(move || {
            let (store, client, pool) = (store.clone(), client.clone(), pool.clone());
            async move {
                sqlx::query("update outbox set relay_at = clock_timestamp()")
                    .execute(&pool)
                    .await
                    .expect("Postgres answers");
                relay::relay_some(&store, &client).await.expect("Postgres answers");
            }
            .boxed()
        })
    }

    /// Cancels a job, and then relays all waiting rows.
    fn cancels_and_relays(&self, id: JobId) -> Deed {
        let (queue, relays) = (self.queue("pending_posts"), self.relays_all());
        let relays = Arc::new(relays);
        Box::new(move || {
            let (queue, relays) = (queue.clone(), relays.clone());
            async move {
                queue.cancel(id, "test", "it is in the way").await.expect("Redis answers");
                relays().await;
            }
            .boxed()
        })
    }

    /// A relay takes the waiting rows and stops there.
    fn begins_all(&self) -> Deed {
        let (store, pool) = (self.store.clone(), self.database().raw());
        Box::new(move || {
            let (store, pool) = (store.clone(), pool.clone());
            async move {
                let due = sqlx::query("update outbox set relay_at = clock_timestamp()");
                due.execute(&pool).await.expect("Postgres answers");
                assert_eq!(store.outbox().take(100).await.expect("Postgres answers").taken(), 1);
            }
            .boxed()
        })
    }

    /// Cancels a job; then a relay hands over all waiting rows, but cannot commit that.
    fn cancels_and_relays_without_a_commit(&self, id: JobId) -> Deed {
        let (queue, store, client) = (self.queue("pending_posts"), self.store.clone(), self.client.clone());
        let pool = self.database().raw();
        Box::new(move || {
            let (queue, store, client, pool) = (queue.clone(), store.clone(), client.clone(), pool.clone());
            async move {
                queue.cancel(id, "test", "it is in the way").await.expect("Redis answers");
                let due = sqlx::query("update outbox set relay_at = clock_timestamp()");
                due.execute(&pool).await.expect("Postgres answers");
                let outbox = store.outbox();
                let batch = outbox.take(100).await.expect("Postgres answers");
                let [OutboxEntry { content: OutboxContent::Job(job), .. }] = batch.rows.as_slice() else {
                    panic!("one job waits: {:?}", batch.rows)
                };
                let handed = client.hand_over(&queue, std::slice::from_ref(job)).await.remove(0);
                assert_eq!(handed.expect("Redis answers").acceptance, Acceptance::Accepted);
                drop(batch);
            }
            .boxed()
        })
    }

    fn queue(&self, name: &str) -> perch_queue::Queue {
        self.client.queues().get(&name.parse().expect("a name")).expect("configured").clone()
    }

    async fn has(&self, id: JobId) -> bool {
        self.queue("pending_posts").job(id).await.expect("Redis answers").is_some()
    }

    async fn in_history(&self, id: JobId) -> Option<JobState> {
        self.store.history().job(id).await.expect("Postgres answers").map(|job| job.state)
    }
}

fn rejecting() -> EnqueueOptions {
    EnqueueOptions { on_conflict: OnConflict::Reject, ..EnqueueOptions::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_a_relay_hands_over_before_its_enqueuer_does_is_a_new_job_to_the_enqueuer() {
    let world = World::without_workers(&[]).await;
    let between = Between { after_keep: Mutex::new(Some(world.relays_all())), ..Between::of(&world) };
    let Enqueued { id, acceptance, .. } =
        between.client(&world).enqueue(&post("slow", None)).await.expect("it is accepted");
    assert_eq!(acceptance, Acceptance::Accepted);
    assert!(world.has(id).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_refused_and_that_a_relay_begins_before_its_enqueuer_hears_of_it_is_accepted() {
    for on_conflict in [OnConflict::Reject, OnConflict::Keep] {
        let world = World::without_workers(&[]).await;
        let holder = world.enqueue(&post("holder", Some("the-same"))).await;
        let deed = world.cancels_and_relays(holder);
        let between = Between { before_settle: Mutex::new(Some(deed)), ..Between::of(&world) };
        let options = EnqueueOptions { on_conflict, ..EnqueueOptions::default() };
        let enqueued = between.client(&world).enqueue_with(&post("second", Some("the-same")), options).await;
        let Enqueued { id, acceptance, .. } = enqueued.expect("it will run, so it is not refused");
        assert_eq!(acceptance, Acceptance::Accepted);
        assert!(id != holder && world.has(id).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_a_relay_began_is_not_told_to_be_refused_though_the_relay_could_not_say_so() {
    for on_conflict in [OnConflict::Reject, OnConflict::Keep] {
        let world = World::without_workers(&[]).await;
        let holder = world.enqueue(&post("holder", Some("the-same"))).await;
        let deed = world.cancels_and_relays_without_a_commit(holder);
        let between = Between { before_settle: Mutex::new(Some(deed)), ..Between::of(&world) };
        let options = EnqueueOptions { on_conflict, ..EnqueueOptions::default() };
        let enqueued = between.client(&world).enqueue_with(&post("second", Some("the-same")), options).await;
        let Enqueued { id, acceptance, .. } = enqueued.expect("it will run, so it is not refused");
        assert_eq!(acceptance, Acceptance::Deferred, "nobody knows yet");
        assert!(id != holder && world.has(id).await);
        // The next relay finds it in Redis, and says so.
        world.relays_all()().await;
        assert_eq!(world.store.outbox().backlog().await.expect("Postgres answers").waiting, 0);
        assert_eq!(world.queue("pending_posts").stats().await.expect("Redis answers").waiting(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_a_relay_only_began_is_told_to_be_neither_refused_nor_accepted() {
    for on_conflict in [OnConflict::Reject, OnConflict::Keep] {
        let world = World::without_workers(&[]).await;
        let holder = world.enqueue(&post("holder", Some("the-same"))).await;
        let between = Between { before_settle: Mutex::new(Some(world.begins_all())), ..Between::of(&world) };
        let options = EnqueueOptions { on_conflict, ..EnqueueOptions::default() };
        let second = between.client(&world).enqueue_with(&post("second", Some("the-same")), options).await;
        let Enqueued { id, acceptance, .. } = second.expect("whether it runs is not known");
        assert_eq!(acceptance, Acceptance::Deferred);
        // The holder is there still, so the next relay ends it.
        world.relays_all()().await;
        assert!(id != holder && !world.has(id).await);
        assert_eq!(world.in_history(id).await, Some(JobState::Cancelled));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_refused_and_that_the_ledger_cannot_forget_is_not_told_to_be_refused() {
    let world = World::without_workers(&[]).await;
    let holder = world.enqueue(&post("holder", Some("the-same"))).await;
    let client = Between { settles: false, ..Between::of(&world) }.client(&world);
    let second = client.enqueue_with(&post("second", Some("the-same")), rejecting()).await;
    let Enqueued { id, acceptance, .. } = second.expect("whether it runs is not known");
    assert_eq!(acceptance, Acceptance::Deferred);
    // What was told holds whichever way it goes: the holder is there still, so the relay ends the job with its reason.
    world.relays_all()().await;
    assert_eq!(world.in_history(id).await, Some(JobState::Cancelled));
    let reason = world.store.history().job(id).await.expect("Postgres answers").expect("it is known").last_error;
    assert!(reason.as_deref().is_some_and(|reason| reason.contains(&holder.to_string())), "{reason:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_refused_leaves_nothing_that_a_relay_could_begin() {
    let world = World::without_workers(&[]).await;
    let holder = world.enqueue(&post("holder", Some("the-same"))).await;
    let refused = world.client.enqueue_with(&post("second", Some("the-same")), rejecting()).await;
    assert!(matches!(refused, Err(EnqueueError::Conflict { holder: by, .. }) if by == holder), "{refused:?}");
    world.queue("pending_posts").cancel(holder, "test", "it is in the way").await.expect("Redis answers");
    world.relays_all()().await;
    assert_eq!(world.queue("pending_posts").stats().await.expect("Redis answers").waiting(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_was_handed_over_is_a_duplicate_also_when_redis_has_forgotten_it() {
    let world = World::start().await;
    let id = world.done(&post("once", None)).await.id;
    let remembered = world.queue("pending_posts").keys().intake();
    let mut redis = world.redis().raw().await;
    redis::cmd("DEL").arg(remembered).query_async::<()>(&mut redis).await.expect("Redis answers");
    let options = EnqueueOptions { id: Some(id), ..EnqueueOptions::default() };
    let again = world.client.enqueue_with(&post("once", None), options).await.expect("it is known");
    assert_eq!((again.acceptance, again.id), (Acceptance::Duplicate, id));
    assert!(!world.has(id).await, "it is not begun again");
}
