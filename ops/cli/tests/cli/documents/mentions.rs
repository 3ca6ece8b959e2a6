use super::sample::Sample;
use crate::world::World;

played! { "docs/mentions.md":
    a_mention_is_taken_as_the_page_on_mentions_writes_it("{\"account\": \"main\", \"mention\"");
}

async fn a_mention_is_taken_as_the_page_on_mentions_writes_it([mention]: [Sample; 1]) {
    let world = World::start().await;
    let job = world.json(&["enqueue", "reply_to_mention", &mention.text()]);
    let shown = world.json(&["jobs", "show", job["id"].as_str().expect("an id")]);
    let written: serde_json::Value = serde_json::from_str(&mention.text()).expect("JSON");
    assert_eq!(shown["envelope"]["payload"], written, "{shown}");
}
