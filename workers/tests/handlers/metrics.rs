use perch_jobs::{CollectMetrics, PostId};
use perch_sandbox::Endpoint;
use serde_json::json;

use crate::world::{CHATTER, SALLY, World};

#[tokio::test]
async fn metrics_are_read_in_one_call_and_a_post_that_is_gone_is_no_failure() {
    let world = World::start().await;
    let ids: Vec<PostId> = (0..3).map(|_| world.x.publish(SALLY, CHATTER).parse().expect("an id")).collect();
    let gone: PostId = "1234".parse().expect("an id");
    let asked = ids.iter().cloned().chain([gone]).collect();
    let job = world.done(&CollectMetrics { post_ids: asked, account: None }).await;
    assert_eq!(job.result, Some(json!({ "read": 3, "gone": ["1234"] })));
    assert_eq!(world.x.calls(Endpoint::Posts), 1);
    world.sync().await;
    for id in &ids {
        let series = world.store.performance().series(id, 10).await.expect("Postgres answers");
        assert_eq!(series.len(), 1);
        assert!(series[0].impressions.is_some());
    }
}

#[tokio::test]
async fn each_reading_adds_a_point_to_the_series() {
    let world = World::start().await;
    let id: PostId = world.x.publish(SALLY, CHATTER).parse().expect("an id");
    for _ in 0..2 {
        world.done(&CollectMetrics { post_ids: vec![id.clone()], account: None }).await;
    }
    world.sync().await;
    let series = world.store.performance().series(&id, 10).await.expect("Postgres answers");
    assert_eq!(series.len(), 2);
    assert!(series[0].likes <= series[1].likes);
}
