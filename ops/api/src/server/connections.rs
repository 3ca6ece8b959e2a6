//! The open connections. When all slots are taken, a new connection closes another one: of those without a running request with a
//! key, the one on which no request has begun or ended for longest. Bytes of an incomplete request do not count, so half-sent
//! requests, idle connections and unread answers cannot lock out a client or a health check.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// All connections of one listener.
#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    open: Mutex<OpenConnections>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct OpenConnections {
    last: u64,
    connections: HashMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// When it was opened, or its last request began or ended.
    since: Instant,
    /// Running requests.
    requests: usize,
    /// Running requests with a key, until the last byte of their answer.
    keyed: usize,
    close: CancellationToken,
}

impl Connections {
    /// No connections yet; at most `most` later.
    pub fn new(most: usize) -> Self {
        Self { most, open: Mutex::default(), freed: Notify::new() }
    }

    fn open(&self) -> MutexGuard<'_, OpenConnections> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot for a new connection. Waits while every connection has a request with a key.
    pub async fn place(self: &Arc<Self>) -> ConnectionSlot {
        loop {
            let freed = self.freed.notified();
            if let Some(place) = self.take() {
                return place;
            }
            if !self.close_one() {
                freed.await;
            }
        }
    }

    fn take(self: &Arc<Self>) -> Option<ConnectionSlot> {
        let mut open = self.open();
        if open.connections.len() >= self.most {
            return None;
        }
        open.last += 1;
        let (id, closed) = (open.last, CancellationToken::new());
        let entry = Entry { since: Instant::now(), requests: 0, keyed: 0, close: closed.clone() };
        open.connections.insert(id, entry);
        let now_open = open.connections.len();
        drop(open);
        gauge(now_open);
        Some(ConnectionSlot { connection: Connection { all: self.clone(), id }, closed })
    }

    /// Closes the connection on which no request has begun or ended for longest. False when all have a running request with a key.
    pub fn close_one(&self) -> bool {
        let mut open = self.open();
        let free = open.connections.iter().filter(|(_, entry)| entry.keyed == 0);
        let Some((&id, _)) = free.min_by_key(|(_, entry)| entry.since) else { return false };
        if let Some(entry) = open.connections.remove(&id) {
            entry.close.cancel();
        }
        metrics::counter!("perch_http_connections_closed_total").increment(1);
        true
    }

    /// Closes every connection without a request.
    pub fn close_idle(&self) {
        for entry in self.open().connections.values().filter(|entry| entry.requests == 0 && entry.keyed == 0) {
            entry.close.cancel();
        }
    }

    fn change(&self, id: u64, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.open().connections.get_mut(&id) {
            change(entry);
        }
    }

    fn remove(&self, id: u64) {
        let mut open = self.open();
        open.connections.remove(&id);
        let now_open = open.connections.len();
        drop(open);
        gauge(now_open);
        self.freed.notify_one();
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and no process has 2^53 connections")]
fn gauge(open: usize) {
    metrics::gauge!("perch_http_connections").set(open as f64);
}

/// The slot of a connection. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    connection: Connection,
    closed: CancellationToken,
}

impl ConnectionSlot {
    pub fn connection(&self) -> Connection {
        self.connection.clone()
    }

    /// Waits until the connection must close: its slot was taken, or the process ends.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.connection.all.remove(self.connection.id);
    }
}

/// The connection of a request, in the extensions of each request.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    all: Arc<Connections>,
    id: u64,
}

impl Connection {
    /// Counts a running request until the returned guard is dropped.
    pub(super) fn request(&self) -> ActiveRequest {
        self.all.change(self.id, |entry| (entry.requests, entry.since) = (entry.requests + 1, Instant::now()));
        ActiveRequest { connection: self.clone(), is_keyed: false }
    }

    /// Keeps the connection open for a request with a key until the returned guard is dropped.
    pub fn keyed(&self) -> ActiveRequest {
        self.all.change(self.id, |entry| entry.keyed += 1);
        ActiveRequest { connection: self.clone(), is_keyed: true }
    }
}

/// A guard for a running request.
#[derive(Debug)]
pub(crate) struct ActiveRequest {
    connection: Connection,
    is_keyed: bool,
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let Connection { all, id } = &self.connection;
        all.change(*id, |entry| {
            let count = if self.is_keyed { &mut entry.keyed } else { &mut entry.requests };
            *count = count.saturating_sub(1);
            entry.since = Instant::now();
        });
        if self.is_keyed {
            // A waiting connection may take this slot.
            all.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[tokio::test]
    async fn a_new_connection_takes_the_place_of_the_one_that_was_still_for_longest() {
        let all = Arc::new(Connections::new(3));
        let (first, second, third) = (all.place().await, all.place().await, all.place().await);
        let busy = first.connection().keyed();
        let fourth = all.place().await;
        assert!(!first.closed.is_cancelled(), "it has a request of a key");
        assert!(second.closed.is_cancelled() && !third.closed.is_cancelled() && !fourth.closed.is_cancelled());
        drop(busy);
        let _fifth = all.place().await;
        assert!(third.closed.is_cancelled() && !first.closed.is_cancelled());
    }

    #[tokio::test]
    async fn while_every_connection_has_a_keyed_request_a_new_one_waits() {
        let all = Arc::new(Connections::new(1));
        let first = all.place().await;
        let busy = first.connection().keyed();
        let mut second = std::pin::pin!(all.place());
        assert!(futures::poll!(second.as_mut()).is_pending());
        drop(busy);
        second.await;
        assert!(first.closed.is_cancelled());
    }

    /// What a client does with a connection.
    #[derive(Debug, Clone)]
    enum ClientAction {
        Open,
        Ask(prop::sample::Index),
        Answered(prop::sample::Index),
        Leave(prop::sample::Index),
    }

    fn deed() -> impl Strategy<Value = ClientAction> {
        let one = any::<prop::sample::Index>;
        prop_oneof![
            Just(ClientAction::Open),
            one().prop_map(ClientAction::Ask),
            one().prop_map(ClientAction::Answered),
            one().prop_map(ClientAction::Leave)
        ]
    }

    proptest! {
        #[test]
        fn whatever_clients_do_there_are_never_more_and_none_with_a_keyed_request_is_closed(
            most in 1..5_usize,
            deeds in prop::collection::vec(deed(), 1..60),
        ) {
            let all = Arc::new(Connections::new(most));
            let mut open: Vec<(ConnectionSlot, Vec<ActiveRequest>)> = Vec::new();
            for deed in deeds {
                match deed {
                    ClientAction::Open => match all.take().or_else(|| all.close_one().then(|| all.take()).flatten()) {
                        Some(place) => open.push((place, Vec::new())),
                        None => prop_assert!(open.iter().filter(|(_, asked)| !asked.is_empty()).count() == most),
                    },
                    _ if open.is_empty() => {}
                    ClientAction::Ask(one) => {
                        let at = one.index(open.len());
                        let (place, asked) = &mut open[at];
                        if !place.closed.is_cancelled() {
                            asked.push(place.connection().keyed());
                        }
                    }
                    ClientAction::Answered(one) => {
                        let at = one.index(open.len());
                        open[at].1.pop();
                    }
                    ClientAction::Leave(one) => {
                        let at = one.index(open.len());
                        open.swap_remove(at);
                    }
                }
                let alive = open.iter().filter(|(place, _)| !place.closed.is_cancelled()).count();
                prop_assert!(alive <= most && all.open().connections.len() <= most);
                let closed = open.iter().filter(|(place, _)| place.closed.is_cancelled());
                prop_assert!(closed.into_iter().all(|(_, asked)| asked.is_empty()));
            }
        }
    }

    #[tokio::test]
    async fn at_the_end_only_connections_without_a_request_are_closed() {
        let all = Arc::new(Connections::new(3));
        let (idle, asked, keyed) = (all.place().await, all.place().await, all.place().await);
        let _under_way = (asked.connection().request(), keyed.connection().keyed());
        all.close_idle();
        let closed = [&idle, &asked, &keyed].map(|place| place.closed.is_cancelled());
        assert_eq!(closed, [true, false, false]);
    }
}
