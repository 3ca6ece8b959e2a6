//! A job enqueued in a database transaction: it exists only if the transaction commits. Postgres stores it, and a relay hands it
//! to Redis.
use std::time::Duration;

use perch_base::Environment;
use perch_core::relay;
use perch_queue::{App, Job, settings::PostgresSettings};
use perch_store::Store;
use tokio_util::sync::CancellationToken;

#[derive(serde::Serialize, serde::Deserialize)]
struct Paid {
    order: u32,
}

impl Job for Paid {
    const KIND: &'static str = "paid";
    const QUEUE: &'static str = "orders";
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let redis = std::env::var("REDIS_URL").unwrap_or("redis://127.0.0.1".into());
    let postgres = std::env::var("DATABASE_URL")?;
    let store = Store::connect_lazy(&postgres.clone().into(), Environment::Staging, &PostgresSettings::default())?;
    store.migrate(|_| ()).await?;
    let app = App::connect(redis)?.on(async |paid: Paid| println!("order {} is paid", paid.order));
    let client = app.client();
    store.outbox().register(client.queues().types(), 1_000, Duration::from_secs(60)).await?;
    tokio::spawn(relay::run(store, client, CancellationToken::new()));

    let pool = sqlx::PgPool::connect(&postgres).await?;
    for (order, commits) in [(1, false), (2, true)] {
        let mut transaction = pool.begin().await?;
        let payload = serde_json::json!({ "order": order }).to_string();
        sqlx::query("select perch_enqueue('paid', $1::json)").bind(payload).execute(&mut *transaction).await?;
        if commits { transaction.commit().await? } else { transaction.rollback().await? }
    }
    Ok(app.run().await?)
}
