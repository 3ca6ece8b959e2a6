//! Notifications of Postgres.

use std::{
    future::pending,
    time::{Duration, Instant},
};

use sqlx::postgres::PgListener;

use crate::{Store, StoreError, pool::Pool};

/// Hears of what is told on one channel. A session of its own is needed for that, and made again when it breaks; while there is
/// none, because only a pooler in transaction mode can be reached, nothing is heard.
#[derive(Debug)]
pub struct Listener {
    sessions: Option<Pool>,
    channel: &'static str,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    session: PgListener,
    since: Instant,
}

const DOING: &str = "listen for new jobs";

impl Listener {
    pub(crate) async fn on(store: &Store, channel: &'static str) -> Self {
        let mut listener = Self { sessions: store.sessions.clone(), channel, open: None };
        let Some(sessions) = store.sessions.clone() else {
            tracing::info!(
                "new jobs are looked for every few seconds; DATABASE_SESSION_URL lets them be heard of at once"
            );
            return listener;
        };
        if let Err(error) = listener.connect(&sessions).await {
            tracing::warn!(%error, "new jobs are not heard of; they are looked for every few seconds");
        }
        listener
    }

    /// Returns when something was told, or may have been while nothing was heard; after `most` at the latest.
    pub async fn wait(&mut self, most: Duration) {
        let _ = tokio::time::timeout(most, self.heard()).await;
    }

    async fn heard(&mut self) {
        let Some(sessions) = self.sessions.clone() else { return pending().await };
        // A session with a former primary stays open and hears nothing any more.
        if self.open.as_ref().is_some_and(|open| sessions.has_given_up(open.since)) {
            self.open = None;
        }
        let heard = match &mut self.open {
            Some(open) => open.session.recv().await.map(|_| ()).map_err(StoreError::on(DOING)),
            None => self.connect(&sessions).await,
        };
        if let Err(error) = heard {
            tracing::warn!(%error, "new jobs are not heard of; they are looked for every few seconds");
            self.open = None;
            pending::<()>().await;
        }
    }

    async fn connect(&mut self, sessions: &Pool) -> Result<(), StoreError> {
        let since = Instant::now();
        let mut session = PgListener::connect_with(sessions.sessions()).await.map_err(StoreError::on(DOING))?;
        session.listen(self.channel).await.map_err(StoreError::on(DOING))?;
        self.open = Some(Open { session, since });
        Ok(())
    }
}
