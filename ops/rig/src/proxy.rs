//! A TCP proxy that delays, holds or drops bytes on request.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

use crate::error::RigError;

/// How a proxy treats the bytes that it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// Forwards them at once.
    Normal,
    /// Forwards them after this delay.
    Slow(Duration),
    /// Holds them until the state changes, like a network that stalls for a while.
    Held,
    /// Drops bytes in this direction: the connection looks open and is dead. It is reset when the state changes.
    Swallowed(Direction),
}

/// Directions through a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Both.
    Both,
    /// Requests do not arrive.
    ToServer,
    /// Requests arrive, and the answers do not.
    ToClient,
}

impl Direction {
    fn include(self, other: Self) -> bool {
        self == Self::Both || self == other
    }
}

/// A proxy to one server for one process.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    state: watch::Sender<LinkState>,
    resets: watch::Sender<u64>,
    target: Arc<AtomicU16>,
    listening: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port for connections to `port` of this machine.
    pub async fn start(target: u16) -> Result<Self, RigError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(RigError::io("open a proxy"))?;
        let port = listener.local_addr().map_err(RigError::io("open a proxy"))?.port();
        let (state, _) = watch::channel(LinkState::Normal);
        let (resets, _) = watch::channel(0);
        let target = Arc::new(AtomicU16::new(target));
        let listening = tokio::spawn(listen(listener, target.clone(), state.clone(), resets.clone()));
        Ok(Self { port, state, resets, target, listening })
    }

    /// Where it listens on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sends new connections to another port of this machine.
    pub fn aim(&self, target: u16) {
        self.target.store(target, Ordering::Release);
    }

    /// Sets the state of all connections.
    pub fn set(&self, state: LinkState) {
        self.state.send_replace(state);
    }

    /// Resets every connection.
    pub fn reset(&self) {
        self.resets.send_modify(|n| *n += 1);
    }
}

/// The links of a process to its servers.
#[derive(Debug)]
pub struct ServerLinks {
    /// To Redis.
    pub redis: Proxy,
    /// To Postgres.
    pub postgres: Proxy,
}

impl ServerLinks {
    /// Opens links to servers on these ports.
    pub async fn start(redis: u16, postgres: u16) -> Result<Self, RigError> {
        Ok(Self { redis: Proxy::start(redis).await?, postgres: Proxy::start(postgres).await? })
    }

    /// The URL of Redis through its proxy.
    pub fn redis_url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.redis.port())
    }

    /// The URL of Postgres through its proxy.
    pub fn database_url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/perch", self.postgres.port())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(
    listener: TcpListener,
    target: Arc<AtomicU16>,
    state: watch::Sender<LinkState>,
    resets: watch::Sender<u64>,
) {
    while let Ok((client, _)) = listener.accept().await {
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, target.load(Ordering::Acquire)));
        tokio::spawn(carry(client, target, state.subscribe(), resets.subscribe()));
    }
}

async fn carry(
    client: TcpStream,
    target: SocketAddr,
    state: watch::Receiver<LinkState>,
    mut resets: watch::Receiver<u64>,
) {
    let Ok(server) = TcpStream::connect(target).await else {
        let _ = client.set_zero_linger();
        return;
    };
    // A reset, not an orderly close: the other end must notice that the connection was cut.
    for end in [&client, &server] {
        let _ = end.set_nodelay(true);
        let _ = end.set_zero_linger();
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(Direction::ToServer, from_client, to_server, state.clone()) => {}
        () = pump(Direction::ToClient, from_server, to_client, state) => {}
        _ = resets.changed() => {}
    }
}

/// Carries bytes in one direction until either end is gone, or the state is normal again after bytes were dropped.
async fn pump(
    direction: Direction,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<LinkState>,
) {
    let swallows = |state: LinkState| matches!(state, LinkState::Swallowed(dropped) if dropped.include(direction));
    let mut bytes = vec![0; 16 * 1024];
    let mut swallowed = false;
    loop {
        let read = tokio::select! {
            read = from.read(&mut bytes) => read,
            changed = state.changed() => {
                if changed.is_err() || (swallowed && !swallows(*state.borrow())) {
                    return;
                }
                continue;
            }
        };
        let Ok(n @ 1..) = read else { return };
        let now = *state.borrow_and_update();
        match now {
            LinkState::Slow(by) => tokio::time::sleep(by).await,
            LinkState::Held => {
                if state.wait_for(|w| *w != LinkState::Held).await.is_err() {
                    return;
                }
            }
            LinkState::Swallowed(_) if swallows(now) => {
                swallowed = true;
                continue;
            }
            LinkState::Normal | LinkState::Swallowed(_) => {}
        }
        if swallowed || to.write_all(&bytes[..n]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("a port").port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        port
    }

    async fn said_back(stream: &mut TcpStream) -> std::io::Result<[u8; 4]> {
        let mut answer = [0; 4];
        stream.write_all(b"ping").await?;
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn a_normal_link_carries_everything_until_a_reset() {
        let proxy = Proxy::start(echo().await).await.expect("it listens");
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await.expect("it accepts");
        assert_eq!(&said_back(&mut stream).await.expect("an answer"), b"ping");
        proxy.reset();
        assert!(stream.read_exact(&mut [0; 1]).await.is_err());
    }

    #[tokio::test]
    async fn held_bytes_arrive_when_the_link_is_normal_again() {
        let proxy = Proxy::start(echo().await).await.expect("it listens");
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await.expect("it accepts");
        proxy.set(LinkState::Held);
        stream.write_all(b"late").await.expect("it is taken");
        let mut answer = [0; 4];
        let early = tokio::time::timeout(Duration::from_millis(100), stream.read_exact(&mut answer)).await;
        assert!(early.is_err());
        proxy.set(LinkState::Normal);
        stream.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer, b"late");
    }

    #[tokio::test]
    async fn a_connection_that_lost_bytes_is_reset_when_the_link_is_normal_again() {
        for direction in [Direction::Both, Direction::ToServer, Direction::ToClient] {
            loses_bytes(direction).await;
        }
    }

    async fn loses_bytes(direction: Direction) {
        let proxy = Proxy::start(echo().await).await.expect("it listens");
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await.expect("it accepts");
        assert_eq!(&said_back(&mut stream).await.expect("an answer"), b"ping");
        proxy.set(LinkState::Swallowed(direction));
        stream.write_all(b"gone").await.expect("it is taken");
        let early = tokio::time::timeout(Duration::from_millis(100), stream.read_exact(&mut [0; 1])).await;
        assert!(early.is_err());
        proxy.set(LinkState::Normal);
        assert!(stream.read_exact(&mut [0; 1]).await.is_err());
    }
}
