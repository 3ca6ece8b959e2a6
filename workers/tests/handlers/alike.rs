//! No two accounts of an operator publish nearly the same.

use perch_jobs::{AccountId, HalfThread, Job, PublishPost, PublishThread};
use perch_safety::similar::{Fingerprint, is_near_duplicate};
use perch_sandbox::{Endpoint, Fault, FaultKind, MadePost};
use perch_store::JobState;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::world::{SECOND, World, main_account};

const RYE: &str = "Rye wants a cold night and a hot stone.";

const ALLOWED: [(&str, &str); 1] = [("PERCH__X__ACCOUNTS__SECOND__POSTING", "{ similar = \"allow\" }")];

fn second_account() -> AccountId {
    AccountId::from_static("second")
}

async fn dead<J: Job>(world: &World, job: &J) -> String {
    let ended = world.ended(world.enqueue(job).await).await;
    assert_eq!(ended.state, JobState::Dead, "{ended:?}");
    ended.last_error.unwrap_or_default()
}

fn post(account: AccountId, text: &str) -> PublishPost {
    PublishPost::new(account, text)
}

#[tokio::test]
async fn a_text_that_another_account_has_published_is_refused_with_its_name_and_published_when_it_is_changed() {
    let world = World::with(&SECOND).await;
    world.done(&post(main_account(), RYE)).await;
    let why = dead(&world, &post(second_account(), "RYE wants a cold night, and a hot stone! #7")).await;
    for part in ["the account main", RYE, "posting.similar"] {
        assert!(why.contains(part), "{part} is missing: {why}");
    }
    world.done(&post(second_account(), "The stone has a night of its own.")).await;
    assert_eq!(world.x.made().len(), 2);
}

#[tokio::test]
async fn an_account_that_may_say_what_others_say_does_and_replies_may_always_be_alike() {
    let world = World::with(&[&SECOND[..], &ALLOWED].concat()).await;
    world.done(&post(main_account(), RYE)).await;
    // X, which the sandbox plays, does not know of the permission.
    world.done(&post(second_account(), "Rye wants a cold night and one hot stone.")).await;
    let asked = world.x.publish("fan", "@perch_bot @perch_second rye?");
    for account in [main_account(), second_account()] {
        let reply = PublishPost { reply_to: asked.parse().ok(), ..post(account, "It wants a cold night.") };
        world.done(&reply).await;
    }
    assert_eq!(world.x.made().len(), 4);
}

#[tokio::test]
async fn the_first_part_of_a_thread_is_compared_as_a_post() {
    let world = World::with(&SECOND).await;
    let thread = |account, parts: &[&str]| PublishThread {
        account,
        parts: parts.iter().map(|part| (*part).to_owned()).collect(),
        effect_key: None,
        source: None,
        half: HalfThread::Keep,
        made_with_ai: false,
    };
    world.done(&post(main_account(), RYE)).await;
    let again = thread(second_account(), &[RYE, "And it wants a slow oven too."]);
    assert!(dead(&world, &again).await.contains("the account main"));
    world.done(&thread(second_account(), &["What wheat fears most is the open door.", "And a slow oven."])).await;
    assert!(
        dead(&world, &post(main_account(), "What wheat fears most: the open door!"))
            .await
            .contains("the account second")
    );
}

#[tokio::test]
async fn of_two_accounts_whose_posts_x_has_refused_for_a_while_only_one_goes_on() {
    let world = World::with(&SECOND).await;
    world.x.add_fault(Fault::new(Endpoint::CreatePost, FaultKind::Unavailable).times(1));
    let (first, second) =
        (world.enqueue(&post(main_account(), RYE)).await, world.enqueue(&post(second_account(), RYE)).await);
    let states = [world.ended(first).await.state, world.ended(second).await.state];
    assert!(states.contains(&JobState::Done) && states.contains(&JobState::Dead), "{states:?}");
    assert_eq!(world.x.made().len(), 1);
}

/// Texts of few words, so that many of them are nearly the same.
fn some_text(rng: &mut StdRng) -> String {
    const WORDS: [&str; 9] = ["rye", "stone", "night", "salt", "water", "cold", "hot", "slow", "bread"];
    (0..rng.random_range(3..7)).map(|_| WORDS[rng.random_range(0..WORDS.len())]).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn whatever_two_accounts_are_to_say_at_once_they_never_say_nearly_the_same() {
    let world = World::with(&SECOND).await;
    let mut rng = StdRng::seed_from_u64(7);
    let mut ids = Vec::new();
    for number in 0..60 {
        let account = if number % 2 == 0 { main_account() } else { second_account() };
        ids.push(world.enqueue(&post(account, &some_text(&mut rng))).await);
    }
    let mut refused = 0;
    for id in ids {
        refused += usize::from(world.ended(id).await.state == JobState::Dead);
    }
    let made = world.x.made();
    let prints: Vec<(&MadePost, Fingerprint)> = made.iter().map(|post| (post, Fingerprint::of(&post.text))).collect();
    for (at, (one, print)) in prints.iter().enumerate() {
        for (other, other_print) in prints.iter().skip(at + 1).filter(|(other, _)| other.account != one.account) {
            assert!(!is_near_duplicate(print, other_print), "{:?} and {:?}", one.text, other.text);
        }
    }
    assert!(refused > 5 && made.len() > 5, "{refused} refused, {} made", made.len());
    assert_eq!(world.x.calls(Endpoint::CreatePost), made.len() as u64, "X was not asked for any that was refused");
}
