//! Receiving notifications of Postgres (`LISTEN`).

use std::{
    future::pending,
    time::{Duration, Instant},
};

use sqlx::postgres::{PgListener, PgPoolOptions};

use crate::{Store, StoreError, connection::limited, pool::Pool};

/// The pause before a broken session is opened again, so that a server that ends every session at once is not flooded.
const PAUSE: Duration = Duration::from_secs(5);
/// A session without notifications for this long is pinged: a network that drops packets and a server that hangs are as silent as
/// one without notifications.
const QUIET: Duration = Duration::from_secs(30);
/// How long a ping may take, and opening a new session.
const PATIENCE: Duration = Duration::from_secs(2);

/// Receives the notifications of one channel. It needs a session of its own, which is opened again when it breaks. When only a
/// pooler in transaction mode can be reached there is no session, and no notification is received.
#[derive(Debug)]
pub struct Listener {
    sessions: Option<Pool>,
    channel: &'static str,
    doing: &'static str,
    open: Option<ListenSession>,
}

/// The result of waiting for a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notification {
    /// A notification with this payload.
    Received(String),
    /// None in that time.
    Timeout,
    /// The session was lost and there is a new one; notifications in between were missed.
    Missed,
}

#[derive(Debug)]
struct ListenSession {
    session: PgListener,
    since: Instant,
    /// When the server last answered.
    alive: Instant,
}

impl ListenSession {
    async fn check_alive(&mut self) -> Result<(), sqlx::Error> {
        if self.alive.elapsed() > QUIET {
            limited(Some(PATIENCE), sqlx::raw_sql("select 1").execute(&mut self.session)).await?;
            self.alive = Instant::now();
        }
        Ok(())
    }

    async fn recv(&mut self) -> Result<Option<String>, sqlx::Error> {
        self.check_alive().await?;
        let notification = self.session.try_recv().await?;
        self.alive = Instant::now();
        Ok(notification.map(|notification| notification.payload().to_owned()))
    }
}

impl Listener {
    /// Listens from now on, where a session is possible.
    pub(crate) async fn listen(store: &Store, channel: &'static str, doing: &'static str) -> Self {
        let mut listener = Self { sessions: store.sessions.clone(), channel, doing, open: None };
        if let Some(sessions) = listener.sessions.clone() {
            if let Err(error) = listener.connect(&sessions).await {
                listener.lost(&error);
            }
        } else {
            tracing::info!(
                channel,
                "notifications do not pass this pooler, so changes are polled for every few seconds; with \
                 DATABASE_SESSION_URL they are noticed at once"
            );
        }
        listener
    }

    /// Waits for the next notification, at most for `most`.
    pub async fn next(&mut self, most: Duration) -> Notification {
        tokio::time::timeout(most, self.receive()).await.unwrap_or(Notification::Timeout)
    }

    async fn receive(&mut self) -> Notification {
        let Some(sessions) = self.sessions.clone() else { return pending().await };
        // A session with a former primary stays open and receives nothing any more.
        if self.open.as_ref().is_some_and(|open| sessions.has_retired(open.since)) {
            self.open = None;
        }
        let received = match &mut self.open {
            Some(open) => open.recv().await.map_err(StoreError::on(self.doing)),
            None => Ok(None),
        };
        match received {
            Ok(Some(payload)) => return Notification::Received(payload),
            Ok(None) => match self.connect(&sessions).await {
                Ok(()) => return Notification::Missed,
                Err(error) => self.lost(&error),
            },
            Err(error) => self.lost(&error),
        }
        tokio::time::sleep(PAUSE).await;
        Notification::Timeout
    }

    fn lost(&mut self, error: &StoreError) {
        tracing::warn!(%error, channel = self.channel, "notifications cannot be received; changes are polled for every few seconds");
        self.open = None;
    }

    async fn connect(&mut self, sessions: &Pool) -> Result<(), StoreError> {
        let since = Instant::now();
        let session = limited(Some(PATIENCE), self.session(sessions)).await.map_err(StoreError::on(self.doing))?;
        self.open = Some(ListenSession { session, since, alive: since });
        Ok(())
    }

    async fn session(&self, sessions: &Pool) -> Result<PgListener, sqlx::Error> {
        let kept = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let pool = kept.connect_with(sessions.options().clone()).await?;
        let mut session = PgListener::connect_with(&pool).await?;
        session.listen(self.channel).await?;
        Ok(session)
    }
}

#[cfg(test)]
mod tests {
    use perch_base::Environment;
    use perch_testkit::{TestDatabase, postgres_settings};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_session_that_was_quiet_and_does_not_answer_is_made_again_and_what_was_told_counts_as_missed() {
        let database = TestDatabase::create().await;
        let (gate, url) = database.gated().await;
        let store = Store::connect_lazy(&url, Environment::Staging, &postgres_settings()).expect("a Postgres URL");
        let mut listener = store.outbox().listen().await;
        let open = listener.open.as_mut().expect("Postgres answers");
        open.alive = Instant::now().checked_sub(2 * QUIET).expect("the machine has been up for a minute");
        // The delay makes the ping seem lost; afterwards a new session can be opened.
        let before = gate.trips();
        gate.set_delay(Duration::from_secs(600));
        let swallowed = async {
            let mut pace = tokio::time::interval(Duration::from_millis(50));
            pace.tick().await;
            while gate.trips() == before {
                pace.tick().await;
            }
            // It is counted before its delay is looked up.
            pace.tick().await;
            gate.set_delay(Duration::ZERO);
        };
        // The first call returns once the session was lost, the second once there is a new one.
        let heard = async { [listener.next(PAUSE * 6).await, listener.next(PAUSE * 6).await] };
        tokio::pin!(heard);
        let heard = tokio::select! {
            heard = &mut heard => heard,
            () = swallowed => heard.await,
        };
        assert_eq!(heard, [Notification::Timeout, Notification::Missed]);
    }
}
