//! Replies that are written at the same moment.

use perch_bot_mentions::MentionState;
use perch_jobs::{ReplyToMention, Unique, UniqueScope};
use perch_queue::EnqueueOptions;

use crate::{
    mentions::{FAN, comes_to, handed, told},
    together::Together,
    world::World,
};

fn mentioned(world: &World, text: &str) -> ReplyToMention {
    handed(&world.x.publish(FAN, text), text)
}

fn texts(world: &World) -> Vec<String> {
    world.x.made().into_iter().map(|post| post.text).collect()
}

#[tokio::test]
async fn of_two_workers_that_race_for_one_mention_one_replies() {
    let together = Together::saying_at_once(&["I lean under.", "I lean over."], 2).await;
    let world = told(&together, &[]).await.work();
    let job = mentioned(&world, "@perch_bot over or under?");
    let mut ids = Vec::new();
    for key in ["one", "other"] {
        let unique = Some(Unique { key: key.to_owned(), scope: UniqueScope::Done });
        ids.push(world.enqueue_with(&job, EnqueueOptions { unique, ..EnqueueOptions::default() }).await);
    }
    for id in ids {
        world.ended(id).await;
    }
    let answered = comes_to(&world, job.mention.id.as_str(), MentionState::Answered).await;
    assert_eq!(texts(&world), [answered.reply.expect("it was decided on")]);
    assert_eq!((together.asked().len(), world.jobs_of("publish_post").await.len()), (2, 1));
}

#[tokio::test]
async fn two_replies_that_say_the_same_at_once_do_not_both_go_out() {
    let together = Together::saying_at_once(&["Good luck!", "good luck"], 2).await;
    let world = told(&together, &[]).await;
    let jobs = [mentioned(&world, "@perch_bot one"), mentioned(&world, "@perch_bot two")];
    let (one, two) = (world.enqueue(&jobs[0]).await, world.enqueue(&jobs[1]).await);
    for id in [one, two] {
        world.ended(id).await;
    }
    for job in &jobs {
        comes_to(&world, job.mention.id.as_str(), MentionState::Answered).await;
    }
    let texts = texts(&world);
    let luck = texts.iter().filter(|text| text.to_lowercase().trim_end_matches('!') == "good luck").count();
    assert_eq!((texts.len(), luck, together.asked().len()), (2, 1, 3), "{texts:?}");
}
