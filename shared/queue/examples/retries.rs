//! A failed job is retried with growing delays, and goes to the dead letters after its last attempt.
use std::time::Duration;

use perch_queue::{
    App, Fail, Job, RetryPolicy,
    worker::{HandlerResult, JobContext},
};

#[derive(serde::Serialize, serde::Deserialize)]
struct Call {
    fails: u32,
}

impl Job for Call {
    const KIND: &'static str = "call";
    const QUEUE: &'static str = "calls";
    const RETRY: RetryPolicy = RetryPolicy::new(3, Duration::from_millis(50), Duration::from_secs(1));
}

async fn call(job: Call, cx: JobContext) -> HandlerResult {
    println!("attempt {} of {}", cx.attempt(), cx.max_attempts());
    if cx.attempt() <= job.fails {
        return Err(Fail::Retry("nobody answers".into()));
    }
    println!("somebody answers");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("REDIS_URL").unwrap_or("redis://127.0.0.1".into());
    let app = App::connect(url)?.on(call);
    app.client().enqueue(&Call { fails: 2 }).await?;
    Ok(app.run().await?)
}
