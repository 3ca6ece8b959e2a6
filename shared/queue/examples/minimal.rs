//! A job, its handler, and a worker that runs until it is interrupted.
use perch_queue::{App, Job};

#[derive(serde::Serialize, serde::Deserialize)]
struct Hello(String);
impl Job for Hello {
    const KIND: &'static str = "hello";
    const QUEUE: &'static str = "greetings";
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("REDIS_URL").unwrap_or("redis://127.0.0.1".into());
    let app = App::connect(url)?.on(async |hello: Hello| println!("Hello, {}!", hello.0));
    app.client().enqueue(&Hello("world".into())).await?;
    Ok(app.run().await?)
}
