use perch_workers::bots;
use serde_json::json;

use super::{sample::Sample, stage::Stage};
use crate::world::World;

played! { "docs/ledger.md":
    a_backup_is_checked_as_the_page_on_the_ledger_prints_it("$ perch backup check");
}

async fn a_backup_is_checked_as_the_page_on_the_ledger_prints_it([check]: [Sample; 1]) {
    let redis = perch_testkit::OwnRedis::start().await;
    let world = World {
        redis: perch_testkit::TestRedis::at(&redis.url()),
        database: perch_testkit::TestDatabase::of(|store| bots().store(store)).await,
    };
    for n in 0..12 {
        let payload = json!({ "account": "main", "text": format!("Hello {n}") }).to_string();
        world.run(&["enqueue", "publish_post", &payload]).went_well();
    }
    world.sync().await;
    Stage::of(&world).play(&check);
}
