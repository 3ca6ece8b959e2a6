use std::{io, net::SocketAddr};

/// Why the sandbox could not start or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The address is in use or not one of this machine.
    #[error("sandbox cannot listen on {bind}: {source}; choose another address in [sandbox] bind")]
    Bind {
        /// The address to listen on.
        bind: SocketAddr,
        /// The error of the system.
        source: io::Error,
    },
    /// X would not allow this username.
    #[error("{0:?} is no username; use 1 to 15 letters, digits or underscores, without @")]
    Username(String),
    /// The server ended with an error.
    #[error("sandbox stopped serving: {0}; start it again")]
    Serve(#[source] io::Error),
}
