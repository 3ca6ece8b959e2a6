//! A TCP proxy that goes wrong on request.

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

/// What the proxy does with what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Passes it on.
    Fair,
    /// Passes it on so much later.
    Slow(Duration),
    /// Keeps it until the weather changes, as a network does that lost its way for a while.
    Held,
    /// Swallows what goes these ways: the connection looks open and is dead. It is reset when the weather changes.
    Swallowed(Ways),
}

/// Ways through a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ways {
    /// Both.
    Both,
    /// What is asked does not arrive.
    ToServer,
    /// What is asked arrives, and the answers do not.
    ToClient,
}

impl Ways {
    fn include(self, way: Self) -> bool {
        self == Self::Both || self == way
    }
}

/// A proxy to one server for one process.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    weather: watch::Sender<Weather>,
    resets: watch::Sender<u64>,
    target: Arc<AtomicU16>,
    listening: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port for connections to `port` of this machine.
    pub async fn start(target: u16) -> Result<Self, RigError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(RigError::io("open a proxy"))?;
        let port = listener.local_addr().map_err(RigError::io("open a proxy"))?.port();
        let (weather, _) = watch::channel(Weather::Fair);
        let (resets, _) = watch::channel(0);
        let target = Arc::new(AtomicU16::new(target));
        let listening = tokio::spawn(listen(listener, target.clone(), weather.clone(), resets.clone()));
        Ok(Self { port, weather, resets, target, listening })
    }

    /// Where it listens on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// New connections lead to another port of this machine.
    pub fn aim(&self, target: u16) {
        self.target.store(target, Ordering::Release);
    }

    /// Changes the weather for all connections.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Resets every connection.
    pub fn reset(&self) {
        self.resets.send_modify(|n| *n += 1);
    }
}

/// The ways of a process to its servers.
#[derive(Debug)]
pub struct Lines {
    /// To Redis.
    pub redis: Proxy,
    /// To Postgres.
    pub postgres: Proxy,
}

impl Lines {
    /// To these ports.
    pub async fn start(redis: u16, postgres: u16) -> Result<Self, RigError> {
        Ok(Self { redis: Proxy::start(redis).await?, postgres: Proxy::start(postgres).await? })
    }

    /// Where Redis is for whoever uses them.
    pub fn redis_url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.redis.port())
    }

    /// Where Postgres is for whoever uses them.
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
    weather: watch::Sender<Weather>,
    resets: watch::Sender<u64>,
) {
    while let Ok((client, _)) = listener.accept().await {
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, target.load(Ordering::Acquire)));
        tokio::spawn(carry(client, target, weather.subscribe(), resets.subscribe()));
    }
}

async fn carry(
    client: TcpStream,
    target: SocketAddr,
    weather: watch::Receiver<Weather>,
    mut resets: watch::Receiver<u64>,
) {
    let Ok(server) = TcpStream::connect(target).await else {
        let _ = client.set_zero_linger();
        return;
    };
    // A reset, not a good-bye: whoever was cut off must not take it for an orderly end.
    for end in [&client, &server] {
        let _ = end.set_nodelay(true);
        let _ = end.set_zero_linger();
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(Ways::ToServer, from_client, to_server, weather.clone()) => {}
        () = pump(Ways::ToClient, from_server, to_client, weather) => {}
        _ = resets.changed() => {}
    }
}

/// Carries bytes one way until either end is gone, or bytes were swallowed and the weather is fair again.
async fn pump(way: Ways, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut weather: watch::Receiver<Weather>) {
    let swallows = |weather: Weather| matches!(weather, Weather::Swallowed(ways) if ways.include(way));
    let mut bytes = vec![0; 16 * 1024];
    let mut swallowed = false;
    loop {
        let read = tokio::select! {
            read = from.read(&mut bytes) => read,
            changed = weather.changed() => {
                if changed.is_err() || (swallowed && !swallows(*weather.borrow())) {
                    return;
                }
                continue;
            }
        };
        let Ok(n @ 1..) = read else { return };
        let now = *weather.borrow_and_update();
        match now {
            Weather::Slow(by) => tokio::time::sleep(by).await,
            Weather::Held => {
                if weather.wait_for(|w| *w != Weather::Held).await.is_err() {
                    return;
                }
            }
            Weather::Swallowed(_) if swallows(now) => {
                swallowed = true;
                continue;
            }
            Weather::Fair | Weather::Swallowed(_) => {}
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
    async fn in_fair_weather_everything_comes_through_and_a_reset_ends_it() {
        let proxy = Proxy::start(echo().await).await.expect("it listens");
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await.expect("it accepts");
        assert_eq!(&said_back(&mut stream).await.expect("an answer"), b"ping");
        proxy.reset();
        assert!(stream.read_exact(&mut [0; 1]).await.is_err());
    }

    #[tokio::test]
    async fn what_is_held_arrives_when_the_weather_is_fair_again() {
        let proxy = Proxy::start(echo().await).await.expect("it listens");
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await.expect("it accepts");
        proxy.set(Weather::Held);
        stream.write_all(b"late").await.expect("it is taken");
        let mut answer = [0; 4];
        let early = tokio::time::timeout(Duration::from_millis(100), stream.read_exact(&mut answer)).await;
        assert!(early.is_err());
        proxy.set(Weather::Fair);
        stream.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer, b"late");
    }

    #[tokio::test]
    async fn a_connection_that_lost_bytes_is_reset_when_the_weather_is_fair_again() {
        for ways in [Ways::Both, Ways::ToServer, Ways::ToClient] {
            loses_bytes(ways).await;
        }
    }

    async fn loses_bytes(ways: Ways) {
        let proxy = Proxy::start(echo().await).await.expect("it listens");
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await.expect("it accepts");
        assert_eq!(&said_back(&mut stream).await.expect("an answer"), b"ping");
        proxy.set(Weather::Swallowed(ways));
        stream.write_all(b"gone").await.expect("it is taken");
        let early = tokio::time::timeout(Duration::from_millis(100), stream.read_exact(&mut [0; 1])).await;
        assert!(early.is_err());
        proxy.set(Weather::Fair);
        assert!(stream.read_exact(&mut [0; 1]).await.is_err());
    }
}
