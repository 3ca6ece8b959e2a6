//! Paging through dead letters while letters come and go.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use perch_job::JobId;
use perch_queue::{DeadCursor, DeadPage};
use proptest::{prelude::*, test_runner::TestRunner};
use redis::aio::MultiplexedConnection;
use support::World;

const BEGAN: i64 = 1_790_000_000_000;

/// Letters that died in a few milliseconds, and what happens to them between two pages.
#[derive(Debug, Clone)]
struct Story {
    /// The millisecond of each letter and the rest of its id.
    letters: Vec<(i64, u128)>,
    /// Members of the set that are not letters.
    odd: Vec<(i64, Vec<u8>)>,
    page: usize,
    /// Between two pages: the letters that are removed, and how many jobs die.
    meanwhile: Vec<(Vec<prop::sample::Index>, u8)>,
}

fn story() -> impl Strategy<Value = Story> {
    let letters = prop::collection::vec((0..3_i64, 0..1_u128 << 80), 1..40);
    let odd = prop::collection::vec((0..3_i64, prop::collection::vec(any::<u8>(), 0..30)), 0..4);
    let meanwhile = prop::collection::vec((prop::collection::vec(any::<prop::sample::Index>(), 0..3), 0..3_u8), 0..30);
    (letters, odd, 1..9_usize, meanwhile).prop_map(|(letters, odd, page, meanwhile)| Story {
        letters,
        odd,
        page,
        meanwhile,
    })
}

fn id(random: u128) -> JobId {
    JobId::from_parts(DateTime::from_timestamp_millis(BEGAN).expect("a time"), random)
}

async fn plant(redis: &mut MultiplexedConnection, key: &str, ms: i64, member: &[u8]) {
    let mut add = redis::cmd("ZADD");
    let _: u64 = add.arg(key).arg(BEGAN + ms).arg(member).query_async(redis).await.expect("Redis answers");
}

/// How often each letter was seen, and the letters that were there during the whole walk.
async fn walk(world: &World, story: &Story) -> (BTreeMap<JobId, u32>, BTreeSet<JobId>) {
    let key = world.queue.keys().dead();
    let mut redis = world.redis.raw().await;
    let _: u64 = redis::cmd("DEL").arg(&key).query_async(&mut redis).await.expect("Redis answers");
    for (ms, random) in &story.letters {
        plant(&mut redis, &key, *ms, id(*random).to_string().as_bytes()).await;
    }
    for (ms, member) in &story.odd {
        plant(&mut redis, &key, *ms, member).await;
    }
    let mut there: BTreeSet<JobId> = story.letters.iter().map(|(_, random)| id(*random)).collect();
    let (mut seen, mut after, mut meanwhile) = (BTreeMap::new(), None::<DeadCursor>, story.meanwhile.iter());
    loop {
        let DeadPage { letters, end } = world.queue.dead_page(after.as_ref(), story.page).await.expect("a page");
        for letter in letters {
            *seen.entry(letter.id).or_default() += 1;
        }
        let Some(end) = end else { return (seen, there) };
        assert!(after.is_none_or(|after| after < end), "the walk goes on");
        after = Some(end);
        let Some((gone, died)) = meanwhile.next() else { continue };
        for one in gone {
            let gone = id(one.get(&story.letters).1);
            there.remove(&gone);
            let mut remove = redis::cmd("ZREM");
            let _: u64 = remove.arg(&key).arg(gone.to_string()).query_async(&mut redis).await.expect("Redis answers");
        }
        for n in 0..*died {
            plant(&mut redis, &key, 10, id(u128::from(n)).to_string().as_bytes()).await;
        }
    }
}

#[test]
fn every_letter_that_is_there_all_the_while_is_seen_once_and_no_other_twice() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let world = runtime.block_on(World::start());
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() });
    let outcome = runner.run(&story(), |story| {
        let (seen, there) = runtime.block_on(walk(&world, &story));
        prop_assert!(seen.values().all(|times| *times == 1), "{seen:?}");
        prop_assert!(
            there.iter().all(|id| seen.contains_key(id)),
            "not seen: {:?}",
            there.iter().find(|id| !seen.contains_key(id))
        );
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
