//! A TCP proxy that goes wrong on request.

use std::{
    net::{Ipv4Addr, SocketAddr},
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
    /// Swallows it: the connection looks open and is dead. It is reset when the weather changes.
    Swallowed,
}

/// A proxy to one server for one process.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    weather: watch::Sender<Weather>,
    resets: watch::Sender<u64>,
    listening: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port for connections to `port` of this machine.
    pub async fn start(target: u16) -> Result<Self, RigError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(RigError::io("open a proxy"))?;
        let port = listener.local_addr().map_err(RigError::io("open a proxy"))?.port();
        let (weather, _) = watch::channel(Weather::Fair);
        let (resets, _) = watch::channel(0);
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, target));
        let listening = tokio::spawn(listen(listener, target, weather.clone(), resets.clone()));
        Ok(Self { port, weather, resets, listening })
    }

    /// Where it listens on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
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

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(
    listener: TcpListener,
    target: SocketAddr,
    weather: watch::Sender<Weather>,
    resets: watch::Sender<u64>,
) {
    while let Ok((client, _)) = listener.accept().await {
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
        () = pump(from_client, to_server, weather.clone()) => {}
        () = pump(from_server, to_client, weather) => {}
        _ = resets.changed() => {}
    }
}

/// Carries bytes one way until either end is gone, or bytes were swallowed and the weather is fair again.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut weather: watch::Receiver<Weather>) {
    let mut bytes = vec![0; 16 * 1024];
    let mut swallowed = false;
    loop {
        let read = tokio::select! {
            read = from.read(&mut bytes) => read,
            changed = weather.changed() => {
                if changed.is_err() || (swallowed && *weather.borrow() != Weather::Swallowed) {
                    return;
                }
                continue;
            }
        };
        let Ok(n @ 1..) = read else { return };
        let now = *weather.borrow_and_update();
        match now {
            Weather::Fair => {}
            Weather::Slow(by) => tokio::time::sleep(by).await,
            Weather::Held => {
                if weather.wait_for(|w| *w != Weather::Held).await.is_err() {
                    return;
                }
            }
            Weather::Swallowed => {
                swallowed = true;
                continue;
            }
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
        let proxy = Proxy::start(echo().await).await.expect("it listens");
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await.expect("it accepts");
        assert_eq!(&said_back(&mut stream).await.expect("an answer"), b"ping");
        proxy.set(Weather::Swallowed);
        stream.write_all(b"gone").await.expect("it is taken");
        let early = tokio::time::timeout(Duration::from_millis(100), stream.read_exact(&mut [0; 1])).await;
        assert!(early.is_err());
        proxy.set(Weather::Fair);
        assert!(stream.read_exact(&mut [0; 1]).await.is_err());
    }
}
