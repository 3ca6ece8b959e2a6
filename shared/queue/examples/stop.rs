//! A shutdown loses nothing: running jobs may finish, and jobs that were not started are released to other workers.
use std::time::Duration;

use perch_queue::{App, Job, settings::EngineSettings};
use tokio_util::sync::CancellationToken;

#[derive(serde::Serialize, serde::Deserialize)]
struct Upload {}

impl Job for Upload {
    const KIND: &'static str = "upload";
    const QUEUE: &'static str = "uploads";
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("REDIS_URL").unwrap_or("redis://127.0.0.1".into());
    let stop = CancellationToken::new();
    let started = stop.clone();
    let engine = EngineSettings { shutdown_grace: Duration::from_secs(10), ..EngineSettings::default() };
    let app = App::connect(url)?.engine(engine).on(move |_: Upload| {
        let started = started.clone();
        async move {
            println!("uploading");
            // Usually that is a signal: `App::run` stops by itself on SIGINT and SIGTERM.
            started.cancel();
            tokio::time::sleep(Duration::from_millis(500)).await;
            println!("uploaded");
        }
    });
    app.client().enqueue(&Upload {}).await?;
    app.run_until(stop).await?;
    println!("stopped");
    Ok(())
}
