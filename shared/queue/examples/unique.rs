//! At most one unfinished job for each unique key: a second enqueue returns the first job.
use perch_queue::{App, Job, Unique, UniqueScope};

#[derive(serde::Serialize, serde::Deserialize)]
struct Report {
    customer: u32,
}

impl Job for Report {
    const KIND: &'static str = "report";
    const QUEUE: &'static str = "reports";

    fn unique(&self) -> Option<Unique> {
        Some(Unique { key: format!("report:{}", self.customer), scope: UniqueScope::Done })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("REDIS_URL").unwrap_or("redis://127.0.0.1".into());
    let app = App::connect(url)?.on(async |report: Report| println!("a report for customer {}", report.customer));
    let client = app.client();
    for customer in [7, 7, 8] {
        let enqueued = client.enqueue(&Report { customer }).await?;
        println!("customer {customer}: {:?}", enqueued.acceptance);
    }
    Ok(app.run().await?)
}
