//! A thread whose worker dies between its parts: the next worker goes on at the first part that is not out, and each part is made once.

use crate::{
    at_each,
    stage::{Stage, comes_true},
};

pub const OF_A_THREAD: [&str; 2] = ["thread.part", "thread.deleted"];

const PARTS: [&str; 3] = ["Rye wants a cold night.", "The stone wants an hour.", "That is all there is to it."];
/// X takes no text twice.
const REFUSED: [&str; 3] = [PARTS[0], PARTS[1], PARTS[0]];

fn enqueue(stage: &Stage, parts: &[&str]) {
    let payload = serde_json::json!({ "account": "main", "parts": parts, "effect_key": "story", "half": "delete" });
    stage.world.run(&["enqueue", "publish_thread", &payload.to_string()]).went_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_its_worker_dies_each_part_of_a_thread_is_made_once_under_the_one_before_it() {
    let publishing =
        ["publish.claimed:2", "publish.after_call:2", "publish.confirmed:3", "thread.part", "thread.part:2"];
    at_each(&publishing, |point| async move {
        let stage = Stage::start().await;
        enqueue(&stage, &PARTS);
        stage.run(&["worker"], Some(point)).dies(point).await;
        let _worker = stage.run(&["worker"], None);
        comes_true(&format!("{point}: the thread is out"), || async { stage.left("pending_posts").await == 0 }).await;
        let made = stage.sandbox.state().made();
        assert_eq!(made.iter().map(|post| post.text.as_str()).collect::<Vec<_>>(), PARTS, "{point}");
        for two in made.windows(2) {
            assert_eq!(two[1].reply_to.as_deref(), Some(two[0].id.as_str()), "{point}");
        }
        assert_eq!(stage.count("select count(*) from effects where state = 'confirmed'").await, 3, "{point}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_its_worker_dies_the_parts_of_a_half_thread_are_deleted_once() {
    at_each(&["thread.deleted", "thread.deleted:2"], |point| async move {
        let stage = Stage::start().await;
        enqueue(&stage, &REFUSED);
        stage.run(&["worker"], Some(point)).dies(point).await;
        let _worker = stage.run(&["worker"], None);
        comes_true(&format!("{point}: it is a dead letter"), || async {
            stage.world.queue("pending_posts").stats().await.expect("Redis answers").dead == 1
        })
        .await;
        let made = stage.sandbox.state().made();
        assert_eq!((made.len(), made.iter().filter(|post| post.deleted).count()), (2, 2), "{point}: {made:?}");
        let deletions = "select count(*) from effects where kind = 'deletion' and state = 'confirmed'";
        assert_eq!(stage.count(deletions).await, 2, "{point}");
    })
    .await;
}
