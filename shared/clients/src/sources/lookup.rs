//! Name resolution that answers with public addresses only. The connection is made to the very addresses that were checked, so a
//! name cannot change its meaning between check and use.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::public::is_public;

type Found = BoxFuture<'static, io::Result<Vec<SocketAddr>>>;

/// Asks for the addresses of a name.
pub(super) type Lookup = Arc<dyn Fn(String) -> Found + Send + Sync>;

/// The lookup of the system.
pub(super) fn system() -> Lookup {
    Arc::new(|name| Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) }))
}

/// A name that stands for an address that is not public, perhaps beside others that are.
#[derive(Debug, thiserror::Error)]
#[error("{name} resolves to {ip}, which is not a public address")]
pub(super) struct NotPublic {
    name: String,
    ip: IpAddr,
}

/// The resolver of the client.
pub(super) struct PublicOnly {
    pub(super) lookup: Lookup,
    /// The name that may stand for this machine.
    pub(super) own: Option<String>,
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let is_own = self.own.as_ref() == Some(&name);
        let found = (self.lookup)(name.clone());
        Box::pin(async move {
            let addresses = found.await?;
            let inner = addresses.iter().map(SocketAddr::ip).find(|ip| !is_public(*ip));
            match inner {
                Some(ip) if !is_own => Err(NotPublic { name, ip }.into()),
                _ => Ok(Box::new(addresses.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn resolve(ips: &[&str], own: Option<&str>) -> Result<usize, String> {
        let found: Vec<SocketAddr> = ips.iter().map(|ip| SocketAddr::new(ip.parse().expect("an address"), 0)).collect();
        let lookup: Lookup = Arc::new(move |_| {
            let found = found.clone();
            Box::pin(async move { Ok(found) })
        });
        let resolver = PublicOnly { lookup, own: own.map(str::to_owned) };
        let answer = resolver.resolve("example.com".parse().expect("a name")).await;
        answer.map(Iterator::count).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_name_with_one_private_address_among_public_ones_is_refused() {
        assert_eq!(resolve(&["1.1.1.1", "2606:4700::1111"], None).await, Ok(2));
        for private in ["10.0.0.1", "::1", "::ffff:10.0.0.1", "169.254.169.254"] {
            let refused = resolve(&["1.1.1.1", private], None).await.expect_err("one of them is private");
            assert!(refused.starts_with("example.com resolves to "), "{refused}");
        }
    }

    #[tokio::test]
    async fn only_the_name_of_the_own_origin_may_stand_for_this_machine() {
        assert_eq!(resolve(&["127.0.0.1"], Some("example.com")).await, Ok(1));
        assert!(resolve(&["127.0.0.1"], Some("localhost")).await.is_err());
    }
}
