//! A Postgres of one's own that takes connections over TLS alone, or none over TLS.

use std::fs;

use perch_testkit::OwnPostgres;

use crate::certificates::Certificates;

pub struct Postgres(OwnPostgres);

impl Postgres {
    /// With TLS it shows the certificate of `certificates`, and refuses whoever does without.
    pub fn start(certificates: Option<&Certificates>) -> Self {
        let Some(certificates) = certificates else { return Self(OwnPostgres::start()) };
        let read = |path| fs::read(path).expect("the certificate is there");
        let files = [
            ("server.crt", read(certificates.server())),
            ("server.key", read(certificates.key())),
            ("pg_hba.conf", b"hostssl all all 127.0.0.1/32 trust\n".to_vec()),
        ];
        Self(OwnPostgres::with(&files, "-c ssl=on"))
    }

    /// Its URL, with `host` as its name and these parameters.
    pub fn url(&self, host: &str, parameters: &str) -> String {
        format!("postgres://postgres@{host}:{}/postgres?{parameters}", self.0.port())
    }
}
