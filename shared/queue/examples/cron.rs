//! A cron entry: any number of processes may run it, and each tick fires once.
use perch_queue::{
    App, CronEntry, Job,
    settings::{CatchUp, CronSettings, Overlap},
};
use tokio_util::sync::CancellationToken;

#[derive(serde::Serialize, serde::Deserialize)]
struct Tick {}

impl Job for Tick {
    const KIND: &'static str = "tick";
    const QUEUE: &'static str = "ticks";
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("REDIS_URL").unwrap_or("redis://127.0.0.1".into());
    let app = App::connect(url)?.on(async |_: Tick| println!("tick"));
    let every_second = CronSettings {
        schedule: "* * * * * *".into(),
        timezone: chrono_tz::UTC,
        kind: Tick::KIND.parse()?,
        payload: serde_json::json!({}),
        overlap: Overlap::Skip,
        catch_up: CatchUp::Latest,
        enabled: true,
    };
    let entry = CronEntry::new("every-second", &every_second, &app.client())?;
    tokio::spawn(entry.run(CancellationToken::new()));
    Ok(app.run().await?)
}
