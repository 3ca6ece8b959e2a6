use perch_base::{Classified as _, Disposition, Settings};
use perch_clients::pictures::Pictures;

use crate::server::{Reply, Server};

fn pictures(base: &str, most: usize) -> Pictures {
    let config = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let vars = [("APP_ENV", "staging"), ("PERCH__X__BASE_URL", base)];
    let settings = Settings::load_from(
        &config,
        perch_jobs::types(),
        vars.map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    Pictures::new(&settings.expect("valid settings"), &["pbs.twimg.com".to_owned()], most).expect("a client")
}

fn png(bytes: usize) -> Reply {
    Reply::text(200, &"x".repeat(bytes)).with("content-type", &"image/png")
}

#[tokio::test]
async fn a_picture_travels_within_the_message_and_one_that_is_too_large_stays_out() {
    let server = Server::start([png(2_000), png(2_001)]).await;
    let pictures = pictures(server.base.as_str(), 2_000);
    let url = server.base.join("slip.png").expect("a URL");
    let data = pictures.data_url(url.as_str()).await.expect("it is small enough");
    assert!(data.starts_with("data:image/png;base64,eHh4"), "{data}");
    let refused = pictures.data_url(url.as_str()).await.expect_err("it is too large");
    assert_eq!(refused.disposition(), Disposition::Never);
    assert!(refused.to_string().contains("larger than 2000 bytes"), "{refused}");
}

#[tokio::test]
async fn what_is_no_picture_is_left_out_and_what_is_away_can_be_tried_again() {
    let cases = [
        (Reply::text(200, "<html>").with("content-type", &"text/html"), Disposition::Never),
        (Reply::text(404, ""), Disposition::Never),
        (Reply::text(302, "").with("location", &"http://127.0.0.1:1/"), Disposition::Never),
        (Reply::text(503, ""), Disposition::Retry),
    ];
    let server = Server::start(cases.iter().map(|(reply, _)| reply.clone())).await;
    let pictures = pictures(server.base.as_str(), 2_000);
    let url = server.base.join("slip.png").expect("a URL");
    for (_, disposition) in cases {
        assert_eq!(pictures.data_url(url.as_str()).await.expect_err("no picture").disposition(), disposition);
    }
}

#[tokio::test]
async fn a_post_cannot_make_the_worker_call_other_hosts() {
    let pictures = pictures("https://api.x.com", 2_000);
    for address in [
        "http://127.0.0.1:6379/",
        "https://127.0.0.1/a.png",
        "https://169.254.169.254/latest/meta-data",
        "http://pbs.twimg.com/media/a.jpg",
        "https://pbs.twimg.com:8443/media/a.jpg",
        "https://pbs.twimg.com.evil.example/a.jpg",
        "file:///etc/passwd",
        "data:image/png;base64,eHh4",
        "",
    ] {
        let refused = pictures.data_url(address).await.expect_err("it is refused");
        assert_eq!(refused.disposition(), Disposition::Never, "{address}: {refused}");
    }
}
