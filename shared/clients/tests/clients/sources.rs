use std::{io::Write as _, time::Duration};

use flate2::{Compression, write::GzEncoder};
use perch_base::{Classified as _, Disposition};
use perch_clients::sources::{Bounds, Material, Reading, SourceError, Sources, Validators};
use url::Url;

use crate::{
    server::{BrokenServer, Fault, Reply, Server, closed_port},
    world::{HASTY, PATIENT},
};

const FEED: &str = "<rss version='2.0'><channel><item><title>Suns win</title><link>/1</link></item></channel></rss>";

fn bounds() -> Bounds {
    Bounds { timeout: PATIENT, idle: PATIENT, ..Bounds::default() }
}

fn sources(own: &Url, bounds: Bounds) -> Sources {
    Sources::new(bounds, Some(own)).expect("a client")
}

fn gzip(bytes: &[u8]) -> Reply {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory takes all");
    Reply::bytes(200, &encoder.finish().expect("memory takes all")).with("content-encoding", &"gzip")
}

/// Reads `/feed` with a secret in its query, which no error may show.
async fn read(own: &Url, bounds: Bounds) -> Result<Vec<Material>, SourceError> {
    let url = own.join("feed?key=secret").expect("a URL");
    let result = sources(own, bounds).read(url.as_str()).await;
    if let Err(error) = &result {
        let said = format!("{} {error:?}", perch_base::chain(error));
        assert!(!said.contains("secret"), "{said}");
    }
    result
}

async fn refusal(own: &Url, bounds: Bounds) -> (Disposition, String) {
    let error = read(own, bounds).await.expect_err("it cannot be read");
    (error.disposition(), error.to_string())
}

/// The disposition and message of the error with which a source with this answer is refused.
async fn answered(reply: Reply) -> (Disposition, String) {
    let server = Server::start([reply]).await;
    refusal(&server.base, bounds()).await
}

#[tokio::test]
async fn feeds_pages_and_texts_are_read_whatever_they_are_called() {
    let named = |body: &str, media: &str| Reply::text(200, body).with("content-type", &media);
    for (reply, title, text) in [
        (named(FEED, "text/html"), Some("Suns win"), ""),
        (named("<!doctype html><title>Suns</title><p>They &amp; others", "text/plain"), Some("Suns"), "They & others"),
        (named("Suns in\nfive", "text/plain"), None, "Suns in five"),
        (Reply::bytes(200, b"caf\xe9").with("content-type", &"text/plain; charset=iso-8859-1"), None, "café"),
        (Reply::bytes(200, b"caf\xe9").with("content-type", &"text/plain; charset=utf-8"), None, "café"),
        (gzip(FEED.as_bytes()), Some("Suns win"), ""),
    ] {
        let server = Server::start([reply]).await;
        let all = read(&server.base, bounds()).await.expect("it is a source");
        assert_eq!((all[0].title.as_deref(), all[0].text.as_str()), (title, text));
        assert_eq!(server.request().header("accept-encoding"), "gzip");
    }
}

#[tokio::test]
async fn a_source_that_is_unchanged_is_not_sent_again() {
    let first = Reply::text(200, FEED).with("etag", &"\"a\"").with("last-modified", &"Thu, 20 Aug 2026 17:00:00 GMT");
    let server = Server::start([first, Reply::text(304, ""), Reply::text(200, FEED), Reply::text(304, "")]).await;
    let sources = sources(&server.base, bounds());
    let address = server.base.join("feed").expect("a URL");
    let read = |known: Validators| {
        let (sources, address) = (sources.clone(), address.clone());
        async move { sources.read_if_changed(address.as_str(), &known).await }
    };
    let Ok(Reading::Changed { materials, validators }) = read(Validators::default()).await else { panic!("it is new") };
    assert_eq!(materials.len(), 1);
    assert_eq!(read(validators.clone()).await.expect("an answer"), Reading::Unchanged);
    let Ok(Reading::Changed { validators: none, .. }) = read(validators).await else { panic!("it changed") };
    assert!(none.is_empty());
    let odd = read(none).await.expect_err("nothing was known that could be unchanged");
    assert_eq!(odd.disposition(), Disposition::Never);
    let requests = server.requests();
    let asked = |n: usize| (requests[n].header("if-none-match"), requests[n].header("if-modified-since"));
    assert_eq!(asked(0), ("", ""));
    assert_eq!(asked(1), ("\"a\"", "Thu, 20 Aug 2026 17:00:00 GMT"));
    assert_eq!(asked(3), ("", ""));
}

#[tokio::test]
async fn a_status_says_whether_the_source_is_read_again() {
    let waits = |status| Reply::text(status, "").with("retry-after", &"7");
    let after = Disposition::RetryAfter(Duration::from_secs(7));
    for (reply, disposition) in [
        (Reply::text(500, ""), Disposition::Retry),
        (Reply::text(429, ""), Disposition::Retry),
        (waits(429), after),
        (waits(503), after),
        (Reply::text(408, ""), Disposition::Retry),
        (Reply::text(404, ""), Disposition::Never),
        (Reply::text(403, ""), Disposition::Never),
        (Reply::text(410, ""), Disposition::Never),
        (Reply::text(300, ""), Disposition::Never),
    ] {
        let status = reply.status;
        let (found, said) = answered(reply).await;
        assert_eq!(found, disposition, "{said}");
        assert!(said.contains(&format!("status {status}")), "{said}");
    }
}

#[tokio::test]
async fn a_redirect_within_the_origin_is_followed_three_times() {
    let to = |status, location: &str| Reply::text(status, "").with("location", &location);
    let chain = || [to(301, "/b"), to(302, "c?d=1"), to(308, "#top")];
    let server = Server::start(chain().into_iter().chain([Reply::text(200, FEED)])).await;
    let all = read(&server.base, bounds()).await.expect("the third is the last");
    assert_eq!(all[0].link.as_ref().map(Url::path), Some("/1"));
    let asked: Vec<String> = server.requests().iter().map(|request| request.uri.to_string()).collect();
    assert_eq!(asked, ["/feed?key=secret", "/b", "/c?d=1", "/c?d=1"]);

    let server = Server::start(chain().into_iter().chain([to(307, "/feed"), Reply::text(200, FEED)])).await;
    let (disposition, said) = refusal(&server.base, bounds()).await;
    assert_eq!((disposition, server.requests().len()), (Disposition::Never, 4));
    assert!(said.contains("redirects more than 3 times"), "{said}");
}

#[tokio::test]
async fn a_redirect_that_leaves_the_origin_is_an_error_and_its_target_is_never_asked() {
    let elsewhere = Server::start([Reply::text(200, FEED)]).await;
    for (location, why) in [
        ("https://example.com/secret", "127.0.0.1 redirects to example.com, another host"),
        ("https://10.0.0.1/", "127.0.0.1 redirects to 10.0.0.1, another host"),
        ("http://169.254.169.254/latest", "127.0.0.1 redirects to 169.254.169.254, another host"),
        (elsewhere.base.as_str(), "redirects to an address that is http, not https"),
        ("https://127.0.0.1/", "redirects to an address that names 127.0.0.1, which is not a public address"),
        ("file:///etc/passwd", "another host"),
        ("http://[", "redirects to no URL"),
    ] {
        let (disposition, said) = answered(Reply::text(302, "").with("location", &location)).await;
        assert_eq!(disposition, Disposition::Never, "{said}");
        assert!(said.contains(why), "{location}: {said}");
    }
    assert!(answered(Reply::text(302, "")).await.1.contains("redirects to no URL"));
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn of_this_machine_nothing_but_the_own_origin_is_asked() {
    let server = Server::start([]).await;
    let port = server.base.port().expect("a port");
    let own = closed_port().await;
    for own in [None, Some(&own)] {
        let sources = Sources::new(bounds(), own).expect("a client");
        for address in [
            format!("http://127.0.0.1:{port}/"),
            format!("https://127.0.0.1:{port}/"),
            format!("http://localhost:{port}/"),
            "https://localhost/".to_owned(),
            "https://[::ffff:7f00:1]/".to_owned(),
        ] {
            let refused = sources.read(&address).await.expect_err("it is on this machine");
            assert_eq!(refused.disposition(), Disposition::Never, "{address}: {refused}");
        }
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_source_larger_than_the_bound_is_cut_off_however_it_comes() {
    let small = || Bounds { bytes: 10_000, ..bounds() };
    let exact = Server::start([Reply::text(200, &"a ".repeat(5_000))]).await;
    assert!(read(&exact.base, small()).await.is_ok());
    let announced = Server::start([Reply::text(200, &"a ".repeat(5_001))]).await;
    let bomb = Server::start([gzip(&vec![b' '; 5_000_000])]).await;
    let endless = BrokenServer::start(Fault::Endless).await;
    for base in [&announced.base, &bomb.base, &endless.base] {
        let (disposition, said) = refusal(base, small()).await;
        assert_eq!(disposition, Disposition::Never);
        assert!(said.contains("/feed: is larger than 10000 bytes"), "{said}");
    }
}

#[tokio::test]
async fn a_server_that_is_slow_silent_or_gone_is_asked_again_later() {
    let hasty = || Bounds { timeout: HASTY, ..bounds() };
    let idle = || Bounds { idle: HASTY, ..bounds() };
    for (fault, bounds, why) in [
        (Fault::Silence, hasty(), "not complete in time"),
        (Fault::Drip, hasty(), "not complete in time"),
        (Fault::Silence, idle(), "nothing came in time"),
        (Fault::Drop, bounds(), "cannot be read now"),
        (Fault::HalfAnAnswer, bounds(), "cannot be read now"),
    ] {
        let server = BrokenServer::start(fault).await;
        let (disposition, said) = refusal(&server.base, bounds).await;
        assert_eq!(disposition, Disposition::Retry, "{said}");
        assert!(said.contains(why), "{said}");
    }
    assert_eq!(refusal(&closed_port().await, bounds()).await.0, Disposition::Retry);
}

#[tokio::test]
async fn what_is_no_feed_page_or_text_is_refused_with_the_reason() {
    let of = |media: &str, body: &str| Reply::text(200, body).with("content-type", &media);
    for (reply, why) in [
        (of("image/png", "x"), "is of the media type \"image/png\""),
        (of("application/octet-stream", FEED), "is of the media type"),
        (of("text/css", "p {}"), "is of the media type \"text/css\""),
        (of("text/xml", "<rss><channel></rss>"), "is broken XML at byte"),
        (of("text/html", "<script>document.write(1)</script>"), "without text of its own"),
        (of("text/plain", "\0\0\0"), "holds bytes that are no text"),
        (of("text/plain", ""), "is an empty text"),
        (of("text/plain", "x").with("content-encoding", &"br"), "compressed in another way"),
    ] {
        let (disposition, said) = answered(reply).await;
        assert_eq!(disposition, Disposition::Never, "{said}");
        assert!(said.contains(why), "{said}");
    }
    let (disposition, said) = answered(Reply::text(200, "not gzip").with("content-encoding", &"gzip")).await;
    assert_eq!(disposition, Disposition::Retry, "{said}");
}
