//! Hearing what others tell over Postgres (`LISTEN`).

use std::{
    future::pending,
    time::{Duration, Instant},
};

use sqlx::postgres::{PgListener, PgPoolOptions};

use crate::{Store, StoreError, pool::Pool};

/// The pause before a session that broke is made again, so that a server that ends each at once is not asked all the time.
const PAUSE: Duration = Duration::from_secs(5);

/// Hears of what is told on one channel. A session of its own is needed for that, and made again when it breaks; while there is
/// none, because only a pooler in transaction mode can be reached, nothing is heard.
#[derive(Debug)]
pub struct Listener {
    sessions: Option<Pool>,
    channel: &'static str,
    doing: &'static str,
    open: Option<Open>,
}

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// This was told.
    Told(String),
    /// Nothing in that time.
    Nothing,
    /// There was no session for a while, and there is one again; what was told in between was missed.
    Missed,
}

#[derive(Debug)]
struct Open {
    session: PgListener,
    since: Instant,
}

impl Listener {
    /// Listens from now on, where it can.
    pub(crate) async fn on(store: &Store, channel: &'static str, doing: &'static str) -> Self {
        let mut listener = Self { sessions: store.sessions.clone(), channel, doing, open: None };
        if let Some(sessions) = listener.sessions.clone() {
            if let Err(error) = listener.connect(&sessions).await {
                listener.lost(&error);
            }
        } else {
            tracing::info!(
                channel,
                "notifications do not come by way of this pooler, and what they tell is looked for every few seconds; \
                 DATABASE_SESSION_URL lets it be heard of at once"
            );
        }
        listener
    }

    /// Waits until something is told, at most so long.
    pub async fn heard(&mut self, most: Duration) -> Heard {
        tokio::time::timeout(most, self.next()).await.unwrap_or(Heard::Nothing)
    }

    async fn next(&mut self) -> Heard {
        let Some(sessions) = self.sessions.clone() else { return pending().await };
        // A session with a former primary stays open and hears nothing any more.
        if self.open.as_ref().is_some_and(|open| sessions.has_given_up(open.since)) {
            self.open = None;
        }
        let told = match &mut self.open {
            Some(open) => open.session.try_recv().await.map_err(StoreError::on(self.doing)),
            None => Ok(None),
        };
        match told {
            Ok(Some(told)) => return Heard::Told(told.payload().to_owned()),
            Ok(None) => match self.connect(&sessions).await {
                Ok(()) => return Heard::Missed,
                Err(error) => self.lost(&error),
            },
            Err(error) => self.lost(&error),
        }
        tokio::time::sleep(PAUSE).await;
        Heard::Nothing
    }

    fn lost(&mut self, error: &StoreError) {
        tracing::warn!(%error, channel = self.channel, "notifications are not heard; what they tell is looked for every few seconds");
        self.open = None;
    }

    async fn connect(&mut self, sessions: &Pool) -> Result<(), StoreError> {
        let since = Instant::now();
        let kept = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let pool = kept.connect_with(sessions.options().clone()).await.map_err(StoreError::on(self.doing))?;
        let mut session = PgListener::connect_with(&pool).await.map_err(StoreError::on(self.doing))?;
        session.listen(self.channel).await.map_err(StoreError::on(self.doing))?;
        self.open = Some(Open { session, since });
        Ok(())
    }
}
