//! Priorities. Low jobs never starve: each list gets at least one of twenty starts.
use perch_queue::{App, EnqueueOptions, Job, Priority, settings::QueueSettings};

#[derive(serde::Serialize, serde::Deserialize)]
struct Letter(String);

impl Job for Letter {
    const KIND: &'static str = "letter";
    const QUEUE: &'static str = "post";
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("REDIS_URL").unwrap_or("redis://127.0.0.1".into());
    let one_at_a_time = QueueSettings { concurrency: 1, ..QueueSettings::default() };
    let app = App::connect(url)?.queue("post", one_at_a_time)?.on(async |letter: Letter| println!("{}", letter.0));
    for (text, priority) in [("a card", Priority::Low), ("a letter", Priority::Normal), ("a telegram", Priority::High)]
    {
        let options = EnqueueOptions { priority: Some(priority), ..EnqueueOptions::default() };
        app.client().enqueue_with(&Letter(text.into()), options).await?;
    }
    Ok(app.run().await?)
}
