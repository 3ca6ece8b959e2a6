//! Limits over all processes: one job of a customer at a time, and a rate of starts.
use std::time::Duration;

use perch_queue::{
    App, Job,
    settings::{QueueSettings, Rate},
};

#[derive(serde::Serialize, serde::Deserialize)]
struct Order {
    customer: u32,
    number: u32,
}

impl Job for Order {
    const KIND: &'static str = "order";
    const QUEUE: &'static str = "orders";

    fn group(&self) -> Option<String> {
        Some(format!("customer:{}", self.customer))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("REDIS_URL").unwrap_or("redis://127.0.0.1".into());
    let rate = Some(Rate { count: 20, per: Duration::from_secs(1) });
    let orders = QueueSettings { group_concurrency: 1, rate, ..QueueSettings::default() };
    let app = App::connect(url)?
        .queue("orders", orders)?
        .on(async |order: Order| println!("order {} of customer {}", order.number, order.customer));
    for number in 1..=3 {
        app.client().enqueue(&Order { customer: 7, number }).await?;
    }
    Ok(app.run().await?)
}
