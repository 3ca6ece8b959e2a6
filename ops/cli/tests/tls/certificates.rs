//! An authority of one's own and what it signs.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;

/// The files of an authority, and of servers on this machine.
pub struct Certificates {
    folder: TempDir,
}

impl Certificates {
    /// An authority that signs for `127.0.0.1` and for no other name.
    pub fn make() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let (authority, other) = (authority("Perch tests"), authority("Somebody else"));
        let key = KeyPair::generate().expect("a key");
        let name = CertificateParams::new(["127.0.0.1".to_owned()]).expect("an address");
        let certificate = name.signed_by(&key, &authority).expect("it is signed");
        let made = Self { folder };
        for (name, text) in [
            ("authority.pem", authority.pem()),
            ("other.pem", other.pem()),
            ("server.pem", certificate.pem()),
            ("server.key", key.serialize_pem()),
        ] {
            std::fs::write(made.path(name), text).expect("it can be written");
        }
        made
    }

    /// What clients have to trust.
    pub fn authority(&self) -> PathBuf {
        self.path("authority.pem")
    }

    /// An authority that signed nothing here.
    pub fn other(&self) -> PathBuf {
        self.path("other.pem")
    }

    pub fn server(&self) -> PathBuf {
        self.path("server.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.path("server.key")
    }

    fn path(&self, name: &str) -> PathBuf {
        let folder: &Path = self.folder.path();
        folder.join(name)
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(params, key).expect("it signs itself")
}
