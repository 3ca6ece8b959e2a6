//! Serves HTTP over TCP within limits: a client without a key cannot use up what other clients or the jobs of this process need.
//!
//! A connection is closed when no complete request head arrives in time, or when its client does not read its
//! answer. The number of connections is limited ([`connections`]); the unread rest of a body is read and dropped before
//! the answer goes out ([`drain`]).

mod connections;
mod drain;
mod guarded_body;

use std::{io, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use perch_base::{settings::HttpSettings, shortage};
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use self::connections::{ConnectionSlot, Connections};
pub(super) use self::{connections::Connection, drain::drain, guarded_body::BodyWithGuard};

/// The largest request head. It is also the read-ahead buffer of a body, so it limits the memory of a connection.
const LARGEST_HEAD: usize = 64 * 1024;
/// The pause after a connection could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);
/// Connections that are allowed however few descriptors there are.
const LEAST: usize = 8;

/// The limits of connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    most: usize,
    idle: Duration,
}

impl Bounds {
    /// The connections of the settings, but at most half of the file descriptors of this process: the other half is for its
    /// own connections.
    pub fn of(settings: &HttpSettings) -> Self {
        let half = usize::try_from(shortage::descriptors() / 2).unwrap_or(usize::MAX);
        let most = settings.max_connections.min(half.max(LEAST));
        if most < settings.max_connections {
            let wanted = settings.max_connections;
            tracing::warn!(most, wanted, "fewer connections than http.max_connections: half of the file descriptors");
        }
        Self { most, idle: settings.idle_timeout }
    }
}

/// Serves `router` until `shutdown`, then lets running requests end.
pub(super) async fn serve(listener: TcpListener, router: Router, bounds: Bounds, shutdown: CancellationToken) {
    let (connections, ending) = (Arc::new(Connections::new(bounds.most)), GracefulShutdown::new());
    let accepting = async {
        loop {
            let Some(stream) = accept(&listener, &connections).await else { continue };
            let place = connections.place().await;
            tokio::spawn(serve_one(stream, router.clone(), bounds.idle, place, ending.watcher()));
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = accepting => {}
    }
    drop(listener);
    connections.close_idle();
    ending.shutdown().await;
}

/// The next connection; none when it could not be accepted.
async fn accept(listener: &TcpListener, connections: &Connections) -> Option<TcpStream> {
    let error = match listener.accept().await {
        Ok((stream, _)) => return Some(stream),
        Err(error) => error,
    };
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::warn!(%error, "a connection could not be accepted");
        connections.close_one();
        tokio::time::sleep(PAUSE).await;
    }
    None
}

async fn serve_one(
    stream: TcpStream,
    router: Router,
    idle: Duration,
    place: ConnectionSlot,
    ending: hyper_util::server::graceful::Watcher,
) {
    // Small answers must not wait for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(idle));
    let connection = place.connection();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (router, under_way) = (router.clone(), connection.request());
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(connection.clone());
        async move {
            let response = router.oneshot(request).await;
            drop(under_way);
            response
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(idle).max_buf_size(LARGEST_HEAD);
    let served = ending.watch(http.serve_connection(TokioIo::new(Box::pin(stream)), service));
    tokio::select! {
        () = place.closed() => {}
        served = served => {
            if let Err(error) = served {
                tracing::trace!(%error, "a connection ended");
            }
        }
    }
}
