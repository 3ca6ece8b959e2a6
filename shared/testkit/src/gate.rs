//! A way to a server that a test can shut.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Passes connections on to a server of this machine while it is open. Shut, it breaks those there are and answers new ones
/// by closing them.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    open: watch::Sender<bool>,
    resets: watch::Sender<u64>,
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
        tokio::spawn(async move {
            while let Ok((mut inside, _)) = listener.accept().await {
                let (mut is_open, mut reset) = (is_open.clone(), reset.clone());
                reset.mark_unchanged();
                tokio::spawn(async move {
                    if !*is_open.borrow() {
                        return;
                    }
                    let Ok(mut outside) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut inside, &mut outside) => {}
                        _ = is_open.wait_for(|open| !open) => {}
                        _ = reset.changed() => {
                            let _ = inside.set_zero_linger();
                        }
                    }
                });
            }
        });
        Self { address, open, resets }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Breaks all connections and lets none through.
    pub fn shut(&self) {
        self.open.send_replace(false);
    }

    /// Resets all connections, as a proxy does that forgot them, and lets new ones through.
    pub fn reset(&self) {
        self.resets.send_modify(|resets| *resets += 1);
    }

    /// Lets connections through again.
    pub fn open(&self) {
        self.open.send_replace(true);
    }
}
