//! Paging through the jobs of a queue while jobs come, go and start.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta};
use perch_job::{JobId, JobState, Priority};
use perch_queue::{
    EnqueueOptions, NewJob,
    testing::{self, AttemptEnd},
};
use proptest::{prelude::*, test_runner::TestRunner};
use support::{Chore, World};

const PRIORITIES: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];
const STATES: [JobState; 3] = [JobState::Running, JobState::Waiting, JobState::Delayed];

/// What happens between two pages.
#[derive(Debug, Clone)]
enum Event {
    /// A job is enqueued.
    Enqueue(New),
    /// This many jobs are fetched, with this outcome.
    Fetch(u8, Became),
    /// This many jobs move from the front of a list to its end, as after a failed attempt.
    Again(Priority, u8),
    /// One of the first jobs is cancelled.
    Cancel(prop::sample::Index),
    /// One of the first jobs is made ready, if it is delayed.
    RunNow(prop::sample::Index),
}

#[derive(Debug, Clone, Copy)]
enum Became {
    Running,
    Done,
    /// Its worker shuts down: it goes back to the front.
    GivenBack,
}

/// A job: its priority, its group, and if it is delayed, by how many milliseconds after a time that it shares with others.
type New = (Priority, Option<u8>, Option<u8>);

#[derive(Debug, Clone)]
struct Story {
    jobs: Vec<New>,
    /// How many run at first, which fills groups and parks further jobs of them.
    running: u8,
    page: usize,
    /// What happens after each page.
    meanwhile: Vec<Vec<Event>>,
}

fn story() -> impl Strategy<Value = Story> {
    let priority = || prop_oneof![1 => Just(Priority::High), 3 => Just(Priority::Normal), 1 => Just(Priority::Low)];
    let new = || (priority(), prop::option::of(0..3_u8), prop::option::weighted(0.3, 0..3_u8));
    let became = prop_oneof![Just(Became::Running), Just(Became::Done), Just(Became::GivenBack)];
    let event = prop_oneof![
        new().prop_map(Event::Enqueue),
        (1..6_u8, became).prop_map(|(n, became)| Event::Fetch(n, became)),
        (priority(), 1..6_u8).prop_map(|(priority, n)| Event::Again(priority, n)),
        any::<prop::sample::Index>().prop_map(Event::Cancel),
        any::<prop::sample::Index>().prop_map(Event::RunNow),
    ];
    let meanwhile = prop::collection::vec(prop::collection::vec(event, 0..3), 0..20);
    (prop::collection::vec(new(), 1..30), 0..8_u8, 1..7_usize, meanwhile)
        .prop_map(|(jobs, running, page, meanwhile)| Story { jobs, running, page, meanwhile })
}

struct Walk<'a> {
    world: &'a World,
    /// When delayed jobs are due.
    later: DateTime<chrono::Utc>,
    began: Vec<JobId>,
    /// The places of the jobs that have not moved since the start.
    stayed: BTreeSet<(String, JobId)>,
}

impl Walk<'_> {
    async fn enqueue(&self, (priority, group, delay): New) -> JobId {
        let chore = Chore { n: 1, group: group.map(|group| format!("g{group}")) };
        let run_at = delay.map(|ms| self.later + TimeDelta::milliseconds(i64::from(ms)));
        let options = EnqueueOptions { priority: Some(priority), run_at, ..EnqueueOptions::default() };
        let job = NewJob::of(&chore).expect("a chore is JSON").with(options);
        self.world.client.submit(job).await.expect("Redis").id
    }

    async fn fetch(&mut self, n: u8, became: Became) {
        let fetched = testing::fetch(&self.world.queue, "w", n.into(), 0).await.expect("Redis");
        for (lease, envelope) in fetched.jobs {
            self.moved(lease.id());
            let envelope = perch_queue::Envelope::decode(&envelope).expect("readable");
            let end = match became {
                Became::Running => continue,
                Became::Done => AttemptEnd::Succeeded,
                Became::GivenBack => AttemptEnd::Interrupted,
            };
            testing::finish(&self.world.queue, &lease, &envelope, end).await.expect("Redis");
        }
    }

    async fn happen(&mut self, event: &Event) {
        let queue = &self.world.queue;
        match event {
            Event::Enqueue(new) => drop(self.enqueue(*new).await),
            Event::Fetch(n, became) => self.fetch(*n, *became).await,
            Event::Again(priority, n) => {
                let (mut redis, list) = (self.world.redis.raw().await, queue.keys().ready(*priority));
                let mut take = redis::cmd("LPOP");
                let ids: Option<Vec<String>> = take.arg(&list).arg(*n).query_async(&mut redis).await.expect("Redis");
                for id in ids.unwrap_or_default() {
                    self.moved(id.parse().expect("an id"));
                    redis::cmd("RPUSH").arg(&list).arg(id).exec_async(&mut redis).await.expect("Redis");
                }
            }
            Event::Cancel(which) => {
                queue.cancel(*which.get(&self.began), "ann", "a test").await.expect("Redis");
                self.moved(*which.get(&self.began));
            }
            Event::RunNow(which) => drop(queue.run_now(*which.get(&self.began)).await.expect("Redis")),
        }
        let places = self.places().await;
        self.stayed.retain(|place| places.contains(place));
    }

    fn moved(&mut self, id: JobId) {
        self.stayed.retain(|(_, stays)| *stays != id);
    }

    /// Where every job is.
    async fn places(&self) -> BTreeSet<(String, JobId)> {
        let keys = self.world.queue.keys();
        let mut redis = self.world.redis.raw().await;
        let mut places = BTreeSet::new();
        let ready = PRIORITIES.map(|priority| keys.ready(priority));
        let groups = ["g0", "g1", "g2"];
        let parked = groups.iter().flat_map(|group| PRIORITIES.map(|priority| keys.parked_in(priority, group)));
        for list in ready.into_iter().chain(parked) {
            let ids: Vec<String> =
                redis::cmd("LRANGE").arg(&list).arg(0).arg(-1).query_async(&mut redis).await.expect("Redis");
            places.extend(ids.iter().map(|id| (list.clone(), id.parse().expect("an id"))));
        }
        for set in [keys.delayed(), keys.leases()] {
            let members: Vec<String> =
                redis::cmd("ZRANGE").arg(&set).arg(0).arg(-1).query_async(&mut redis).await.expect("Redis");
            let ids = members.iter().filter_map(|member| member.split('|').next());
            places.extend(ids.map(|id| (set.clone(), id.parse().expect("an id"))));
        }
        places
    }
}

/// How often each job was in a page of this state, and the jobs in it that did not move during the walk.
async fn walked(world: &World, state: JobState, story: &Story) -> (BTreeMap<JobId, u32>, BTreeSet<JobId>) {
    world.redis.wipe().await;
    let later = world.queue.now() + TimeDelta::hours(1);
    let mut walk = Walk { world, later, began: Vec::new(), stayed: BTreeSet::new() };
    for new in &story.jobs {
        let id = walk.enqueue(*new).await;
        walk.began.push(id);
    }
    walk.fetch(story.running, Became::Running).await;
    walk.stayed = walk.places().await;
    let in_state: BTreeSet<JobId> = world
        .queue
        .jobs(&walk.began)
        .await
        .expect("Redis")
        .into_iter()
        .filter(|job| job.state == state)
        .map(|job| job.id)
        .collect();
    let (mut seen, mut after, mut meanwhile) = (BTreeMap::new(), None, story.meanwhile.iter());
    loop {
        let page = world.queue.job_page(state, after.as_ref(), story.page).await.expect("a page");
        for (_, job) in page.jobs {
            assert_eq!(job.state, state);
            *seen.entry(job.id).or_default() += 1;
        }
        let Some(end) = page.end else { break };
        // As clients send it back.
        let json = serde_json::to_string(&end).expect("it is JSON");
        after = Some(serde_json::from_str(&json).expect("a place"));
        for event in meanwhile.next().into_iter().flatten() {
            walk.happen(event).await;
        }
    }
    let stayed = walk.stayed.into_iter().map(|(_, id)| id).filter(|id| in_state.contains(id)).collect();
    (seen, stayed)
}

#[test]
fn a_job_that_stays_where_it_is_all_the_while_is_in_one_page_of_a_walk_and_in_no_second() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let world = runtime.block_on(World::with(|queue, _| queue.group_concurrency = 1, perch_base::Clock::system()));
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() });
    let outcome = runner.run(&(story(), 0..STATES.len()), |(story, state)| {
        let (seen, stayed) = runtime.block_on(walked(&world, STATES[state], &story));
        for id in stayed {
            prop_assert_eq!(seen.get(&id).copied().unwrap_or(0), 1, "{} among {:?}", id, seen);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[tokio::test]
async fn a_page_after_jobs_that_were_taken_and_came_in_again_leaves_none_out() {
    let world = World::start().await;
    let jobs: Vec<NewJob> = (0..6).map(|n| NewJob::of(&Chore::number(n)).expect("a chore is JSON")).collect();
    let mut ids = Vec::new();
    for job in jobs {
        ids.push(world.client.submit(job).await.expect("Redis").id);
    }
    let first = world.queue.job_page(JobState::Waiting, None, 2).await.expect("a page");
    assert_eq!(first.jobs.iter().map(|(_, job)| job.id).collect::<Vec<_>>(), ids[..2]);
    let (mut redis, list) = (world.redis.raw().await, world.queue.keys().ready(Priority::Normal));
    let taken: Vec<String> = redis::cmd("LPOP").arg(&list).arg(2).query_async(&mut redis).await.expect("Redis");
    redis::cmd("RPUSH").arg(&list).arg(&taken).exec_async(&mut redis).await.expect("Redis");
    let rest = world.queue.job_page(JobState::Waiting, first.end.as_ref(), 4).await.expect("a page");
    assert_eq!(rest.jobs.iter().map(|(_, job)| job.id).collect::<Vec<_>>(), ids[2..], "none is left out");
}
