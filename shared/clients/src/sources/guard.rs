//! Which addresses are read, and where a redirect may lead.

use std::net::IpAddr;

use url::{Host, Url};

use super::{
    SourceError,
    error::{shown, shown_text},
    public::is_public,
};
use crate::http::is_loopback;

/// The longest address, in bytes.
const MAX_ADDRESS: usize = 2_048;

#[derive(Debug)]
pub(super) struct Guard {
    /// An origin on this machine that may be read too.
    own: Option<Url>,
}

impl Guard {
    /// An `own` that is not on this machine is ignored.
    pub(super) fn new(own: Option<&Url>) -> Self {
        Self { own: own.filter(|own| is_loopback(own)).cloned() }
    }

    /// The host of the own origin.
    pub(super) fn own_host(&self) -> Option<&str> {
        self.own.as_ref()?.host_str()
    }

    /// The address as a URL, when it may be read.
    pub(super) fn admit(&self, address: &str) -> Result<Url, SourceError> {
        let forbidden =
            |reason: &str| SourceError::Forbidden { address: shown_text(address), reason: reason.to_owned() };
        if address.len() > MAX_ADDRESS {
            return Err(forbidden("is longer than 2048 bytes"));
        }
        let mut url = Url::parse(address.trim()).map_err(|_| forbidden("is no URL"))?;
        url.set_fragment(None);
        self.check(&url)?;
        Ok(url)
    }

    fn check(&self, url: &Url) -> Result<(), SourceError> {
        let forbidden = |reason: String| Err(SourceError::forbidden(url, reason));
        if !url.username().is_empty() || url.password().is_some() {
            return forbidden("holds credentials".to_owned());
        }
        if self.own.as_ref().is_some_and(|own| own.origin() == url.origin()) {
            return Ok(());
        }
        if url.scheme() != "https" {
            return forbidden(format!("is {}, not https", url.scheme()));
        }
        if let Some(port) = url.port() {
            return forbidden(format!("names port {port}"));
        }
        match url.host() {
            // The resolver lets this name stand for this machine, which only the own origin may.
            Some(Host::Domain(name)) if self.own_host() == Some(name) => forbidden("is on this machine".to_owned()),
            // What a name stands for is checked when it is resolved.
            Some(Host::Domain(_)) => Ok(()),
            Some(Host::Ipv4(ip)) => check_ip(url, ip.into()),
            Some(Host::Ipv6(ip)) => check_ip(url, ip.into()),
            None => forbidden("names no host".to_owned()),
        }
    }

    /// Where a redirect from `url` to `location` leads, when it may be followed: to the same host, over https.
    pub(super) fn follow(&self, url: &Url, location: &str) -> Result<Url, SourceError> {
        let astray = |reason: String| SourceError::forbidden(url, reason);
        let mut next = url.join(location.trim()).map_err(|_| astray("redirects to no URL".to_owned()))?;
        next.set_fragment(None);
        if next.host_str() != url.host_str() {
            let host = |url: &Url| url.host_str().unwrap_or("no host").chars().take(MAX_HOST).collect();
            return Err(SourceError::Moved { address: shown(url), from: host(url), to: host(&next) });
        }
        if next.as_str().len() > MAX_ADDRESS {
            return Err(astray("redirects to an address longer than 2048 bytes".to_owned()));
        }
        match self.check(&next) {
            Ok(()) => Ok(next),
            Err(SourceError::Forbidden { reason, .. }) => Err(astray(format!("redirects to an address that {reason}"))),
            Err(other) => Err(other),
        }
    }
}

/// The longest host name there is.
const MAX_HOST: usize = 253;

fn check_ip(url: &Url, ip: IpAddr) -> Result<(), SourceError> {
    if is_public(ip) {
        return Ok(());
    }
    Err(SourceError::forbidden(url, format!("names {ip}, which is not a public address")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Guard {
        Guard::new(Some(&Url::parse("http://127.0.0.1:4711/x").expect("a URL")))
    }

    fn refusal<T: std::fmt::Debug>(result: Result<T, SourceError>) -> String {
        result.expect_err("it is refused").to_string()
    }

    #[test]
    fn https_addresses_of_public_hosts_are_admitted() {
        for address in ["https://example.com", "https://example.com:443/feed?key=1#top", "https://1.1.1.1/feed"] {
            let url = own().admit(address).expect("it is public");
            assert_eq!(url.fragment(), None);
        }
    }

    #[test]
    fn whatever_is_not_public_https_on_the_default_port_is_refused() {
        for (address, why) in [
            ("http://example.com/feed", "is http, not https"),
            ("ftp://example.com/feed", "is ftp, not https"),
            ("file:///etc/passwd", "is file, not https"),
            ("data:text/plain,hi", "is data, not https"),
            ("https://example.com:8443/feed", "names port 8443"),
            ("https://me@example.com/feed", "holds credentials"),
            ("https://me:pass@example.com/feed", "holds credentials"),
            ("https://127.0.0.1/", "names 127.0.0.1"),
            ("https://127.1/", "names 127.0.0.1"),
            ("https://2130706433/", "names 127.0.0.1"),
            ("https://0x7f.0.0.1/", "names 127.0.0.1"),
            ("https://0177.0.0.1/", "names 127.0.0.1"),
            ("https://①②⑦.0.0.1/", "names 127.0.0.1"),
            ("https://[::1]/", "names ::1"),
            ("https://[::ffff:169.254.169.254]/latest", "names ::ffff:169.254.169.254"),
            ("https://169.254.169.254/latest/meta-data", "names 169.254.169.254"),
            ("http://127.0.0.1:4712/", "is http, not https"),
            ("https://127.0.0.1:4711/", "names port 4711"),
            ("http://me@127.0.0.1:4711/", "holds credentials"),
            ("feed", "is no URL"),
            ("", "is no URL"),
        ] {
            let said = refusal(own().admit(address));
            assert!(said.contains(why), "{address}: {said}");
        }
        assert!(refusal(own().admit(&format!("https://example.com/{}", "a".repeat(2_048)))).contains("longer"));
    }

    #[test]
    fn of_this_machine_only_the_own_origin_is_read_and_only_when_it_is_on_this_machine() {
        assert!(own().admit("http://127.0.0.1:4711/feed").is_ok());
        let named = Guard::new(Some(&Url::parse("http://localhost:4711").expect("a URL")));
        assert!(named.admit("http://localhost:4711/feed").is_ok());
        assert!(refusal(named.admit("https://localhost/feed")).contains("is on this machine"));
        let foreign = Guard::new(Some(&Url::parse("http://example.com").expect("a URL")));
        assert!(refusal(foreign.admit("http://example.com/feed")).contains("not https"));
    }

    #[test]
    fn a_redirect_is_followed_within_its_host_only() {
        let from = Url::parse("https://example.com/old?key=secret").expect("a URL");
        let guard = own();
        for (location, to) in [
            ("/new", "https://example.com/new"),
            ("new?a=1#b", "https://example.com/new?a=1"),
            ("https://EXAMPLE.com/new", "https://example.com/new"),
            ("//example.com:443/new", "https://example.com/new"),
        ] {
            assert_eq!(guard.follow(&from, location).expect("it is the same host").as_str(), to);
        }
        for (location, why) in [
            ("https://www.example.com/new", "example.com redirects to www.example.com, another host"),
            ("https://10.0.0.1/", "example.com redirects to 10.0.0.1, another host"),
            ("http://127.0.0.1:4711/", "example.com redirects to 127.0.0.1, another host"),
            ("http://example.com/new", "redirects to an address that is http, not https"),
            ("https://example.com:8443/", "redirects to an address that names port 8443"),
            ("https://me:pass@example.com/", "redirects to an address that holds credentials"),
            ("javascript:alert(1)", "example.com redirects to no host"),
            ("https://[", "redirects to no URL"),
        ] {
            let said = refusal(guard.follow(&from, location));
            assert!(said.contains(why) && !said.contains("secret") && !said.contains("pass"), "{location}: {said}");
        }
    }
}
