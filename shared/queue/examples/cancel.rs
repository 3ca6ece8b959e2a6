//! A running job is cancelled, and stops at a point of its choice.
use perch_queue::{
    App, Fail, Job,
    worker::{HandlerResult, JobContext},
};

#[derive(serde::Serialize, serde::Deserialize)]
struct Watch {}

impl Job for Watch {
    const KIND: &'static str = "watch";
    const QUEUE: &'static str = "watches";
}

async fn watch(_: Watch, cx: JobContext) -> HandlerResult {
    let queue = cx.client().queues().get(cx.queue()).expect("it came from there").clone();
    let id = cx.id();
    // Any process can cancel it, and so can the HTTP API and `perch jobs cancel`.
    tokio::spawn(async move { queue.cancel(id, "example", "seen enough").await });
    cx.cancellation().cancelled().await;
    println!("told to stop");
    Err(Fail::Cancelled("stopped watching".into()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("REDIS_URL").unwrap_or("redis://127.0.0.1".into());
    let app = App::connect(url)?.on(watch);
    app.client().enqueue(&Watch {}).await?;
    Ok(app.run().await?)
}
