//! Hearing what others tell over Postgres (`LISTEN`).

use std::time::Duration;

use sqlx::{PgPool, postgres::PgListener};

use crate::StoreError;

/// The pause before a connection that broke is used again, so that a server that closes each at once is not asked all the time.
const PAUSE: Duration = Duration::from_secs(1);

/// A connection that hears what is told on one channel.
#[derive(Debug)]
pub struct Listener {
    inner: PgListener,
    doing: &'static str,
}

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// This was told.
    Told(String),
    /// Nothing in that time.
    Nothing,
    /// The connection broke and is there again; what was told in between was missed.
    Missed,
}

impl Listener {
    pub(crate) async fn connect(pool: &PgPool, channel: &str, doing: &'static str) -> Result<Self, StoreError> {
        let mut inner = PgListener::connect_with(pool).await.map_err(StoreError::on(doing))?;
        inner.listen(channel).await.map_err(StoreError::on(doing))?;
        Ok(Self { inner, doing })
    }

    /// Waits until something is told, at most so long. After an error this one is of no use any more: connect another after a
    /// pause.
    pub async fn heard(&mut self, most: Duration) -> Result<Heard, StoreError> {
        match tokio::time::timeout(most, self.inner.try_recv()).await {
            Err(_) => Ok(Heard::Nothing),
            Ok(Ok(Some(told))) => Ok(Heard::Told(told.payload().to_owned())),
            Ok(Ok(None)) => {
                tokio::time::sleep(PAUSE).await;
                Ok(Heard::Missed)
            }
            Ok(Err(error)) => Err(StoreError::sql(self.doing, error)),
        }
    }
}
