//! Follows the events of the jobs of a queue.
use std::time::Duration;

use perch_queue::{App, EntryId, Job, Subscription};

#[derive(serde::Serialize, serde::Deserialize)]
struct Step(u32);

impl Job for Step {
    const KIND: &'static str = "step";
    const QUEUE: &'static str = "steps";
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("REDIS_URL").unwrap_or("redis://127.0.0.1".into());
    let app = App::connect(url)?.on(async |_: Step| ());
    let client = app.client();
    let queue = client.queues().iter().next().ok_or("there is one")?.clone();
    let mut events = Subscription::new(&queue, Some(EntryId::default()));
    tokio::spawn(async move {
        while let Ok(happened) = events.next(Duration::from_secs(1)).await {
            for event in happened {
                println!("{}", event.kind.as_str());
            }
        }
    });
    client.enqueue(&Step(1)).await?;
    Ok(app.run().await?)
}
