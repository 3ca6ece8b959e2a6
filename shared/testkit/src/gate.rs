//! A proxy before a server that a test can shut.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
};

/// Forwards connections to a server of this machine while it is open. When shut, it breaks existing connections and closes new ones.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    open: watch::Sender<bool>,
    resets: watch::Sender<u64>,
    link: Arc<Link>,
}

/// The state shared by the connections of a gate.
#[derive(Debug, Default)]
struct Link {
    /// Round trips: how often a client sent something and waited for the answer.
    trips: AtomicU64,
    /// The delay added to each of them, in microseconds.
    delay_us: AtomicU64,
}

impl Gate {
    /// An open gate before the server on `port`.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn before(port: u16) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.expect("a free port"), port)
    }

    /// The same at the IPv6 address of this machine; `None` where it has none.
    ///
    /// # Panics
    /// As [`Gate::before`].
    pub async fn before_by_ipv6(port: u16) -> Option<Self> {
        Some(Self::on(TcpListener::bind("[::1]:0").await.ok()?, port))
    }

    fn on(listener: TcpListener, port: u16) -> Self {
        let address = listener.local_addr().expect("it is bound");
        let (open, is_open) = watch::channel(true);
        let (resets, reset) = watch::channel(0);
        let link = Arc::<Link>::default();
        let ahead = link.clone();
        tokio::spawn(async move {
            while let Ok((mut inside, _)) = listener.accept().await {
                let (mut is_open, mut reset, link) = (is_open.clone(), reset.clone(), ahead.clone());
                reset.mark_unchanged();
                tokio::spawn(async move {
                    if !*is_open.borrow() {
                        return;
                    }
                    let Ok(mut outside) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    tokio::select! {
                        () = link.pass(&mut inside, &mut outside) => {}
                        _ = is_open.wait_for(|open| !open) => {}
                        _ = reset.changed() => {
                            let _ = inside.set_zero_linger();
                        }
                    }
                });
            }
        });
        Self { address, open, resets, link }
    }

    /// The port on which it listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The round trips of all clients since the gate was created.
    pub fn trips(&self) -> u64 {
        self.link.trips.load(Ordering::Relaxed)
    }

    /// Delays each round trip, as if the server were that far away.
    pub fn set_delay(&self, delay: Duration) {
        self.link.delay_us.store(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Breaks all connections and refuses new ones.
    pub fn shut(&self) {
        self.open.send_replace(false);
    }

    /// Resets all connections, like a proxy that lost its state, and lets new ones through.
    pub fn reset(&self) {
        self.resets.send_modify(|resets| *resets += 1);
    }

    /// Lets connections through again.
    pub fn open(&self) {
        self.open.send_replace(true);
    }
}

impl Link {
    /// Forwards bytes in both directions until both sides have ended.
    async fn pass(&self, inside: &mut TcpStream, outside: &mut TcpStream) {
        let answered = AtomicBool::new(true);
        let _ = (inside.set_nodelay(true), outside.set_nodelay(true));
        let ((from_client, to_client), (from_server, to_server)) = (inside.split(), outside.split());
        tokio::join!(self.ask(from_client, to_server, &answered), answer(from_server, to_client, &answered));
    }

    async fn ask(&self, mut client: ReadHalf<'_>, mut server: WriteHalf<'_>, answered: &AtomicBool) {
        let mut buffer = [0; 16 * 1024];
        while let Ok(n @ 1..) = client.read(&mut buffer).await {
            if answered.swap(false, Ordering::Relaxed) {
                self.trips.fetch_add(1, Ordering::Relaxed);
                let delay = Duration::from_micros(self.delay_us.load(Ordering::Relaxed));
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
            }
            if server.write_all(&buffer[..n]).await.is_err() {
                break;
            }
        }
        let _ = server.shutdown().await;
    }
}

async fn answer(mut server: ReadHalf<'_>, mut client: WriteHalf<'_>, answered: &AtomicBool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(n @ 1..) = server.read(&mut buffer).await {
        answered.store(true, Ordering::Relaxed);
        if client.write_all(&buffer[..n]).await.is_err() {
            break;
        }
    }
    let _ = client.shutdown().await;
}
