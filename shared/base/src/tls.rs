//! TLS for every client of the process.

/// Chooses *ring* as the process's TLS implementation. Call it before the first client is built; calling it again, or
/// after another part of the process has chosen, changes nothing.
pub fn install() {
    // The only error is that a choice was made before, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    #[test]
    fn installing_twice_is_harmless() {
        super::install();
        super::install();
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }
}
